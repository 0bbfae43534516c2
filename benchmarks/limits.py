"""How many files, and so connections, a process may have open."""

from __future__ import annotations

import resource

SPARE = 64


def raise_file_limit(connections: int) -> None:
    """Allow this process and its children so many connections.

    Raises:
        OSError: the system's hard limit is lower.
    """
    wanted = connections + SPARE
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise OSError(f"{connections} connections need {wanted} open files, but the hard limit is {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else hard, hard))
