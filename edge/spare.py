"""What libraries would do as they are imported, or for as long as they are there, that nothing here has any use for."""

from __future__ import annotations

import os

SPARED = {
    "OPENBLAS_NUM_THREADS": "1",  # else numpy's algebra starts a thread for each processor, which waits in a loop
    "PYDANTIC_DISABLE_PLUGINS": "1",  # else each package that is installed is asked whether it is a plug-in
}

_ours: set[str] = set()


def spare() -> None:
    """Set the environment for the libraries that are imported next; what is set in it already stays."""
    for name in SPARED.keys() - os.environ.keys():
        os.environ[name] = SPARED[name]
        _ours.add(name)


def inherited() -> dict[str, str]:
    """The environment for other people's programs: ours, less what ``spare`` has set in it."""
    return {name: value for name, value in os.environ.items() if name not in _ours}
