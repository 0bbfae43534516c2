"""What the standard library has from 3.11 on, for the Python 3.10 of Ubuntu 22.04, and so of JetPack 6, too."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 11):
    from datetime import UTC
    from enum import StrEnum
    from typing import Self

    import tomllib
else:
    from datetime import timezone
    from enum import Enum

    import tomli as tomllib
    from typing_extensions import Self

    UTC = timezone.utc

    class StrEnum(str, Enum):
        """Members that are strings, and read as their value."""

        __str__ = str.__str__
        __format__ = str.__format__  # type: ignore[assignment]

        @staticmethod
        def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:  # noqa: ARG004
            return name.lower()


__all__ = ["UTC", "Self", "StrEnum", "tomllib"]
