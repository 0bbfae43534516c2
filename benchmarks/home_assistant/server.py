"""A Home Assistant that runs: set up by its own files, asked over REST and websocket, ended at will."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from benchmarks.home_assistant.installation import Installation
from benchmarks.server import Server

NOW = "2026-01-01T00:00:00+00:00"
OWNER, TOKEN, KEY = "00000000000000000000000000000001", "00000000000000000000000000000002", "f" * 64
"""Nobody's: this Home Assistant listens on loopback and lives for minutes."""

CONFIGURATION = """
homeassistant: {{name: Home, unit_system: metric, time_zone: UTC, country: DE, auth_mfa_modules: []}}
http: {{server_host: 127.0.0.1, server_port: {port}}}
frontend:
config:
history:
logbook:
recorder: {{commit_interval: 1}}
tts:
automation: !include automations.yaml
shell_command: {{ran: "sh /config/ran.sh {{{{ what }}}}"}}
"""
CLOCK = "clock"
RUN = f"""
export FAKETIME_TIMESTAMP_FILE=/config/{CLOCK} FAKETIME_CACHE_DURATION=1
LD_PRELOAD=$(ls /usr/lib/*/faketime/libfaketimeMT.so.1) exec /opt/ha/bin/hass --config /config --skip-pip
"""
RAN = 'printf "%s\\n" "$*" >>/config/ran.log\n'
"""What an automation did, in a file that outlives kills."""


class HomeAssistant(Server):
    """One Home Assistant with the broker at ``broker_port``.

    ``automations`` is its automations.yaml; ``blueprints`` are files below ``automation/evenkeel``.
    """

    name = "home-assistant"
    start_deadline_s = 300.0

    def __init__(
        self,
        folder: Path,
        installation: Installation,
        broker_port: int,
        automations: Sequence[Mapping[str, Any]] = (),
        blueprints: Sequence[Path] = (),
    ) -> None:
        super().__init__(folder)
        self._installation = installation
        self._config = folder / "config"
        (self._config / ".storage").mkdir(parents=True)
        (self._config / "configuration.yaml").write_text(CONFIGURATION.format(port=self.port))
        (self._config / "automations.yaml").write_text(json.dumps(list(automations)))  # JSON is YAML
        (self._config / "ran.sh").write_text(RAN)
        self.set_speed(1)
        shipped = self._config / "blueprints/automation/evenkeel"
        shipped.mkdir(parents=True)
        for blueprint in blueprints:
            (shipped / blueprint.name).write_text(blueprint.read_text())
        for name, (versions, data) in storage(broker_port).items():
            content = {"version": versions[0], "minor_version": versions[1], "key": name, "data": data}
            (self._config / ".storage" / name).write_text(json.dumps(content))

    @classmethod
    def missing(cls) -> str | None:
        """Whether it can be installed."""
        return Installation.missing()

    def _command(self) -> Sequence[str]:
        return self._installation.inside(("sh", "-c", RUN), self._config)

    def set_speed(self, speed: float) -> None:
        """Let its clock run so much faster than the real one, from within a second on."""
        (self._config / CLOCK).write_text(f"+0 x{speed:g}\n")

    @property
    def ran(self) -> list[str]:
        """What its automations did so far, a line each."""
        path = self._config / "ran.log"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def database(self) -> Path:
        """The recorder's."""
        return self._config / "home-assistant_v2.db"

    @property
    def address(self) -> str:
        """Of its pages."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and return when it runs, with its automations on.

        Raises:
            BrokerError: it does not come up.
        """
        super().start()
        self.wait_for(lambda: self.get("config")["state"] == "RUNNING", self.start_deadline_s)

    def wait_for(self, condition: Callable[[], bool], deadline_s: float = 30.0) -> None:
        """Return when ``condition`` holds; what cannot be read yet does not hold.

        Raises:
            TimeoutError: it does not in time.
        """
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            try:
                if condition():
                    return
            except (OSError, KeyError):
                pass
            time.sleep(0.2)
        raise TimeoutError(f"Home Assistant: not within {deadline_s:g} s: {condition}")

    def get(self, path: str) -> Any:
        """What REST answers below ``/api/``.

        Raises:
            OSError: it cannot be reached, or refuses.
        """
        return self._request(path)

    def call(self, service: str, **data: Any) -> Any:
        """Call an action, such as ``button.press``.

        Raises:
            OSError: it cannot be reached, or refuses.
        """
        return self._request(f"services/{service.replace('.', '/')}", data)

    def states(self) -> dict[str, dict[str, Any]]:
        """The states of all entities by their ids."""
        return {state["entity_id"]: state for state in self.get("states")}

    def ask(self, kind: str, **more: Any) -> Any:
        """What one command of the websocket answers.

        Raises:
            OSError: it cannot be reached, or refuses.
        """
        with connect(f"ws://127.0.0.1:{self.port}/api/websocket", max_size=None) as socket:
            socket.recv()
            socket.send(json.dumps({"type": "auth", "access_token": access_token()}))
            socket.recv()
            socket.send(json.dumps({"id": 1, "type": kind, **more}))
            answer = json.loads(socket.recv())
        if not answer["success"]:
            raise OSError(f"{kind}: {answer['error']}")
        return answer["result"]

    def _request(self, path: str, data: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.address}/api/{path}",
            headers={"Authorization": f"Bearer {access_token()}", "Content-Type": "application/json"},
            data=None if data is None else json.dumps(data).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - loopback
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            raise OSError(f"{path}: {error}: {error.read().decode()}") from error


def access_token() -> str:
    """The owner's, signed with the key in .storage."""
    words = ({"alg": "HS256", "typ": "JWT"}, {"iss": TOKEN, "iat": 0, "exp": 2**33})
    told = b".".join(_base64(json.dumps(word).encode()) for word in words)
    return b".".join((told, _base64(hmac.digest(KEY.encode(), told, hashlib.sha256)))).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def storage(broker_port: int) -> dict[str, tuple[tuple[int, int], Any]]:
    """Each file of .storage with its version: somebody has been here, and has set up MQTT."""
    owner = {
        "id": OWNER,
        "group_ids": ["system-admin"],
        "is_owner": True,
        "is_active": True,
        "name": "Owner",
        "system_generated": False,
        "local_only": False,
    }
    token = {
        "id": TOKEN,
        "user_id": OWNER,
        "client_id": None,
        "client_name": "make homeassistant",
        "client_icon": None,
        "token_type": "long_lived_access_token",
        "created_at": NOW,
        "access_token_expiration": 2.0**33,
        "token": KEY,
        "jwt_key": KEY,
        "last_used_at": None,
        "last_used_ip": None,
        "expire_at": None,
        "credential_id": None,
        "version": None,
    }
    groups = [{"id": f"system-{name}"} for name in ("admin", "users", "read-only")]
    auth = {"users": [owner], "groups": groups, "credentials": [], "refresh_tokens": [token]}
    mqtt: dict[str, Any] = {
        "created_at": NOW,
        "data": {"broker": "127.0.0.1", "port": broker_port},
        "disabled_by": None,
        "discovery_keys": {},
        "domain": "mqtt",
        "entry_id": f"{'MQTT':0<26}",
        "minor_version": 1,
        "modified_at": NOW,
        "options": {},
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "source": "user",
        "subentries": [],
        "title": "127.0.0.1",
        "unique_id": None,
        "version": 2,
    }
    return {
        "onboarding": ((4, 1), {"done": ["user", "core_config", "analytics", "integration"]}),
        "auth": ((1, 1), auth),
        "core.config_entries": ((1, 5), {"entries": [mqtt]}),
    }
