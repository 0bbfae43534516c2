"""Who may look and who may do something: passwords, sessions, and how often somebody may guess."""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from edge.compat import StrEnum
from edge.config.dashboard import DashboardConfig
from edge.mqtt.commands import RateLimit

SESSION_S = 12 * 3600.0
"""A session that nobody uses for so long ends."""
SESSIONS = 500
LEAST_LENGTH = 8
LONGEST = 256
"""Characters of a password."""
GUESSES = 5
GUESS_EVERY_S = 12.0
"""So often one address may guess, after GUESSES at once; all of them together eight times as often."""
ADDRESSES = 1000


class Role(StrEnum):
    """What somebody may do."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(slots=True)
class Session:
    """Somebody who may look. ``csrf`` goes with each change; ``used_t`` is monotonic, seconds."""

    role: Role
    csrf: str
    used_t: float


def hasher() -> PasswordHasher:
    """Argon2id at OWASP's second recommendation: 19 MiB, which a Raspberry Pi has to spare."""
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


class Doors:
    """Sessions and guesses, in memory: after a restart everybody logs in anew.

    Where no password is set, everybody who reaches the server is an operator: it listens to this machine alone then.
    """

    def __init__(self, config: DashboardConfig, clock: Callable[[], float]) -> None:
        self._hashes = {Role.OPERATOR: config.operator_password, Role.VIEWER: config.viewer_password}
        self._clock = clock
        self._hasher = hasher()
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._guesses: OrderedDict[str, RateLimit] = OrderedDict()
        self._all_guesses = RateLimit(8 * GUESSES, GUESS_EVERY_S / 8)
        self._open = None if config.has_password else Session(Role.OPERATOR, secrets.token_urlsafe(32), clock())

    @property
    def locked(self) -> bool:
        """Whether anybody is asked for a password."""
        return self._open is None

    def session(self, token: str | None) -> Session | None:
        """Who holds this cookie; None for nobody known."""
        if self._open is not None:
            return self._open
        found = self._sessions.get(token or "")
        if found is None or token is None:
            return None
        if self._clock() - found.used_t > SESSION_S:
            del self._sessions[token]
            return None
        found.used_t = self._clock()
        self._sessions.move_to_end(token)
        return found

    def may_guess(self, address: str) -> bool:
        """Whether a password from this address may be looked at now."""
        limit = self._guesses.setdefault(address, RateLimit(GUESSES, GUESS_EVERY_S))
        self._guesses.move_to_end(address)
        if len(self._guesses) > ADDRESSES:
            self._guesses.popitem(last=False)
        return limit.allow(self._clock()) and self._all_guesses.allow(self._clock())

    def role_of(self, password: str) -> Role | None:
        """Whom a password lets in; takes some hundredths of a second, so call it beside the event loop."""
        if not 0 < len(password) <= LONGEST:
            return None
        for role, kept in self._hashes.items():
            if kept is not None and self._fits(kept, password):
                return role
        return None

    def let_in(self, role: Role) -> str:
        """A new session's cookie."""
        token = secrets.token_urlsafe(32)
        self._sessions[token] = Session(role, secrets.token_urlsafe(32), self._clock())
        if len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        return token

    def let_out(self, token: str | None) -> None:
        """End a session."""
        self._sessions.pop(token or "", None)

    def _fits(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False


def same(told: str | None, expected: str) -> bool:
    """Whether a token is the expected one, in a time that tells nothing of it."""
    return hmac.compare_digest((told or "").encode(), expected.encode())
