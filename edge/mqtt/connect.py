"""What every connection to the configured broker needs: the door, the key and the version of MQTT."""

from __future__ import annotations

from collections.abc import Mapping

from paho.mqtt.enums import MQTTProtocolVersion

from edge.config import Config
from edge.errors import ConfigError
from edge.mqtt.security import load_credentials, tls_context
from edge.mqtt.session import Ending, Owner, Session, Wake, Will

_VERSIONS = {
    "auto": (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311),
    "5": (MQTTProtocolVersion.MQTTv5,),
    "3.1.1": (MQTTProtocolVersion.MQTTv311,),
}


class Connector:
    """Makes connections to the broker of the configuration, one after the other, each driven to its end.

    Raises:
        ConfigError: credentials or certificates are missing, unreadable, or would be sent in the clear; or the host is
            no name.
    """

    def __init__(
        self, config: Config, environ: Mapping[str, str], *, client_id: str, will: Will | None, wake: Wake
    ) -> None:
        self._mqtt = config.mqtt
        self._client_id = client_id
        self._will = will
        self._wake = wake
        self._credentials = load_credentials(config.mqtt, environ)
        self._tls = tls_context(config.mqtt.tls)
        _check_host(config.mqtt.host)

    def attempt(self, owner: Owner) -> Ending:
        """One connection, in the first version of MQTT that the broker understands."""
        ending = Ending("not tried")
        for protocol in _VERSIONS[self._mqtt.protocol]:
            session = Session(
                self._mqtt,
                protocol,
                client_id=self._client_id,
                will=self._will,
                credentials=self._credentials,
                tls=self._tls,
                wake=self._wake,
                owner=owner,
            )
            ending = session.run()
            if not ending.other_version or owner.stopping:
                break
        return ending


def _check_host(host: str) -> None:
    try:
        host.encode("idna")
    except UnicodeError:
        raise ConfigError(f"mqtt.host = {host!r}: not a host name or address") from None
