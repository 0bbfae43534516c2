"""A file of JSON Lines that is written as things happen."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType

from edge.compat import Self
from edge.errors import UnavailableError


class JsonLinesFile:
    """Writes lines to ``path``, used as a context manager; what was there before is overwritten, or kept (``append``).

    Each line is handed to the system at once, so that a process that is killed loses one line at most. ``content``
    says in error messages what is written.

    Raises:
        UnavailableError: the file cannot be written; also from ``write`` and ``close``.
    """

    def __init__(self, path: Path, content: str, *, append: bool = False) -> None:
        self._path = path
        self._content = content
        try:
            self._file = path.open("a" if append else "w", encoding="utf-8", buffering=1)
            if append and self._file.tell():
                self._file.write("\n")  # a line that was cut off ends here; an empty one means nothing
        except OSError as error:
            raise self._fault(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, json_text: str) -> None:
        """Add one line."""
        try:
            self._file.write(json_text + "\n")
        except OSError as error:
            with contextlib.suppress(OSError):  # what could not be written now cannot at the end either
                self._file.close()
            raise self._fault(error) from error

    def close(self) -> None:
        """Close the file; after a failed ``write`` it is closed already."""
        try:
            self._file.close()
        except OSError as error:
            raise self._fault(error) from error

    def _fault(self, error: OSError) -> UnavailableError:
        return UnavailableError(f"{self._path}: {self._content} cannot be written: {error.strerror}; use another file")
