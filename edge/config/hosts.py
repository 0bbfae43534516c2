"""What may stand for a host: a name or an address, and nothing around it."""

from __future__ import annotations

import ipaddress
import re

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PORT = re.compile(r"^(?P<host>.+):(?P<port>\d+)$")


def check_host(host: str, port_key: str = "mqtt.port") -> str:
    """Return ``host`` as it is; ``port_key`` is where its port belongs.

    Raises:
        ValueError: it is no host name or address; the message tells what to write instead where that is plain.
    """
    if (bare := host.strip()) != host:
        raise ValueError(f"spaces around it; write {bare!r}")
    if scheme := _SCHEME.match(host):
        rest = host[scheme.end() :].partition("/")[0]
        raise ValueError(f"expected a host, not a URL; write {rest.partition(':')[0]!r}, the port in {port_key}")
    if host.startswith("[") and host.endswith("]"):
        raise ValueError(f"remove the brackets; write {host[1:-1]!r}")
    if _is_address(host):
        return host
    if port := _PORT.match(host):
        name = port["host"].strip("[]")
        raise ValueError(f"the port does not belong here; write {name!r}, and {port_key} = {port['port']}")
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError("not a host name or address") from None
    if not re.fullmatch(r"[^\s/:@?#\[\]\x00-\x1f]+", host):
        raise ValueError("not a host name or address")
    return host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
