"""What the session takes from within paho, and the releases of paho that have it."""

from __future__ import annotations

from pathlib import Path

import paho.mqtt.client as paho
import pytest
from packaging.requirements import Requirement
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from edge.compat import tomllib
from edge.mqtt.session import _Client

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.mark.parametrize(
    ("release", "works"),
    [
        ("2.0.0", False),  # connecting recurses in Client.protocol
        ("2.1.0", False),  # ReasonCode has no public names
        ("2.2.0", True),
        ("3.0.0", False),  # nobody has tried it
    ],
)
def test_only_releases_of_paho_that_carry_an_alert_are_installed(release: str, *, works: bool) -> None:
    dependencies = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    (required,) = (one for one in map(Requirement, dependencies) if one.name == "paho-mqtt")

    assert required.specifier.contains(release) is works


def test_paho_has_every_method_that_is_overridden() -> None:
    overridden = [name for name in vars(_Client) if name.startswith(("_send", "_handle", "_sock"))]

    assert overridden
    assert [name for name in overridden if not callable(getattr(paho.Client, name, None))] == []


def test_paho_tells_for_which_packets_it_knows_a_code() -> None:
    assert any(PacketTypes.CONNACK in kinds for kinds in ReasonCode.names[149].values())
    assert not any(PacketTypes.PUBACK in kinds for kinds in ReasonCode.names[149].values())
