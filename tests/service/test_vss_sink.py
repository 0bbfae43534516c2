"""What a KUKSA databroker is told: its own client against a server of the proto that KUKSA publishes."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.config.vss import VssConfig
from edge.domain import EXPRESSIONS, NO_REASON, Judged, Level, Observation, Sight, Signals, State, Step
from edge.errors import ConfigError, UnavailableError
from edge.service import loop
from edge.service.sinks import Sinks
from edge.service.vss_sink import ENABLED, ERROR, FATIGUE_LEVEL, OVERLAY, WARNING, VssSink, values_of
from tests.service.test_loop import eventually

grpc = pytest.importorskip("grpc", reason="kuksa-client is not installed; pip install 'evenkeel[vss]'")
types_v1 = pytest.importorskip("kuksa.val.v1.types_pb2")
val_v1 = pytest.importorskip("kuksa.val.v1.val_pb2")
v1 = pytest.importorskip("kuksa.val.v1.val_pb2_grpc")
val_v2 = pytest.importorskip("kuksa.val.v2.val_pb2")
v2 = pytest.importorskip("kuksa.val.v2.val_pb2_grpc")

FOLDER = Path(loop.__file__).parent / "vss"
STANDARD = {ENABLED: "BOOLEAN", WARNING: "BOOLEAN", ERROR: "BOOLEAN", FATIGUE_LEVEL: "FLOAT"}
OWN = {f"{OVERLAY}.State": "STRING", f"{OVERLAY}.AngerLevel": "FLOAT", f"{OVERLAY}.DistressLevel": "FLOAT"}


def step_of(state: State = State.CALM, **kinds: Judged) -> Step:
    judged = {"anger": Judged(0.1), "distress": Judged(0.2), "fatigue": Judged(0.3)} | kinds
    signals = Signals(1.0, judged, 1.0, np.zeros(len(EXPRESSIONS), np.float32))
    return Step(Observation(1.0, Sight.FACE), signals, state, NO_REASON, ())


class Databroker(v1.VALServicer, v2.VALServicer):  # type: ignore[name-defined,misc]
    """Answers as KUKSA's does for the leaves that it has; both versions of the protocol have a method of this name."""

    def __init__(self, leaves: dict[str, str]) -> None:
        self.leaves = leaves
        self.told: list[tuple[str, Any]] = []
        self.tokens: set[str] = set()
        self._lock = threading.Lock()

    def Get(self, request: Any, context: Any) -> Any:  # noqa: N802 - the proto's name
        response = val_v1.GetResponse()
        for entry in request.entries:
            if entry.path not in self.leaves:
                context.abort(grpc.StatusCode.NOT_FOUND, f"path not found: {entry.path}")
            kind = types_v1.DataType.Value(f"DATA_TYPE_{self.leaves[entry.path]}")
            response.entries.append(types_v1.DataEntry(path=entry.path, metadata=types_v1.Metadata(data_type=kind)))
        return response

    def PublishValue(self, request: Any, context: Any) -> Any:  # noqa: N802 - the proto's name
        value = request.data_point.value
        with self._lock:
            self.told.append((request.signal_id.path, getattr(value, value.WhichOneof("typed_value"))))
            self.tokens |= {str(item) for key, item in context.invocation_metadata() if key == "authorization"}
        return val_v2.PublishValueResponse()

    @property
    def newest(self) -> dict[str, Any]:
        with self._lock:
            return dict(self.told)


def serve(broker: Databroker, port: int = 0) -> tuple[Any, int]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    v1.add_VALServicer_to_server(broker, server)
    v2.add_VALServicer_to_server(broker, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, bound


@pytest.fixture
def broker() -> Iterator[tuple[Databroker, int]]:
    told = Databroker(STANDARD | OWN)
    server, port = serve(told)
    yield told, port
    server.stop(None).wait()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_name_gets_what_it_means_and_anger_goes_to_a_leaf_of_our_own(broker: tuple[Databroker, int]) -> None:
    told, port = broker
    sink = VssSink(VssConfig(host="127.0.0.1", port=port), Clock())
    sink.take(step_of(State.URGENT, fatigue=Judged(0.816, Level.URGENT)))
    eventually(lambda: len(told.newest) == 7)
    newest = {leaf: round(value, 3) if isinstance(value, float) else value for leaf, value in told.newest.items()}
    assert newest == {
        ENABLED: True,
        WARNING: True,
        ERROR: False,
        FATIGUE_LEVEL: 81.6,
        f"{OVERLAY}.State": "urgent",
        f"{OVERLAY}.AngerLevel": 10.0,
        f"{OVERLAY}.DistressLevel": 20.0,
    }
    assert sink.health.problem is None
    sink.close()
    assert (told.newest[ENABLED], told.newest[WARNING]) == (False, False)


def test_a_stop_tells_nothing_where_nothing_was_told(broker: tuple[Databroker, int]) -> None:
    told, port = broker
    Sinks([VssSink(VssConfig(host="127.0.0.1", port=port), Clock())], shadow=True).close()
    assert told.told == []


@pytest.mark.parametrize(
    ("state", "enabled", "error"),
    [(State.CALM, True, False), (State.PAUSED, False, False), (State.ABSENT, False, False), (State.BLIND, False, True)],
)
def test_enabled_is_while_somebody_is_looked_at_and_an_error_is_a_camera_that_sees_nothing(
    state: State,
    enabled: bool,  # noqa: FBT001 - a case
    error: bool,  # noqa: FBT001 - a case
) -> None:
    values = values_of(step_of(state))
    assert (values[ENABLED], values[ERROR], values[WARNING]) == (enabled, error, False)


def test_a_level_that_cannot_be_read_is_not_told_as_if_it_were_of_now() -> None:
    values = values_of(step_of(State.UNCERTAIN, fatigue=Judged(0.0, readable=False)))
    assert FATIGUE_LEVEL not in values
    assert values[f"{OVERLAY}.AngerLevel"] == 10.0


def test_what_changes_is_told_at_once_and_levels_once_a_second(broker: tuple[Databroker, int]) -> None:
    told, port = broker
    clock = Clock()
    sink = VssSink(VssConfig(host="127.0.0.1", port=port), clock)
    for n in range(30):
        clock.now = n / 15
        sink.take(step_of(anger=Judged(n / 100)))
    eventually(lambda: told.newest.get(f"{OVERLAY}.AngerLevel") == 15.0)
    sink.take(step_of(State.WARNING, anger=Judged(0.9, Level.WARNING)))
    eventually(lambda: told.newest[WARNING] is True)
    assert sum(leaf == ENABLED for leaf, _ in told.told) <= 3
    sink.close()


def test_a_databroker_without_the_overlay_is_told_the_rest_and_health_says_what_it_lacks() -> None:
    told = Databroker(STANDARD)
    server, port = serve(told)
    sink = VssSink(VssConfig(host="127.0.0.1", port=port), Clock())
    sink.take(step_of())
    eventually(lambda: len(told.newest) == 4)
    eventually(lambda: sink.health.problem is not None)
    assert f"has no {OVERLAY}.AngerLevel, {OVERLAY}.DistressLevel, {OVERLAY}.State" in (sink.health.problem or "")
    assert "load the overlay evenkeel.json" in (sink.health.problem or "")
    sink.close()
    server.stop(None).wait()


def test_a_databroker_that_goes_and_comes_back_is_said_and_told_again(caplog: pytest.LogCaptureFixture) -> None:
    told = Databroker(STANDARD | OWN)
    server, port = serve(told)
    clock = Clock()
    sink = VssSink(VssConfig(host="127.0.0.1", port=port), clock)
    sink.take(step_of())
    eventually(lambda: len(told.newest) == 7)
    server.stop(None).wait()

    def lost() -> bool:
        clock.now += 1
        sink.take(step_of(State.WARNING))
        return sink.health.problem is not None

    eventually(lost)
    assert f"databroker 127.0.0.1:{port}: " in (sink.health.problem or "")
    again = Databroker(STANDARD | OWN)
    server, _ = serve(again, port)

    def found() -> bool:
        clock.now += 1
        sink.take(step_of(State.WARNING))
        return again.newest.get(f"{OVERLAY}.State") == "warning"

    eventually(found)
    eventually(lambda: sink.health.problem is None)
    assert caplog.text.count("databroker 127.0.0.1") == 1
    sink.close()
    server.stop(None).wait()


def test_a_token_goes_along_and_a_file_that_is_missing_is_said(broker: tuple[Databroker, int], tmp_path: Path) -> None:
    told, port = broker
    token = tmp_path / "token"
    token.write_text("abc.def\n")
    sink = VssSink(VssConfig(host="127.0.0.1", port=port, token_file=token), Clock())
    sink.take(step_of())
    eventually(lambda: told.tokens == {"Bearer abc.def"})
    sink.close()
    for key in ("token_file", "ca_file"):
        config = VssConfig.model_validate({"host": "127.0.0.1", key: tmp_path / "none"})
        with pytest.raises(ConfigError, match=rf"vss\.{key}: .*none: No such file"):
            VssSink(config, Clock())


def test_a_databroker_that_hangs_holds_up_no_step() -> None:
    class Hanging(Databroker):
        def Get(self, request: Any, context: Any) -> Any:  # noqa: N802 - the proto's name
            threading.Event().wait(3)
            return super().Get(request, context)

    server, port = serve(Hanging(STANDARD | OWN))
    clock = Clock()
    sink = VssSink(VssConfig(host="127.0.0.1", port=port), clock)
    for n in range(1000):
        clock.now = n / 15
        sink.take(step_of(State.WARNING if n % 2 else State.CALM))
    assert sink._worker.health.dropped <= 1
    eventually(lambda: "Deadline Exceeded" in (sink.health.problem or ""))
    sink.close()
    server.stop(None).wait()


def test_the_overlay_names_what_the_sink_tells() -> None:
    (vehicle,) = json.loads((FOLDER / "evenkeel.json").read_text()).values()
    branch = vehicle["children"]["ADAS"]["children"]["DMS"]["children"]["Evenkeel"]["children"]
    leaves = {f"{OVERLAY}.{name}": leaf["datatype"].upper() for name, leaf in branch.items()}
    assert leaves == OWN
    assert {leaf for leaf in values_of(step_of()) if leaf.startswith(OVERLAY)} == set(OWN)
    assert set(branch["State"]["allowed"]) == {str(state) for state in State}
    vspec = (FOLDER / "evenkeel.vspec").read_text()
    assert all(f"\n{leaf}:\n" in vspec for leaf in OWN)


def test_a_missing_package_names_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kuksa_client.grpc", None)
    monkeypatch.delitem(sys.modules, "edge.service.vss_sink")
    with pytest.raises(UnavailableError, match=r"pip install 'evenkeel\[vss\]'"):
        loop._vss(VssConfig(host="localhost"), Clock())
