"""The README's picture of the demo is of this version's demo, and fetches nothing."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from docs.demo_view import drawn
from edge.mqtt.messages import Topics
from edge.tools.demo.story import read_story
from edge.tools.demo.view import View

PICTURE = Path(__file__).parents[2] / "docs/demo.svg"


def words(svg: str) -> str:
    texts = (element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"))  # noqa: S314 - our own
    return " ".join(texts).replace("\N{NO-BREAK SPACE}", " ")


def test_the_picture_shows_the_alerts_of_the_clip() -> None:
    told = words(PICTURE.read_text(encoding="utf-8"))
    assert {look.alert for look in read_story() if look.alert} == {"anger", "distress", "fatigue"}
    for kind in ("distress", "fatigue"):
        assert f"alert {kind} start" in told
    assert "a yawn is drawn" in told


def test_a_view_is_drawn_without_anything_from_another_machine() -> None:
    svg = drawn(View(Topics("evenkeel", "demo")))
    assert "evenkeel/demo/alert" in words(svg)
    assert not re.search(r"(?:href|url\()\W*https?:", svg)
    assert "font-face" not in svg
