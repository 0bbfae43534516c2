"""The command line: what is printed, what is said when something is wrong, and with which exit code."""

from __future__ import annotations

import gzip
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge import __version__
from edge.cli import app, main
from edge.vision.manifest import bundled

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def evenkeel(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process: exit code, stdout, stderr."""

    def run(*args: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["evenkeel", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """One and a half seconds of a grey gradient: a picture, but no face."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (160, 120))
    picture = np.tile(np.linspace(40, 200, 160).astype(np.uint8), (120, 1))
    for _ in range(15):
        writer.write(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


def config_file(folder: Path, text: str) -> Path:
    path = folder / "evenkeel.toml"
    path.write_text(text)
    return path


def test_the_version_is_printed(evenkeel: Command) -> None:
    assert evenkeel("--version") == (0, f"evenkeel {__version__}\n", "")


@pytest.mark.parametrize("args", [["fly"], ["run", "--speed", "9"], ["replay"], ["bench", "--frames", "0"]])
def test_wrong_usage_is_exit_2(evenkeel: Command, args: list[str]) -> None:
    code, _, err = evenkeel(*args)
    assert code == 2
    assert "Traceback" not in err


def test_a_valid_configuration_is_said_to_be(evenkeel: Command, tmp_path: Path) -> None:
    path = config_file(tmp_path, "[camera]\nfps = 10\n")
    assert evenkeel("check", path) == (0, f"{path}: valid\n", "")


def test_what_is_in_effect_is_printed_with_where_it_comes_from(
    evenkeel: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENKEEL_MQTT__HOST", "broker")
    path = config_file(tmp_path, "[heat]\nhot_c = 70\n[camera]\nfps = 10\n")
    code, out, _ = evenkeel("check", path, "--show")
    assert code == 0
    assert out.startswith(f"# {path}: valid\n")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "fps = 10.0 # evenkeel.toml:4" in lines
    assert "hot_c = 70.0 # evenkeel.toml:2" in lines
    assert 'host = "broker" # EVENKEEL_MQTT__HOST' in lines
    assert "port = 1883 # default" in lines
    assert "up_s" not in out
    assert "up_s = 60.0 # default" in " ".join(evenkeel("check", path, "--show", "--all")[1].split())


def test_all_of_nothing_is_wrong_usage(evenkeel: Command) -> None:
    assert evenkeel("check", "--all") == (2, "", "evenkeel: --all needs --show\n")


def test_a_replay_lists_its_alerts(evenkeel: Command, tmp_path: Path) -> None:
    trace = Path(__file__).parent / "decision" / "decisions" / "demo-0.1.0.jsonl.gz"
    path = tmp_path / "demo.jsonl"
    path.write_bytes(gzip.decompress(trace.read_bytes()))
    code, out, _ = evenkeel("replay", path)
    assert code == 0
    assert [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")] == ["anger", "distress"]
    assert max(map(len, out.splitlines())) <= 80


def test_the_schema_is_printed_for_editors(evenkeel: Command) -> None:
    code, out, _ = evenkeel("check", "--schema")
    assert code == 0
    assert "camera" in json.loads(out)["properties"]


@pytest.mark.parametrize("command", [["check"], ["run", "--config"], ["models", "--config"], ["bench", "--config"]])
def test_a_wrong_configuration_is_one_line_and_exit_78(evenkeel: Command, tmp_path: Path, command: list[str]) -> None:
    path = config_file(tmp_path, "[camera]\nfps = 0\n")
    code, out, err = evenkeel(*command, path)
    assert (code, out) == (78, "")
    assert err.startswith(f"evenkeel: {path}: camera.fps = 0")
    assert len(err.splitlines()) == 1


def test_two_faults_are_two_lines(evenkeel: Command, tmp_path: Path) -> None:
    _, _, err = evenkeel("check", config_file(tmp_path, "[camera]\nfps = 0\n[mqtt]\nport = 0\n"))
    assert [line.startswith("evenkeel: ") for line in err.splitlines()] == [True, True]


def test_a_missing_configuration_is_one_line_and_exit_78(evenkeel: Command) -> None:
    assert evenkeel("check", "/no/such.toml") == (
        78,
        "",
        "evenkeel: /no/such.toml: no such file; give an existing one with --config\n",
    )


def test_models_are_listed_with_version_and_checksum(evenkeel: Command) -> None:
    code, out, _ = evenkeel("models")
    assert code == 0
    assert "face.tflite" in out
    assert "expression.tflite" in out


def tampered(folder: Path, name: str, spoil: Callable[[bytes], bytes]) -> Path:
    """A configuration whose ``name`` model is the bundled one, spoilt."""
    manifest = bundled("face" if name == "face" else "expression")
    shutil.copy(manifest, folder / manifest.name)
    (folder / f"{name}.tflite").write_bytes(spoil((manifest.parent / f"{name}.tflite").read_bytes()))
    return config_file(folder, f'[vision]\n{name}_model = "{folder / manifest.name}"\n')


@pytest.mark.parametrize("command", ["models", "run"])
@pytest.mark.parametrize("name", ["face", "expression"])
def test_a_model_that_was_cut_short_is_refused_with_both_checksums(
    evenkeel: Command, tmp_path: Path, command: str, name: str
) -> None:
    code, _, err = evenkeel(command, "--config", tampered(tmp_path, name, lambda content: content[:-100]))
    assert code == 78
    assert f"{name}.tflite: expected sha256" in err
    assert len(err.splitlines()) == 1


def test_swapped_models_are_refused(evenkeel: Command, tmp_path: Path) -> None:
    path = config_file(tmp_path, f'[vision]\nface_model = "{bundled("expression")}"\n')
    code, _, err = evenkeel("run", "--config", path)
    assert code == 78
    assert "'expression', expected 'face'" in err


@pytest.mark.parametrize("command", [["replay"], ["run", "--source"]])
def test_a_clip_that_is_not_there_is_one_line_and_exit_69(evenkeel: Command, command: list[str]) -> None:
    code, _, err = evenkeel("--log-level", "error", *command, "/no/such.mp4")
    assert code == 69
    assert "/no/such.mp4" in err
    assert len([line for line in err.splitlines() if line.startswith("evenkeel: ")]) == 1
    assert "Traceback" not in err


@pytest.mark.parametrize("command", [["replay"], ["run", "--source"]])
def test_a_clip_that_is_no_clip_is_one_line_and_exit_69(evenkeel: Command, tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("no video\n")
    code, _, err = evenkeel("--log-level", "error", *command, path)
    assert code == 69
    assert f"evenkeel: camera {path}: not a video" in err
    assert "Traceback" not in err


def test_an_empty_source_is_wrong(evenkeel: Command) -> None:
    code, _, err = evenkeel("run", "--source", "")
    assert code == 2
    assert "source" in err


def test_a_replay_says_what_it_saw_and_writes_a_trace(evenkeel: Command, clip: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    code, out, _ = evenkeel("replay", clip, "--trace", trace)
    assert code == 0
    assert "15 frames in 1.4 s, a face in 0.0%" in out
    assert "alerts: anger 0, distress 0" in out
    assert len(trace.read_text().splitlines()) == 15


def test_a_replay_takes_pictures_of_any_size_depth_and_colour(evenkeel: Command, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    noise = np.random.default_rng(0)
    cv2.imwrite(str(pictures / "a.png"), np.full((1, 1), 128, np.uint8))
    cv2.imwrite(str(pictures / "b.png"), noise.integers(0, 65535, (240, 320, 3), np.uint16))
    cv2.imwrite(str(pictures / "c.bmp"), np.tile(noise.integers(0, 255, (60, 80), np.uint8), (100, 100)))
    code, out, _ = evenkeel("replay", pictures)
    assert code == 0
    assert out.startswith("3 frames")


def test_a_replay_names_the_picture_that_cannot_be_read(evenkeel: Command, tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    code, _, err = evenkeel("replay", tmp_path)
    assert code == 69
    assert f"{tmp_path / 'a.png'}: not a picture" in err


def test_bench_prints_every_stage_as_json(evenkeel: Command) -> None:
    code, out, _ = evenkeel("bench", "--frames", "20", "--json")
    report = json.loads(out)
    assert code == 0
    following, searching = report["runs"][:2]
    assert (following["way"], searching["way"]) == ("following", "searching")
    samples = {name: stage["samples"] for name, stage in following["stages"].items()}
    for stage in ("picture", "decision", "rest", "step"):
        assert samples.pop(stage) == 20, stage
    looked = samples.pop("face")  # a face that is still is not looked for in every frame
    for stage in ("follow model", "crop", "quality"):
        assert samples.pop(stage) == looked, stage
    assert 20 - samples.pop("still") <= looked < 20
    assert samples.pop("face model") <= 4, "looks once a second, and where the follow model is unsure"
    for stage in ("eyes", "expression"):  # what is calm and still is not read in every frame
        read = samples.pop(stage)
        assert read == samples.pop(f"{stage} model")
        assert 1 <= read <= 20
    assert not samples
    assert searching["stages"]["face model"]["samples"] == 20
    assert 0 < following["rest_share"] < 1
    assert report["start_s"] > 0


def test_a_row_to_share_is_of_the_bundled_clip_alone(evenkeel: Command, tmp_path: Path) -> None:
    code, _, err = evenkeel("bench", "--share", "--clip", tmp_path / "drive.mp4")
    assert code == 2
    assert "without --clip and --config" in err


@pytest.mark.parametrize("command", [["check", "--schema"], ["models"], ["discovery"], ["--version"], ["outbox"]])
def test_output_that_finds_no_room_is_one_line_and_exit_69(tmp_path: Path, command: list[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    environ = buffered() | {"XDG_STATE_HOME": str(tmp_path)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-c", START, *command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
            check=False,
        )
    assert done.stderr == "evenkeel: the output: No space left on device; make room, or write elsewhere\n"
    assert done.returncode == 69


def test_the_exit_code_is_right_where_stderr_takes_nothing() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-c", START, "check", "/no/such.toml"], stderr=full, env=buffered(), check=False
        )
    assert done.returncode == 78


def test_a_closed_stream_gives_its_number_to_no_file() -> None:
    """What a library prints would get into that file."""
    opening = (
        "import os, sys, edge.cli; from edge.start import main; edge.cli.main = lambda: sys.exit(os.open('/', 0) < 3)"
    )
    closing = ["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh"]
    done = subprocess.run([*closing, sys.executable, "-c", f"{opening}; main()"], check=False)  # noqa: S603 - our own command
    assert done.returncode == 0


def test_too_few_open_files_is_one_line_with_the_remedy(clip: Path, tmp_path: Path) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8)); {START}"
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", limited, "run", "--source", clip, "-c", config_file(tmp_path, "[mqtt]\nport = 1\n")],
        capture_output=True,
        text=True,
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode in {69, 78}
    assert "Too many open files" in done.stderr
    assert "unexpected error" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_user_without_a_home_is_told_what_to_set(
    evenkeel: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HOME", "XDG_STATE_HOME", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    code, _, err = evenkeel("outbox")
    assert code == 78
    assert err.startswith("evenkeel: outbox.path is not set, and this user has no home")
    assert len(err.splitlines()) == 1
    assert evenkeel("outbox", "-c", config_file(tmp_path, f'[outbox]\npath = "{tmp_path}/outbox.db"\n'))[0] == 0


def test_nothing_is_on_stderr_when_nothing_is_wrong(clip: Path) -> None:
    """The TFLite runtime would tell there that it has made a delegate."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", START, "replay", clip], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


@pytest.mark.parametrize("columns", ["20", "40", "80", "200"])
def test_no_table_is_cut_on_a_narrow_terminal(evenkeel: Command, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    _, out, _ = evenkeel("models")
    assert "…" not in out
    for text in ("face.tflite", "expression.tflite", "sha256", "verified"):
        assert text in out


@pytest.mark.parametrize("columns", ["30", "40", "79", "80", "200"])
def test_no_help_is_cut_on_a_narrow_terminal(evenkeel: Command, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for command in app.registered_commands:
        assert command.callback is not None
        _, out, _ = evenkeel(command.callback.__name__, "--help")
        assert "…" not in out


def test_an_unexpected_fault_is_a_short_line_and_exit_70(evenkeel: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("edge.cli.load_config", fail)
    code, _, err = evenkeel("check")
    assert code == 70
    assert err == "evenkeel: unexpected error: ZeroDivisionError: a bug; run evenkeel --log-level debug … for details\n"


def test_the_log_at_debug_has_the_traceback_of_an_unexpected_fault(
    evenkeel: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.cli.load_config", lambda _: 1 / 0)
    assert "Traceback" in evenkeel("--log-level", "debug", "check")[2]


START = "from edge.start import main; main()"


def buffered() -> dict[str, str]:
    """An environment in which the streams have buffers, as users' have: what is left there is written at the end."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def started(*args: str | Path, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", START, *map(str, args)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environ,
    )


@pytest.fixture
def manager(tmp_path: Path) -> Any:
    """A stand-in for systemd: its socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(20.0)
        yield listener


def wait_for(listener: socket.socket, message: bytes) -> None:
    while not listener.recv(512).startswith(message):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_service_stops_within_two_seconds_and_says_offline(
    mosquitto: Any,
    subscribe: Callable[..., Any],
    manager: socket.socket,
    clip: Path,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    path = config_file(tmp_path, f'[device]\nid = "van-7"\n[mqtt]\nport = {mosquitto.port}\n')
    subscriber = subscribe(mosquitto.port)
    service = started("run", "-c", path, "--source", clip, "--loop", NOTIFY_SOCKET=manager.getsockname())
    try:
        wait_for(manager, b"READY=1")
        wait_for(manager, b"WATCHDOG=1")
        subscriber.wait_for("evenkeel/van-7/availability", b"online")
        asked = time.monotonic()
        service.send_signal(number)
        assert service.wait(timeout=10) == 0
        assert time.monotonic() - asked < 2
        subscriber.wait_for("evenkeel/van-7/availability", b"offline")
    finally:
        service.kill()
        _, err = service.communicate()
    assert "Traceback" not in err


def test_the_service_ends_with_the_clip_whether_there_is_a_broker_or_not(
    clip: Path, tmp_path: Path, manager: socket.socket
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        path = config_file(tmp_path, f"[mqtt]\nport = {unused.getsockname()[1]}\n")
    trace = tmp_path / "trace.jsonl"
    service = started("run", "-c", path, "--source", clip, "--trace", trace, NOTIFY_SOCKET=manager.getsockname())
    wait_for(manager, b"READY=1")
    _, err = service.communicate(timeout=20)
    assert service.returncode == 0
    assert "Traceback" not in err
    assert len(trace.read_text().splitlines()) >= 10


def test_sighup_with_a_bad_file_keeps_the_service_up(clip: Path, tmp_path: Path, manager: socket.socket) -> None:
    path = config_file(tmp_path, "[mqtt]\nport = 1\n")
    service = started("run", "-c", path, "--source", clip, "--loop", NOTIFY_SOCKET=manager.getsockname())
    try:
        wait_for(manager, b"READY=1")
        path.write_text("[alerts.anger]\nhold_s = -1\n")
        service.send_signal(signal.SIGHUP)
        wait_for(manager, b"RELOADING=1")
        wait_for(manager, b"READY=1")
        wait_for(manager, b"WATCHDOG=1")
    finally:
        service.terminate()
        _, err = service.communicate(timeout=10)
    assert service.returncode == 0
    assert f"the old configuration stays: {path}: alerts.anger.hold_s = -1" in err


def test_a_reload_that_is_asked_for_before_anything_is_there_does_not_end_the_service(
    clip: Path, tmp_path: Path, manager: socket.socket
) -> None:
    path = config_file(tmp_path, f'[mqtt]\nport = 1\n[outbox]\npath = "{tmp_path}/outbox.db"\n')
    service = started("run", "-c", path, "--source", clip, "--loop", NOTIFY_SOCKET=manager.getsockname())
    try:
        while not holds_back(service.pid, signal.SIGHUP):  # our first line; until then the process is Python's
            assert service.poll() is None
            time.sleep(0.001)
        for _ in range(100):
            service.send_signal(signal.SIGHUP)
            time.sleep(0.01)
        wait_for(manager, b"READY=1")
        wait_for(manager, b"WATCHDOG=1")
    finally:
        service.terminate()
        service.communicate(timeout=10)
    assert service.returncode == 0


def holds_back(pid: int, number: signal.Signals) -> bool:
    (blocked,) = (line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigBlk" in line)
    return bool(int(blocked, 16) >> number - 1 & 1)
