"""What a source is: one declaration, from which jobs, schedules, checks, settings and documentation derive.

A source's own file in `sources/` makes one; nothing else in the package names it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import IntEnum
from typing import Any
from zoneinfo import ZoneInfo

from lsats_dagster.clients.http import DEFAULT_CEILINGS, DEFAULT_TIMEOUTS, Ceilings, Timeouts
from lsats_dagster.clients.window import SYSTEM_CLOCK, CallWindow, Clock
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.local_time import TIME_ZONE
from lsats_dagster.settings import ConfigurationError, SourceSettings, load, needed

# Times of schedules are local to the university.
NIGHTLY_AT = time(2)
Weekday = IntEnum("Weekday", "MONDAY TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY SUNDAY", start=0)


@dataclass(frozen=True)
class Cadence:
    """On which nights (local to the university) a table is brought up to date; after which age it shows yellow and red.

    every_minutes: of what is fetched all day instead.
    """

    nights: frozenset[Weekday]
    warn_after: timedelta
    late_after: timedelta
    every_minutes: int | None = None

    def __post_init__(self) -> None:
        if not all(isinstance(night, Weekday) for night in self.nights):
            raise ValueError("the nights of a cadence are of type Weekday")
        if not timedelta() < self.warn_after <= self.late_after:
            raise ValueError("a cadence warns before a table is late")

    def is_due_on(self, day: date) -> bool:
        """Whether the nightly run of `day` brings the table up to date."""
        return day.weekday() in self.nights


NIGHTLY = Cadence(frozenset(Weekday), timedelta(hours=26), timedelta(hours=36))


def weekly(night: Weekday) -> Cadence:
    """The cadence of a table that is read once a week, in the night of this day."""
    return Cadence(frozenset({night}), timedelta(days=7, hours=2), timedelta(days=8))


def next_due(cadence: Cadence, now: datetime) -> datetime | None:
    """When the schedule next brings such a table up to date; None if it never does."""
    local = now.astimezone(ZoneInfo(TIME_ZONE))
    if cadence.every_minutes:
        step = timedelta(minutes=cadence.every_minutes)
        hour = local.replace(minute=0, second=0, microsecond=0)
        return hour + step * ((local - hour) // step + 1)
    nights = (datetime.combine(local.date() + timedelta(days), NIGHTLY_AT, local.tzinfo) for days in range(9))
    return next((night for night in nights if night > local and cadence.is_due_on(night.date())), None)


@dataclass(frozen=True)
class DetailSchedule:
    """How often within an hour the details of a source are fetched, and when they count as late."""

    every_minutes: int = 30
    warn_after: timedelta = timedelta(hours=3)
    late_after: timedelta = timedelta(hours=26)

    def __post_init__(self) -> None:
        if not 0 < self.every_minutes <= 60 or 60 % self.every_minutes:
            raise ValueError("details are fetched at equal distances within an hour")

    @property
    def cron(self) -> str:
        return "0 * * * *" if self.every_minutes == 60 else f"*/{self.every_minutes} * * * *"

    @property
    def cadence(self) -> Cadence:
        """Never in the nightly run: they have a schedule of their own."""
        return Cadence(frozenset(), self.warn_after, self.late_after, self.every_minutes)


@dataclass(frozen=True)
class Terms:
    """What the hub lets a client use: the rate window that all runs share, limits of time and size, the clock."""

    window: CallWindow
    timeouts: Timeouts = DEFAULT_TIMEOUTS
    ceilings: Ceilings = DEFAULT_CEILINGS
    clock: Clock = SYSTEM_CLOCK


@dataclass(frozen=True, kw_only=True)
class Source:
    """One outside system and the streams that are read from it.

    name: its group, tag and jobs in Dagster (`<name>_ingest`); title: as people call it. open_client: a client by its
    settings, none of which is missing; it has `probe`, `evidence` and `close`. transport: how records come, as Dagster
    shows it (https, ldap, file). cadences: of list streams by table, where not nightly. details: when detail streams are
    fetched; needed where there are any. arrivals: of a source whose records come when people drop them: by table, a text
    that tells what lies there now, and changes with it; None where nothing does.
    """

    name: str
    title: str
    settings: type[SourceSettings]
    open_client: Callable[[Any, Terms], Any]
    transport: str
    streams: tuple[StreamDeclaration, ...]
    cadences: Mapping[str, Cadence] = field(default_factory=dict)
    details: DetailSchedule | None = None
    arrivals: Callable[[Any], Mapping[str, str | None]] | None = None

    def __post_init__(self) -> None:
        if wrong := [table for table, cadence in self.cadences.items() if not isinstance(cadence, Cadence)]:
            raise ValueError(f"{self.name}: what cadences says of {', '.join(map(str, wrong))} is not of type Cadence")
        if not isinstance(self.details, DetailSchedule | None):
            raise ValueError(f"{self.name}: details is not of type DetailSchedule")
        tables = {stream.table for stream in self.streams}
        if unknown := self.cadences.keys() - tables:
            raise ValueError(f"{self.name}: cadences of tables that it does not have: {', '.join(sorted(unknown))}")
        if self.has_details != (self.details is not None):
            raise ValueError(f"{self.name}: detail streams and a schedule of details go together")

    @property
    def has_details(self) -> bool:
        return any(isinstance(stream, DetailStream) for stream in self.streams)

    def cadence_of(self, stream: StreamDeclaration) -> Cadence:
        """When `stream` is due."""
        if isinstance(stream, DetailStream):
            assert self.details is not None
            return self.details.cadence
        return self.cadences.get(stream.table, NIGHTLY)

    @property
    def is_set_up(self) -> bool:
        """Whether any of its settings is there at this moment, an unusable one too: its own runs fail with it, and no others."""
        try:
            return load(self.settings).is_set_up
        except ConfigurationError:
            return True


def set_up(sources: Sequence[Source]) -> list[Source]:
    """Those of these sources that are set up at this moment."""
    return [source for source in sources if source.is_set_up]


def none_set_up(sources: Sequence[Source]) -> str | None:
    """The sentence that none of these sources is set up, with all that is missing; None where one is, or there is none."""
    if sources and not set_up(sources):
        return f"no source is set up: {lacking(sources)}"
    return None


def lacking(sources: Sequence[Source]) -> str:
    """The sentence that names the settings which these sources lack at this moment."""
    missing = {source.name: load(source.settings).missing for source in sources}
    return needed([name for names in missing.values() for name in names], " and ".join(missing))
