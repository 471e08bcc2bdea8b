"""Who may call and how often: fixed windows of calls (sources.md 4.1.3) and the tokens of both sources."""

import base64
import hashlib
import hmac
import json
import math
import secrets
from dataclasses import dataclass
from typing import Any

from lsats_dagster.demo.campus.clock import Clock

DAY_SECONDS = 86_400.0
TDX_AUDIENCE = "https://www.teamdynamix.com/"


@dataclass(frozen=True)
class Allowance:
    """What a window says to one call. `resets_at` is in epoch seconds."""

    granted: bool
    limit: int
    remaining: int
    resets_at: float

    @property
    def reset_second(self) -> int:
        """The first whole second in which the window has surely ended: a header cannot say fractions."""
        return math.ceil(self.resets_at)


class FixedWindows:
    """A number of calls per window and caller; a window starts with the first call in it."""

    def __init__(self, calls: int, seconds: float, clock: Clock) -> None:
        self._clock = clock
        self._calls = calls
        self._seconds = seconds
        self._windows: dict[tuple[str, ...], tuple[float, int]] = {}

    def take(self, *caller: str) -> Allowance:
        """Count one call of `caller`."""
        now = self._clock.now()
        started, used = self._windows.get(caller, (now, 0))
        if now - started >= self._seconds:
            started, used = now, 0
        granted = used < self._calls
        self._windows[caller] = (started, used + granted)
        return Allowance(granted, self._calls, self._calls - used - granted, started + self._seconds)


class TdxTokens:
    """JSON Web Tokens signed with a key of this process (HS256)."""

    lifetime = DAY_SECONDS

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._issued = 0
        self._revoked_through = 0

    def issue(self, *, admin: bool = False) -> str:
        """A new token; its `exp` claim is in whole seconds, rounded up. `admin`: of an administrative login."""
        self._issued += 1
        claims = {
            "unique_name": "hub@campus.example",
            "jti": str(self._issued),
            "exp": math.ceil(self._clock.now() + self.lifetime),
            "iss": "TD",
            "aud": TDX_AUDIENCE,
            "is_admin": admin,
        }
        signed = ".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
        return f"{signed}.{self._signature(signed)}"

    def accepts(self, token: str) -> bool:
        """Whether the token is ours, not expired and not revoked."""
        claims = self._claims(token)
        return bool(claims and claims["exp"] > self._clock.now() and int(claims["jti"]) > self._revoked_through)

    def is_admin(self, token: str) -> bool:
        """Whether the token came from an administrative login."""
        return bool(self._claims(token).get("is_admin"))

    def _claims(self, token: str) -> dict[str, Any]:
        """What a token of ours says; nothing for others."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            return {}
        payload = signed.partition(".")[2]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims

    def revoke_all(self) -> None:
        """Refuse every token issued so far."""
        self._revoked_through = self._issued

    def _signature(self, signed: str) -> str:
        return _base64(hmac.new(self._key, signed.encode(), hashlib.sha256).digest())


class GatewayTokens:
    """Opaque bearer tokens, kept with the moment they end."""

    lifetime = 3600.0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends: dict[str, float] = {}

    def issue(self) -> tuple[str, int]:
        """A new token and its `expires_in`, whole seconds rounded up."""
        token, seconds = secrets.token_urlsafe(32), math.ceil(self.lifetime)
        self._ends[token] = self._clock.now() + seconds
        return token, seconds

    def accepts(self, token: str) -> bool:
        """Whether the token was issued here, has not expired and was not revoked."""
        return self._ends.get(token, 0.0) > self._clock.now()

    def revoke_all(self) -> None:
        """Refuse every token issued so far."""
        self._ends.clear()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
