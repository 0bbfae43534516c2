"""A device that is renamed or taken away leaves nothing retained behind, and takes nothing from anybody else."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.messages import made_state
from edge.cli import main
from edge.config import Config
from edge.errors import EXIT_UNAVAILABLE, EXIT_USAGE, UnavailableError
from edge.mqtt.client import Publisher
from edge.mqtt.discovery import part_topics
from edge.mqtt.exclusive import claim_device
from edge.mqtt.identity import Identity, IdentityFile
from edge.mqtt.retire import retire
from edge.service.loop import board_stamp
from edge.service.retirements import Retirements

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber

Subscribe = Callable[..., "Subscriber"]
Publish = Callable[..., Publisher]
Command = Callable[..., tuple[int, str, str]]

DESCRIPTION = "homeassistant/device/van-7_e-health/config"  # the last of its parts


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.mqtt.retire.LISTEN_S", 0.3)


@pytest.fixture
def evenkeel(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    def run(port: int, *args: str, config: str = "") -> tuple[int, str, str]:
        file = tmp_path / "evenkeel.toml"
        file.write_text(f'device.id = "van-7"\nmqtt.host = "127.0.0.1"\nmqtt.port = {port}\n{config}')
        monkeypatch.setattr(sys, "argv", ["evenkeel", *args, "--config", str(file)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def configuration(port: int = 1, device: str = "van-7", **mqtt: Any) -> Config:
    return Config.model_validate({"device": {"id": device}, "mqtt": {"host": "127.0.0.1", "port": port, **mqtt}})


def still_retained(port: int, subscribe: Subscribe) -> dict[str, bytes]:
    """What a newcomer is told at once."""
    newcomer = subscribe(port)
    newcomer.publish("marker", "now")
    newcomer.wait_for("marker", b"now")
    return {message.topic: message.payload for message in newcomer.messages if message.topic != "marker"}


def leave_behind(port: int, publish_to: Publish, subscribe: Subscribe) -> None:
    """Have van-7 speak and stop."""
    hears = subscribe(port)
    publisher = publish_to(port)
    hears.wait_for(DESCRIPTION)
    hears.wait_for("evenkeel/van-7/state")
    publisher.stop()
    hears.wait_for("evenkeel/van-7/availability", b"offline")


def test_a_retired_device_leaves_nothing_retained_and_others_are_left_alone(
    mosquitto: Mosquitto, publish_to: Publish, subscribe: Subscribe, evenkeel: Command
) -> None:
    leave_behind(mosquitto.port, publish_to, subscribe)
    tester = subscribe(mosquitto.port)
    # of a kind that this version does not know, and of another device
    tester.publish("evenkeel/van-7/alert/boredom", "ON", retain=True)
    tester.publish("evenkeel/van-77/state", "x", retain=True)
    code, out, _ = evenkeel(mosquitto.port, "retire")
    assert (code, "evenkeel/van-7 at localhost:" in out) == (0, True)
    assert still_retained(mosquitto.port, subscribe) == {"evenkeel/van-77/state": b"x"}
    assert evenkeel(mosquitto.port, "retire")[0] == 0  # and once more does no harm


def test_another_device_is_retired_by_its_id(mosquitto: Mosquitto, subscribe: Subscribe, evenkeel: Command) -> None:
    tester = subscribe(mosquitto.port)
    tester.publish("evenkeel/van-8/availability", "offline", retain=True)
    tester.publish("homeassistant/device/van-8/config", "{}", retain=True)
    tester.publish("evenkeel/van-7/availability", "offline", retain=True)
    assert evenkeel(mosquitto.port, "retire", "--device", "van-8")[0] == 0
    assert still_retained(mosquitto.port, subscribe) == {"evenkeel/van-7/availability": b"offline"}


@pytest.mark.parametrize("name", ["van/8", "#", "", "x" * 65])
def test_what_can_be_no_device_is_refused(evenkeel: Command, name: str) -> None:
    code, _, err = evenkeel(1, "retire", "--device", name)
    assert (code, "make a device.id" in err) == (EXIT_USAGE, True)


def test_a_device_that_is_online_keeps_its_topics_unless_force_is_used(
    mosquitto: Mosquitto, publish_to: Publish, subscribe: Subscribe, evenkeel: Command
) -> None:
    hears = subscribe(mosquitto.port)
    publish_to(mosquitto.port)
    hears.wait_for("evenkeel/van-7/availability", b"online")
    hears.wait_for("homeassistant/device/van-7_e-health/config")  # the last one
    before = still_retained(mosquitto.port, subscribe)
    code, _, err = evenkeel(mosquitto.port, "retire")
    assert (code, "is online: nothing was cleared" in err) == (EXIT_UNAVAILABLE, True), err
    assert still_retained(mosquitto.port, subscribe).keys() == before.keys()
    assert evenkeel(mosquitto.port, "retire", "--force")[0] == 0
    hears.wait_for("evenkeel/van-7/availability", b"")


def test_a_service_of_this_machine_is_named_and_left_alone(mosquitto: Mosquitto, evenkeel: Command) -> None:
    with claim_device(configuration(mosquitto.port)):
        code, _, err = evenkeel(mosquitto.port, "retire", "--force")
    assert (code, "is in use by" in err) == (EXIT_UNAVAILABLE, True)


def test_without_a_broker_it_says_why(evenkeel: Command) -> None:
    code, _, err = evenkeel(1, "retire")
    assert (code, "nothing listens there" in err) == (EXIT_UNAVAILABLE, True)


def test_a_renamed_device_clears_its_former_name_at_the_next_start(
    mosquitto: Mosquitto, publish_to: Publish, subscribe: Subscribe, tmp_path: Path, until: Callable[..., None]
) -> None:
    leave_behind(mosquitto.port, publish_to, subscribe)
    path = tmp_path / "outbox.db"
    with Retirements(configuration(mosquitto.port), IdentityFile(path), {}):
        pass
    assert "evenkeel/van-7/state" in still_retained(mosquitto.port, subscribe)
    file = IdentityFile(path)
    with Retirements(configuration(mosquitto.port, "van-8"), file, {}):
        until(lambda: file.remember(Identity.of(configuration(mosquitto.port, "van-8"))) == [], "the clearing")
    assert still_retained(mosquitto.port, subscribe) == {}


def test_the_shipped_access_list_lets_the_monitor_clear_a_former_name(
    make_mosquitto: Callable[..., Mosquitto],
    passwords: Callable[..., Path],
    subscribe: Subscribe,
    tmp_path: Path,
) -> None:
    import edge.mqtt  # noqa: PLC0415 - for where it lies

    acl = tmp_path / "vehicle.acl"
    acl.write_text(
        (Path(edge.mqtt.__file__).parent / "mosquitto/vehicle.acl").read_text() + "\nuser tester\ntopic readwrite #\n"
    )
    acl.chmod(0o600)
    users = passwords("tester", "evenkeel")
    broker = make_mosquitto(f"allow_anonymous false\npassword_file {users}\nacl_file {acl}")
    tester = subscribe(broker.port, user=("tester", "tester"))
    tester.publish("evenkeel/van-7/availability", "online", retain=True)
    secret = tmp_path / "secret"
    secret.write_text("evenkeel\n")
    config = configuration(broker.port, "van-8", username="evenkeel", password_file=str(secret))
    gone = Identity.of(configuration(broker.port))
    with pytest.raises(UnavailableError, match="is online"):
        retire(config, {}, gone)
    tester.publish("evenkeel/van-7/availability", "offline", retain=True)
    retire(config, {}, gone)
    tester.wait_for("evenkeel/van-7/availability", b"")


# ---- what is remembered ----


def names(identities: list[Identity]) -> list[str]:
    return [identity.name for identity in identities]


def test_every_former_name_is_remembered_until_it_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    ids = [Identity.of(configuration(device=name)) for name in ("van-1", "van-2", "van-3")]
    assert names(IdentityFile(path).remember(ids[0])) == []
    assert names(IdentityFile(path).remember(ids[0])) == []
    assert names(IdentityFile(path).remember(ids[1])) == ["evenkeel/van-1"]
    assert names(IdentityFile(path).remember(ids[2])) == ["evenkeel/van-1", "evenkeel/van-2"]
    IdentityFile(path).forget(ids[0])
    assert names(IdentityFile(path).remember(ids[2])) == ["evenkeel/van-2"]


def test_a_device_that_gets_its_old_name_back_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    old, new = (Identity.of(configuration(device=name)) for name in ("van-1", "van-2"))
    IdentityFile(path).remember(old)
    IdentityFile(path).remember(new)
    assert names(IdentityFile(path).remember(old)) == ["evenkeel/van-2"]


def test_another_prefix_or_place_of_the_description_is_another_name(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    first = configuration()
    IdentityFile(path).remember(Identity.of(first))
    moved = first.model_copy(update={"discovery": first.discovery.model_copy(update={"prefix": "ha"})})
    (left,) = IdentityFile(path).remember(Identity.of(moved))
    base = "homeassistant/device/van-7/config"
    assert set(left.retained) - set(Identity.of(moved).retained) == {base, *part_topics(base)}
    other = configuration(prefix="fleet")
    assert "evenkeel/van-7" in names(IdentityFile(path).remember(Identity.of(other)))


def test_what_another_broker_retains_is_said_and_not_looked_for_here(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "outbox.db"
    IdentityFile(path).remember(Identity.of(configuration(port=1)))
    assert IdentityFile(path).remember(Identity.of(configuration(port=2))) == []
    assert "this device was evenkeel/van-7 at localhost:1" in caplog.text
    caplog.clear()
    assert IdentityFile(path).remember(Identity.of(configuration(port=2))) == []
    assert caplog.text == ""


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"schema": 2}', b"[]", b'{"schema": 1, "own": 3}'])
def test_a_damaged_file_is_said_and_written_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    path = tmp_path / "outbox.db"
    (tmp_path / "outbox.db.identity").write_bytes(content)
    own = Identity.of(configuration())
    assert IdentityFile(path).remember(own) == []
    assert "damaged" in caplog.text
    assert names(IdentityFile(path).remember(Identity.of(configuration(device="van-8")))) == ["evenkeel/van-7"]


def test_a_disk_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    file = IdentityFile(tmp_path / "file" / "outbox.db")
    for name in ("van-7", "van-8", "van-9"):
        assert file.remember(Identity.of(configuration(device=name))) == []
    assert len(caplog.records) == 1


def test_it_is_tried_again_and_the_reason_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, until: Callable[..., None]
) -> None:
    path, tries, cleared = tmp_path / "outbox.db", [0], threading.Event()
    IdentityFile(path).remember(Identity.of(configuration()))

    def clear(*_: object, keep: tuple[str, ...]) -> None:
        tries[0] += 1
        if tries[0] < 4:
            raise UnavailableError("broker localhost:1: refused: nothing listens there")
        assert "evenkeel/van-8/state" in keep
        cleared.set()

    file = IdentityFile(path)
    entered: AbstractContextManager[object] = Retirements(
        configuration(device="van-8"), file, {}, clear=clear, first_pause_s=0.001
    )
    with entered:
        assert cleared.wait(10)
        until(lambda: file.remember(Identity.of(configuration(device="van-8"))) == [], "that it is noted")
    assert caplog.text.count("former name evenkeel/van-7 is not cleared yet") == 1


def test_nothing_is_retained_under_a_name_that_a_publisher_does_not_know(
    mosquitto: Mosquitto, publish_to: Publish, subscribe: Subscribe
) -> None:
    hears = subscribe(mosquitto.port)
    publisher = publish_to(mosquitto.port)
    publisher.publish_state(made_state(board_stamp()))
    hears.wait_for(DESCRIPTION)
    hears.wait_for("evenkeel/van-7/state")
    left = still_retained(mosquitto.port, subscribe)
    assert set(left) <= set(Identity.of(configuration(mosquitto.port)).retained)


def test_a_password_that_is_refused_is_not_shown(
    make_mosquitto: Callable[..., Mosquitto], passwords: Callable[..., Path], evenkeel: Command, tmp_path: Path
) -> None:
    broker = make_mosquitto(f"allow_anonymous false\npassword_file {passwords('van-7')}")
    secret = tmp_path / "secret"
    secret.write_text("canary4711")
    config = f'mqtt.username = "van-7"\nmqtt.password_file = "{secret}"\n'
    for command in ("retire", "doctor"):
        code, out, err = evenkeel(broker.port, command, config=config)
        assert code == EXIT_UNAVAILABLE
        assert "password" in out + err
        assert "canary4711" not in out + err


def test_what_is_removed_from_home_assistant_is_forgotten_by_the_broker_where_that_is_asked_for(
    mosquitto: Mosquitto, subscribe: Subscribe, evenkeel: Command
) -> None:
    says = subscribe(mosquitto.port)
    for name in ("availability", "state", "health", "alert/anger"):
        says.publish(f"evenkeel/van-7/{name}", b"OFF", retain=True)
    says.publish(DESCRIPTION, b"{}", retain=True)
    code, out, _ = evenkeel(mosquitto.port, "discovery", "--remove", "--forget")
    assert code == 0
    assert "retained topics cleared" in out
    assert still_retained(mosquitto.port, subscribe) == {}


def test_forgetting_alone_is_refused_because_it_would_leave_the_description(evenkeel: Command) -> None:
    code, _, err = evenkeel(1, "discovery", "--forget")
    assert code == EXIT_USAGE
    assert "--remove --forget" in err
