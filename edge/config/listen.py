"""Where a server of ours listens: an address of this machine and a port, as one text."""

from __future__ import annotations

import re

_LISTEN = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")
MAX_PORT = 65_535


def check_listen(listen: str, example: str) -> str:
    """Return ``listen`` as it is.

    Raises:
        ValueError: it is no address with a port; ``example`` is a port to show.
    """
    found = _LISTEN.fullmatch(listen)
    if found is None or int(found["port"]) > MAX_PORT:
        raise ValueError(f"an address and a port are needed, as 127.0.0.1:{example} or [::1]:{example}")
    return listen


def host_and_port(listen: str) -> tuple[str, int]:
    """Both parts of what ``check_listen`` has let pass."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)
