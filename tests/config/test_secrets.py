"""What opens a camera or a broker comes from files of its own, and is printed nowhere."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.camera import Camera, open_camera, without_credentials
from edge.camera.newest import NewestFrame
from edge.cli import main
from edge.config import CameraConfig, Config, load_config
from edge.config.secrets import exposed, has_password, redact, with_camera_source
from edge.errors import CameraError, ConfigError
from edge.log import DiscreetFormatter, JournalFormatter

CANARY = "canary4711"
ADDRESS = f"rtsp://driver:{CANARY}@127.0.0.1:9/stream"
FORMS = (
    ADDRESS,
    f"RTSP://driver:{CANARY}@127.0.0.1:9/",
    f" rtsp://driver:{CANARY}@127.0.0.1:9/",
    f"rtsp:/driver:{CANARY}@127.0.0.1",
    f"rtps//driver:{CANARY}@127.0.0.1",
    f"driver:{CANARY}@127.0.0.1/stream",
    f"rtsp://driver:p@{CANARY}@127.0.0.1:9/",
    f"rtsp://driver:{CANARY}/x@127.0.0.1:9/",
    f"http://127.0.0.1:9/shot?user=driver&password={CANARY}",
    f"gst:rtspsrc location=rtsp://driver:{CANARY}@127.0.0.1:9 ! fakesink",
    f"gst:rtspsrc location=rtsp://127.0.0.1:9 user-id=driver user-pw={CANARY} ! appsink",
)

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def evenkeel(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Runs a command on a configuration; gives the exit code and everything that was printed or logged."""

    def run(text: str, *args: str, name: str = "--config") -> tuple[int, str]:
        file = tmp_path / "evenkeel.toml"
        file.write_text(text)
        file.chmod(0o600)
        rest = [name, str(file)] if name else [str(file)]
        monkeypatch.setattr(sys, "argv", ["evenkeel", "--log-level", "debug", *args, *rest])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capfd.readouterr()
        return code, out + err

    return run


@pytest.fixture(autouse=True)
def _logging_stays() -> None:
    logging.getLogger().setLevel(logging.WARNING)


def toml(text: str) -> str:
    return json.dumps(text)  # a JSON string is one of TOML


@pytest.mark.parametrize("source", FORMS)
def test_no_form_of_an_address_shows_its_password(source: str) -> None:
    for shown in (redact(f"camera {source}: cannot be opened"), redact(repr([source])), without_credentials(source)):
        assert CANARY not in shown
        assert "fakesink" in shown or "127.0.0.1" in shown or shown.startswith("gst:rtspsrc")


@pytest.mark.parametrize(
    "text",
    [
        "broker localhost:1883: refused: nothing listens there",
        "mqtt.password_file = /etc/evenkeel/mqtt_password: cannot be read: Permission denied",
        "14:58:01 INFO edge.mqtt.client: connected to [::1]:1883 with MQTT 5",
        "device evenkeel/van-7 at broker.example:8883 is already in use by evenkeel (pid 3) of user root",
        "refused: bad user name or password",
    ],
)
def test_what_holds_no_secret_is_shown_as_it_is(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("source", FORMS)
def test_no_command_prints_the_camera_s_password(evenkeel: Command, source: str) -> None:
    config = f"mqtt.port = 1\nheat.step = 0.5\n[camera]\nsource = {toml(source)}\ntimeout_s = 0.3\n"
    for command in (["check"], ["doctor"], ["doctor", "--json"], ["aim", "--until-good"], ["discovery"]):
        _, printed = evenkeel(config, *command, name="" if command == ["check"] else "--config")
        assert printed
        assert CANARY not in printed


@pytest.mark.parametrize(
    "text",
    [
        f'camera.source = ["{ADDRESS}"]',
        f'camera = "{ADDRESS}"',
        f'camera.source_file = "{ADDRESS}"',
        f'camera.source_file = "{CANARY}"',
        f'camera.source = "{ADDRESS}"\ncamera.source_file = "/etc/x"',
        f'mqtt.password = "{CANARY}"',
        f'mqtt.username = "van-7"\nmqtt.password_file = "{CANARY}"',
        f'mqtt.host = "mqtt://van-7:{CANARY}@127.0.0.1"',
        f'mqtt.host = "van-7:{CANARY}@127.0.0.1"',
        f'mqtt.prefix = "mqtt://van-7:{CANARY}@127.0.0.1"',
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_without_being_shown(
    evenkeel: Command, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    for command in (["check"], ["doctor"], ["run", "--source", "no such clip"], ["outbox", "--flush"], ["retire"]):
        monkeypatch.setenv("STATE_DIRECTORY", "/nonexistent")
        _, printed = evenkeel(text, *command, name="" if command == ["check"] else "--config")
        assert CANARY not in printed


def test_whatever_is_logged_shows_no_password() -> None:
    for formatter in (DiscreetFormatter("%(message)s"), JournalFormatter("%(message)s")):
        fault = ValueError(f"driver says {ADDRESS}")
        record = logging.LogRecord(
            "x", logging.ERROR, "", 0, "opened %s", (ADDRESS,), (ValueError, fault, fault.__traceback__)
        )
        shown = formatter.format(record)
        assert "ValueError" in shown
        assert CANARY not in shown


def test_no_representation_of_a_configuration_shows_it() -> None:
    config = Config.model_validate({"camera": {"source": ADDRESS}})
    assert CANARY not in f"{config!r} {config} {config.camera}"


def test_the_reason_for_being_blind_shows_none() -> None:
    def fail() -> Camera:
        raise CameraError(f"driver: {ADDRESS}: no route")

    with NewestFrame(fail, CameraConfig(reopen_min_s=30)) as newest:
        while (blind := newest.blindness()) is None:
            assert newest.take(0.01) is None
    assert CANARY not in blind[1]
    assert "no route" in blind[1]


# ---- where the source comes from ----


def test_the_source_is_read_from_the_named_file(tmp_path: Path) -> None:
    file = tmp_path / "source"
    file.write_bytes(b"\xef\xbb\xbf" + ADDRESS.encode() + b"\r\n")
    config = Config.model_validate({"camera": {"source_file": file}})
    assert with_camera_source(config, {}).camera.source == ADDRESS


def test_systemd_s_credential_is_taken_where_the_configuration_names_no_source(tmp_path: Path) -> None:
    (tmp_path / "camera_source").write_text(f"{ADDRESS}\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert with_camera_source(Config(), environ).camera.source == ADDRESS
    named = Config.model_validate({"camera": {"source": "picamera2"}})
    assert with_camera_source(named, environ).camera.source == "picamera2"
    (tmp_path / "camera_source").write_text("\n")  # the unit's credential where the board has none
    assert with_camera_source(Config(), environ).camera.source == "picamera2"
    assert with_camera_source(Config(), {"CREDENTIALS_DIRECTORY": str(tmp_path / "x")}).camera.source == "picamera2"


@pytest.mark.parametrize("content", [b"", b"\n", f"{ADDRESS}\n{ADDRESS}\n".encode(), b"\xff\xfe\x00"])
def test_a_file_that_holds_no_source_is_refused_without_being_shown(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "source"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"camera\.source_file") as refused:
        with_camera_source(Config.model_validate({"camera": {"source_file": file}}), {})
    assert CANARY not in str(refused.value)


def test_source_and_source_file_together_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "evenkeel.toml"
    file.write_text(f'[camera]\nsource = "{ADDRESS}"\nsource_file = "/etc/evenkeel/camera_source"\n')
    with pytest.raises(ConfigError, match="not both") as refused:
        load_config(file, {})
    assert CANARY not in str(refused.value)


def test_a_password_on_the_command_line_is_warned_of(evenkeel: Command) -> None:
    _, printed = evenkeel("mqtt.port = 1\n", "aim", "--source", ADDRESS)
    assert "--source contains a password" in printed
    assert CANARY not in printed


# ---- who can read it ----


@pytest.mark.parametrize(("mode", "told"), [(0o644, True), (0o640, False), (0o600, False)])
def test_a_password_that_everybody_can_read_is_warned_of(tmp_path: Path, mode: int, told: bool) -> None:  # noqa: FBT001 - a column
    file = tmp_path / "evenkeel.toml"
    file.write_text(f'camera.source = "{ADDRESS}"\n')
    file.chmod(mode)
    warning = exposed(file, load_config(file, {}))
    assert (warning is not None) is told
    assert CANARY not in (warning or "")


def test_a_source_without_a_password_may_be_read_by_everybody(tmp_path: Path) -> None:
    file = tmp_path / "evenkeel.toml"
    file.write_text('camera.source = "rtsp://127.0.0.1/stream"\n')
    file.chmod(0o644)
    assert exposed(file, load_config(file, {})) is None
    assert not has_password("rtsp://viewer@127.0.0.1/stream")


def test_check_warns_and_still_says_valid(evenkeel: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "chmod", lambda *_: None)  # as an editor leaves it
    (tmp_path / "evenkeel.toml").touch(mode=0o644)
    code, printed = evenkeel(f'camera.source = "{ADDRESS}"\n', "check", name="")
    assert code == 0
    assert "valid" in printed
    assert "everybody on this machine can read it" in printed
    assert CANARY not in printed


def test_a_camera_that_cannot_be_opened_shows_none() -> None:
    for source in FORMS[:6]:
        with pytest.raises(CameraError) as refused:
            open_camera(CameraConfig(source=source, timeout_s=0.1))
        assert CANARY not in str(refused.value)
