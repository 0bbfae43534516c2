"""Draws what a subscriber sees while the demo's driver sleeps: ``python -m docs.demo_view docs/demo.svg``."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console

from edge.domain import State
from edge.tools.demo.demo import run_demo
from edge.tools.demo.view import View

WIDTH = 88
SHOWN = "fatigue"
FETCHED_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""A page must fetch nothing from another machine."""


class Camera:
    """Keeps the view as it is when the alert of ``SHOWN`` has just become urgent."""

    picture: str | None = None

    def take(self, view: View) -> None:
        """Look at the view."""
        said = view.state
        if self.picture is None and said is not None and said.state is State.URGENT and said.reason == SHOWN:
            self.picture = drawn(view)


def drawn(view: View) -> str:
    """The view as SVG in the reader's own fonts."""
    console = Console(file=io.StringIO(), record=True, width=WIDTH, force_terminal=True)
    console.print(view.draw())
    svg = console.export_svg(title="evenkeel demo", unique_id="demo").replace("Fira Code, monospace", "monospace")
    return re.sub(r"[ \t]+$", "", FETCHED_FONT.sub("", svg), flags=re.MULTILINE)


def main() -> None:
    """Play the demo without a screen and write the picture."""
    camera = Camera()
    failed = run_demo(fast=True, console=Console(file=io.StringIO()), changed=camera.take)
    if failed or camera.picture is None:
        raise SystemExit("the demo shows no urgent alert of fatigue: evenkeel demo --fast says what it shows")
    Path(sys.argv[1]).write_text(camera.picture, encoding="utf-8")


if __name__ == "__main__":
    main()
