"""Runs what a tutorial shows and writes what it prints into the page: ``python -m docs.tutorials``.

A block below ``<!-- file: NAME -->`` is that file. In a ``text`` block a line that begins with ``$ `` is a command,
and what stands below it is what it prints. All commands of a page run in one empty folder, with the repository's
``edge`` in it.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
PLAYED = ("docs/tune.md",)
BLOCK = re.compile(r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w*)\n(?P<body>.*?)```\n", re.DOTALL)


def files(page: str) -> dict[str, str]:
    """What the page shows of files, by name."""
    return {block["file"]: block["body"] for block in BLOCK.finditer(page) if block["file"]}


def played(page: str, folder: Path) -> str:
    """The page as its commands, run in ``folder``, make it.

    Raises:
        subprocess.CalledProcessError: a command failed; its output stands in the error.
    """
    (folder / "edge").symlink_to(ROOT / "edge")

    def play(block: re.Match[str]) -> str:
        if block["file"]:
            (folder / block["file"]).write_text(block["body"], encoding="utf-8")
        if block["language"] != "text":
            return block[0]
        commands = re.findall(r"^\$ (.*)$", block["body"], re.MULTILINE)
        return "```text\n" + "".join(f"$ {command}\n{_run(command, folder)}" for command in commands) + "```\n"

    return BLOCK.sub(play, page)


def _run(command: str, folder: Path) -> str:
    """What it prints, to a terminal of 80 columns without colours."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(  # noqa: S603 - what the pages say
        shlex.split(command),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return re.sub(r"[ \t]+$", "", done.stdout, flags=re.MULTILINE)


def main() -> None:
    """Play every tutorial and write its page anew."""
    for name in PLAYED:
        with TemporaryDirectory() as folder:
            path = ROOT / name
            path.write_text(played(path.read_text(encoding="utf-8"), Path(folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
