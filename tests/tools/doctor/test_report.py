"""The report as a whole, and ``evenkeel doctor`` as a user meets it."""

from __future__ import annotations

import io
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from edge.cli import main
from edge.errors import EXIT_CONFIG, EXIT_INTERNAL, EXIT_UNAVAILABLE, ConfigError
from edge.tools.doctor import software
from edge.tools.doctor.finding import Finding, failed, passed, skipped
from edge.tools.doctor.report import CHECKS, Check, as_json, configured, examine, exit_code, print_lines
from edge.tools.doctor.target import Host
from tests.tools.doctor.conftest import MakeHost

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto

Doctor = Callable[..., tuple[int, dict[str, Any]]]


def crash(_: Host) -> Finding:
    raise ZeroDivisionError("a bug")


def lack(_: Host) -> Finding:
    raise ImportError("libGL.so.1: cannot open shared object file")


def good(_: Host) -> Finding:
    return passed("fine")


def test_a_check_that_crashes_is_one_line_and_the_others_go_on(make_host: MakeHost) -> None:
    lines = list(examine(make_host(), [Check("broken", crash), Check("package", lack), Check("good", good)]))
    assert [line.finding.verdict for line in lines] == ["fail", "fail", "pass"]
    assert "ZeroDivisionError: a bug" in lines[0].finding.text
    assert [line.finding.exit_code for line in lines] == [EXIT_INTERNAL, EXIT_UNAVAILABLE, 0]


def homeless(_: Host) -> Finding:
    raise ConfigError("outbox.path is not set, and there is no home; set outbox.path")


def test_what_the_user_can_mend_is_no_fault_of_evenkeel(make_host: MakeHost) -> None:
    (line,) = examine(make_host(), [Check("outbox", homeless)])
    assert line.finding == failed("outbox.path is not set, and there is no home", "set outbox.path", EXIT_CONFIG)


def test_a_wrong_configuration_wins_over_what_it_may_have_caused(make_host: MakeHost) -> None:
    checks = [
        Check("a", crash),
        Check("b", lambda _: failed("no broker", "start it")),
        Check("c", lambda _: failed("wrong", "correct it", EXIT_CONFIG)),
    ]
    lines = list(examine(make_host(), checks))
    assert [exit_code(lines[:count]) for count in range(4)] == [0, EXIT_INTERNAL, EXIT_UNAVAILABLE, EXIT_CONFIG]


def test_what_needs_the_configuration_is_not_looked_at_where_it_is_wrong() -> None:
    host = Host(None, ConfigError("x.toml: camera.fps = 0"), None, {}, user=Host.here(None, {}).user)
    line, config = examine(host, [Check("models", configured(software.models)), Check("c", software.configuration)])
    assert line.finding.verdict == "skip"
    assert "skipped" in line.finding.text
    assert (config.finding.exit_code, config.finding.text) == (EXIT_CONFIG, "x.toml: camera.fps = 0")


def test_lines_on_a_pipe_are_plain_and_whole(make_host: MakeHost) -> None:
    out = io.StringIO()
    long = "x" * 300
    checks = [Check("good", good), Check("bad", lambda _: failed(long, "mend [it]"))]
    print_lines(examine(make_host(), checks), Console(file=out))
    first, second, remedy, counts = out.getvalue().splitlines()
    assert first.split() == ["pass", "good", "fine"]
    assert second.endswith(long)
    assert remedy.strip() == "-> mend [it]"
    assert counts == "1 pass, 0 skip, 0 warn, 1 fail"


def test_what_cannot_be_told_is_neither_passed_nor_failed(make_host: MakeHost) -> None:
    out = io.StringIO()
    lines = print_lines(examine(make_host(), [Check("x", lambda _: skipped("who knows"))]), Console(file=out))
    assert out.getvalue().split()[:4] == ["skip", "x", "who", "knows"]
    assert "0 pass, 1 skip" in out.getvalue()
    assert exit_code(lines) == 0


def test_every_failure_and_warning_of_json_has_its_fields(make_host: MakeHost) -> None:
    report = json.loads(as_json(examine(make_host(), [Check("bad", lambda _: failed("no", "do it", n=1))])))
    assert report["exit_code"] == EXIT_UNAVAILABLE
    assert report["checks"] == [
        {"check": "bad", "verdict": "fail", "text": "no", "remedy": "do it", "figures": {"n": 1}}
    ]


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Doctor:
    """``evenkeel doctor --json`` with a folder of pictures as camera: exit code and checks by name."""
    import cv2  # noqa: PLC0415 - only for these
    import numpy as np  # noqa: PLC0415 - as above

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    cv2.imwrite(str(pictures / "a.png"), np.random.default_rng(0).integers(0, 255, (120, 160), np.uint8))

    def run(text: str = "", port: int = 1) -> tuple[int, dict[str, Any]]:
        file = tmp_path / "evenkeel.toml"
        camera = f'[camera]\nsource = "{pictures}"\n' if "[camera]" not in text else ""
        outbox = f'[outbox]\npath = "{tmp_path / "outbox.db"}"\n'
        file.write_text(f'{camera}{outbox}[mqtt]\nhost = "127.0.0.1"\nport = {port}\n{text}')
        monkeypatch.setattr(sys, "argv", ["evenkeel", "doctor", "--json", "--config", str(file)])
        with pytest.raises(SystemExit) as ended:
            main()
        report = json.loads(capsys.readouterr().out)
        checks = {check["check"]: check for check in report["checks"]}
        assert list(checks) == [check.name for check in CHECKS]
        assert not [name for name, check in checks.items() if "itself failed" in check["text"]]
        assert report["exit_code"] == (ended.value.code or 0)
        return report["exit_code"], checks

    return run


def test_with_broker_and_pictures_nothing_fails(doctor: Doctor, mosquitto: Mosquitto) -> None:
    code, checks = doctor(port=mosquitto.port)
    assert code == 0, [check for check in checks.values() if check["verdict"] == "fail"]
    assert checks["models"]["verdict"] == "pass"
    assert checks["inference"]["figures"]["ms"] > 0
    assert checks["picture"]["figures"]["width_px"] == 160


def test_without_a_broker_the_reason_is_said(doctor: Doctor) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        code, checks = doctor(port=unused.getsockname()[1])
    assert code == EXIT_UNAVAILABLE
    assert "refused: nothing listens there" in checks["broker"]["text"]


def test_a_wrong_password_is_told_from_a_broker_that_is_away(
    doctor: Doctor, make_mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    empty = tmp_path / "nobody"
    empty.touch(mode=0o600)
    broker = make_mosquitto(settings=f"allow_anonymous false\npassword_file {empty}")
    password = tmp_path / "password"
    password.write_text("wrong")
    password.chmod(0o644)
    code, checks = doctor(f'username = "van"\npassword_file = "{password}"\n', broker.port)
    assert code == EXIT_UNAVAILABLE
    assert "not authorised" in checks["broker"]["text"]
    assert (checks["credentials"]["verdict"], "mode 644" in checks["credentials"]["text"]) == ("warn", True)


def test_a_password_file_that_is_missing_is_a_wrong_configuration(doctor: Doctor) -> None:
    code, checks = doctor('username = "van"\npassword_file = "/no/such"\n')
    assert code == EXIT_CONFIG
    assert "/no/such: cannot be read" in checks["broker"]["text"]


def test_a_camera_that_is_missing_is_exit_69_and_the_rest_is_still_told(doctor: Doctor, mosquitto: Mosquitto) -> None:
    code, checks = doctor('[camera]\nsource = "/no/such.mp4"\n', mosquitto.port)
    assert code == EXIT_UNAVAILABLE
    assert checks["picture"]["text"].startswith("camera /no/such.mp4: no such file")
    assert checks["broker"]["verdict"] == "pass"


def test_a_tampered_model_is_exit_78(doctor: Doctor, tmp_path: Path) -> None:
    from edge.vision.manifest import bundled  # noqa: PLC0415 - only here

    manifest = tmp_path / "face.toml"
    manifest.write_text(bundled("face").read_text())
    (tmp_path / "face.tflite").write_bytes(b"no model")
    code, checks = doctor(f'[vision]\nface_model = "{manifest}"\n')
    assert code == EXIT_CONFIG
    assert "expected sha256" in checks["models"]["text"]
