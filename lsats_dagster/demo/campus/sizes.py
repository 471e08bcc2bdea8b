"""How large a campus may be."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Volume:
    """Units known to both systems, to one alone, and accounts without a code."""

    both: int
    tdx_only: int
    gateway_only: int
    codeless: int


@dataclass(frozen=True)
class Size:
    """How large a campus is, and how often its sources may be called.

    alumni: people whom only the directories know, 69 % of theirs (sources.md 21). tdx_calls: how many calls of a method TDX
    serves in a window of `tdx_seconds`. gateway_calls: per minute.
    """

    people: int
    alumni: int
    units: Volume
    tdx_calls: int
    tdx_seconds: float
    gateway_calls: int


# In the proportions of sources.md 21, but for units: a handful would show nothing. No test waits for a quota; the demo
# keeps the true one of the gateway, and does not spend hours on details.
SIZES = {
    "tiny": Size(200, 440, Volume(98, 6, 12, 3), 60, 1.0, 60_000),
    "small": Size(5_000, 11_000, Volume(210, 10, 20, 7), 30_000, 60.0, 200),
    "college": Size(60_000, 132_000, Volume(2_600, 110, 150, 20), 60, 60.0, 200),
}
