"""A Debian in a folder, by debootstrap."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"


def bootstrap(folder: Path, codename: str, packages: Sequence[str], mirror: str, *options: str) -> bool:
    """Make ``folder`` a minimal system with ``packages``; False where it is there already.

    ``options`` are further ones of debootstrap.

    Raises:
        subprocess.CalledProcessError: debootstrap failed; its reason is on stderr.
    """
    if folder.exists():
        return False
    unfinished = folder.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    included = f"--include={','.join(packages)}"
    subprocess.run(  # noqa: S603
        ["debootstrap", "--variant=minbase", included, *options, codename, str(unfinished), mirror],  # noqa: S607
        check=True,
        stdout=subprocess.DEVNULL,
    )
    unfinished.rename(folder)
    return True
