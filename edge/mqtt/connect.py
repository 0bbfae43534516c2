"""What every connection to the configured broker needs: the door, the key, the version of MQTT, and a will it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from paho.mqtt.enums import MQTTProtocolVersion

from edge.config import Config
from edge.mqtt.reasons import NO_QOS, NO_RETAIN
from edge.mqtt.security import load_credentials, tls_context
from edge.mqtt.session import Ending, Owner, Session, Wake, Will

_VERSIONS = {
    "auto": (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311),
    "5": (MQTTProtocolVersion.MQTTv5,),
    "3.1.1": (MQTTProtocolVersion.MQTTv311,),
}


class Connector:
    """Makes connections to the broker of the configuration, one after the other, each driven to its end.

    A broker that refuses the will as it is meant (QoS 1, retained) is asked with a lesser one at once, and that one is
    kept for all connections that follow. ``gather_s`` is as in ``Session``.

    Raises:
        ConfigError: credentials or certificates are missing, unreadable, or would be sent in the clear.
    """

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        *,
        client_id: str,
        will: Will | None,
        wake: Wake,
        gather_s: float = 0.0,
    ) -> None:
        self._mqtt = config.mqtt
        self._client_id = client_id
        self._will = will
        self._proved = False
        self._wake = wake
        self._gather_s = gather_s
        self._credentials = load_credentials(config.mqtt, environ)
        self._tls = tls_context(config.mqtt.tls)

    def attempt(self, owner: Owner) -> Ending:
        """One connection, in the first version of MQTT that the broker understands."""
        ending = Ending("not tried")
        for protocol in _VERSIONS[self._mqtt.protocol]:
            ending = self._with_a_will(protocol, owner)
            if not ending.other_version or owner.stopping:
                break
        return ending

    def _with_a_will(self, protocol: MQTTProtocolVersion, owner: Owner) -> Ending:
        will = self._will
        while True:
            ending = self._session(protocol, will, owner).run()
            if ending.accepted:
                self._will, self._proved = will, True
                return ending
            lesser = self._lesser(protocol, will, ending)
            if lesser is will or owner.stopping:
                return ending
            will = lesser
            if ending.code in (
                NO_RETAIN,
                NO_QOS,
            ):  # its own word: it holds even if the next try fails for another reason
                self._will = will

    def _lesser(self, protocol: MQTTProtocolVersion, will: Will | None, ending: Ending) -> Will | None:
        """The next will to try; the same where the will was not what the broker minded."""
        if will is None:
            return will
        if ending.code == NO_RETAIN and will.retain:
            return replace(will, retain=False)
        if ending.code == NO_QOS and will.qos:
            return replace(will, qos=0)
        # a broker of MQTT 3.1.1 has no word for it and closes; one that took the will before means something else
        if protocol == MQTTProtocolVersion.MQTTv311 and ending.closed and not self._proved:
            return replace(will, retain=False) if will.retain else replace(will, qos=0) if will.qos else None
        return will

    def _session(self, protocol: MQTTProtocolVersion, will: Will | None, owner: Owner) -> Session:
        return Session(
            self._mqtt,
            protocol,
            client_id=self._client_id,
            will=will,
            credentials=self._credentials,
            tls=self._tls,
            wake=self._wake,
            owner=owner,
            gather_s=self._gather_s,
        )
