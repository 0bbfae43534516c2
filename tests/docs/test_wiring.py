"""The drawn wiring is that of the page's examples, and the header's pins are the board's."""

from __future__ import annotations

import re

import pytest

from docs.tutorials import ROOT
from edge.compat import tomllib
from edge.config import Config

mock = pytest.importorskip("gpiozero.pins.mock", reason="gpiozero is not installed; pip install 'evenkeel[gpio]'")

PAGE = (ROOT / "docs/cab.md").read_text(encoding="utf-8")
DRAWN = (ROOT / "docs/cab-wiring.svg").read_text(encoding="utf-8")


def test_each_pin_of_the_examples_is_drawn_with_its_number_on_the_header() -> None:
    examples = [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)]
    cab = [Config.model_validate(each).cab for each in examples]
    pins = {pin for each in cab for pin in (*each.gpio.pins.values(), each.button.pin) if pin is not None}
    assert len(pins) == 5
    texts = re.sub(r"<[^>]+>", " ", DRAWN)
    for pin in pins:
        header = mock.MockFactory().pin(pin).info.number
        assert re.search(rf"GPIO{pin}\b", texts), pin
        assert re.search(rf"pin {header}\b", texts), pin


def test_it_says_that_nobody_has_tried_it() -> None:
    assert "Untried on a real board" in DRAWN
