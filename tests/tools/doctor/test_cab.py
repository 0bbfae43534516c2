"""What the doctor says of the ways to the driver, on machines where something of them is missing."""

from __future__ import annotations

import grp
import os
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.tools.doctor import cab
from edge.tools.doctor.finding import Finding, Verdict
from edge.tools.doctor.target import Host, User
from edge.tools.drop_in import PATH, drop_in

gpiozero = pytest.importorskip("gpiozero", reason="gpiozero is not installed; pip install 'evenkeel[gpio]'")
mock = pytest.importorskip("gpiozero.pins.mock")

MakeHost = Callable[..., Host]
CHECKS = (cab.words, cab.card, cab.pins, cab.button, cab.program)


def said(check: Any, host: Host) -> Finding:
    assert host.config is not None
    found: Finding = check(host, host.config)
    return found


@pytest.fixture
def board() -> Iterator[Any]:
    before, gpiozero.Device.pin_factory = gpiozero.Device.pin_factory, mock.MockFactory()
    yield gpiozero.Device.pin_factory
    gpiozero.Device.pin_factory.reset()
    gpiozero.Device.pin_factory = before


def test_what_is_not_configured_is_no_fault(make_host: MakeHost) -> None:
    assert {said(check, make_host()).text for check in CHECKS} == {"not configured"}


def test_missing_words_are_a_warning_since_tones_are_heard(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found = said(cab.words, make_host(cab={"sound": {"enabled": True}}))
    assert (found.verdict, found.remedy) == (Verdict.WARN, "`sudo apt-get install espeak-ng`")


@pytest.mark.usefixtures("espeak")
def test_each_of_the_user_s_sounds_is_read(make_host: MakeHost, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "anger.wav"), "wb") as file:
        file.setparams((1, 2, 22050, 0, "NONE", ""))
        file.writeframes(b"\0\1" * 100)
    host = make_host(cab={"sound": {"enabled": True, "folder": tmp_path}})
    assert said(cab.words, host).verdict is Verdict.PASS
    (tmp_path / "fatigue.wav").write_bytes(b"no wave")
    found = said(cab.words, host)
    assert found.verdict is Verdict.FAIL
    assert "fatigue.wav" in found.text


def test_a_card_that_is_there_passes_and_one_that_is_not_is_named(make_host: MakeHost, card: Path) -> None:
    assert said(cab.card, make_host(cab={"sound": {"enabled": True, "device": "file"}})).verdict is Verdict.PASS
    found = said(cab.card, make_host(cab={"sound": {"enabled": True, "device": "no_such_card"}}))
    assert found.verdict is Verdict.FAIL
    assert "no_such_card" in found.text
    assert "aplay -L" in found.remedy
    assert not card.exists() or card.stat().st_size == 0


def test_a_card_that_the_service_may_not_use_is_for_the_installer_to_allow(
    make_host: MakeHost, card: Path, tmp_path: Path, nobody: User
) -> None:
    node = tmp_path / "dev/snd/pcmC0D0p"
    node.parent.mkdir(parents=True)
    node.touch(0o660)
    if node.group() == "root":
        os.chown(node, -1, 4242)
    host = make_host(cab={"sound": {"enabled": True, "device": "file"}}, user=nobody)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "group", lambda _: "audio")
        found = said(cab.card, host)
        assert found.verdict is Verdict.WARN
        assert "install.sh --allow" in found.remedy
        (tmp_path / PATH).parent.mkdir(parents=True)
        (tmp_path / PATH).write_text("[Service]\nSupplementaryGroups=audio\n")
        assert said(cab.card, host).verdict is Verdict.PASS
    assert card.parent == tmp_path


@pytest.mark.usefixtures("board")
def test_pins_that_can_be_had_are_named_and_not_moved(make_host: MakeHost, board: Any) -> None:
    found = said(cab.pins, make_host(cab={"gpio": {"led": 17, "buzzer": 22}}))
    assert (found.verdict, found.text) == (Verdict.PASS, "led GPIO17, buzzer GPIO22")
    assert board.pin(17).function == "input"


def test_a_machine_without_pins_says_what_is_needed(make_host: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "no_such_factory")
    found = said(cab.pins, make_host(cab={"button": {"pin": 26}}))
    assert found.verdict is Verdict.FAIL
    assert "Raspberry Pi" in found.remedy
    assert said(cab.button, make_host(cab={"button": {"pin": 26}})).verdict is Verdict.SKIP


def test_a_button_that_is_down_is_a_warning(make_host: MakeHost, board: Any) -> None:
    host = make_host(cab={"button": {"pin": 26}})
    assert said(cab.button, host).verdict is Verdict.PASS

    class Shorted(mock.MockPin):  # type: ignore[misc, name-defined]
        def _get_state(self) -> bool:
            return False

    board.reset()
    board.pin_class = Shorted
    found = said(cab.button, host)
    assert found.verdict is Verdict.WARN
    assert "short" in found.remedy


def test_a_button_whose_pin_the_service_holds_is_not_judged(make_host: MakeHost, board: Any) -> None:
    with gpiozero.LED(26, pin_factory=board):
        found = said(cab.button, make_host(cab={"button": {"pin": 26}}))
    assert found.verdict is Verdict.SKIP


@pytest.mark.parametrize(
    ("mode", "verdict", "word"),
    [(0o755, Verdict.PASS, "can run it"), (0o600, Verdict.FAIL, "cannot be run"), (0o777, Verdict.WARN, "changed by")],
)
def test_a_program_must_run_for_the_service_and_be_nobody_else_s_to_change(
    make_host: MakeHost, tmp_path: Path, nobody: User, mode: int, verdict: Verdict, word: str
) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "warn"
    path.touch()
    path.chmod(mode)
    found = said(cab.program, make_host(cab={"command": {"program": [str(path)]}}, user=nobody))
    assert found.verdict is verdict
    assert word in found.text


def test_a_program_that_is_missing_or_in_a_home_is_refused(make_host: MakeHost, tmp_path: Path) -> None:
    found = said(cab.program, make_host(cab={"command": {"program": [str(tmp_path / "none")]}}))
    assert found.verdict is Verdict.FAIL
    (tmp_path / "warn").touch(0o755)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cab, "HOMES", (str(tmp_path),))
        found = said(cab.program, make_host(cab={"command": {"program": [str(tmp_path / "warn")]}}))
    assert found.verdict is Verdict.FAIL
    assert "/usr/local/bin" in found.remedy


def test_a_unit_that_does_not_allow_what_is_used_is_a_warning_with_the_remedy(
    make_host: MakeHost, tmp_path: Path
) -> None:
    speaks: dict[str, Any] = {"cab": {"sound": {"enabled": True}}}
    assert said(cab.unit, make_host(**speaks)).verdict is Verdict.SKIP
    unit = tmp_path / "etc/systemd/system/evenkeel.service"
    unit.parent.mkdir(parents=True)
    unit.touch()
    assert said(cab.unit, make_host()).text == "nothing more is used"
    found = said(cab.unit, make_host(**speaks))
    assert found.verdict is Verdict.WARN
    assert "install.sh --allow" in found.remedy
    (tmp_path / PATH).parent.mkdir()
    host = make_host(**speaks)
    assert host.config is not None
    (tmp_path / PATH).write_text(drop_in(host.config, [group.gr_name for group in grp.getgrall()]))
    assert said(cab.unit, host).verdict is Verdict.PASS
    assert said(cab.unit, make_host()).verdict is Verdict.WARN
