"""The call window of the clients in Postgres: all runs on all hosts share what a source allows.

The form for one process, and the rule in words, is `lsats_dagster.clients.window`.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection, text

from lsats_dagster.database import Database

# No source's window is longer: an end beyond it was written by a clock that ran ahead, and is not waited for.
FARTHEST_END = timedelta(minutes=10)

# One statement decides: join the open window if it has room, open a new one when it has ended, else say when it ends.
TAKE = """
insert into meta.call_windows as w (method, ends_at, seconds, allowance, used)
values (:method, :now + make_interval(secs => :seconds), :seconds, :allowance, 1)
on conflict (method) do update set
    seconds = excluded.seconds,
    allowance = case
        when :ceiling and (w.ends_at <= :now or w.ends_at > :farthest) then excluded.allowance
        else w.allowance
    end,
    used = case when w.ends_at <= :now or w.ends_at > :farthest then 1 + :under_way else w.used + 1 end,
    ends_at = case when w.ends_at <= :now or w.ends_at > :farthest then excluded.ends_at else w.ends_at end
where w.ends_at <= :now or w.ends_at > :farthest or w.used < w.allowance
returning true
"""

# An end that jumps by a whole window means that the source has begun its next one (see LocalCallWindow).
OBSERVED = """
update meta.call_windows set
    allowance = :allowance,
    used = case
        when extract(epoch from :ends_at - ends_at) > seconds / 2 then :used + :under_way
        else greatest(used, :used)
    end,
    ends_at = :ends_at
where method = :method
"""


class Clock(Protocol):
    """The time and a way to wait for it, as the clients have it."""

    def now(self) -> float: ...

    def sleep_until(self, when: float) -> None: ...


class PostgresCallWindow:
    """Fixed windows per method, kept in meta.call_windows and shared by every run on this database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def wait(
        self,
        method: str,
        *,
        limit: int = 60,
        seconds: float = 60.0,
        ceiling: bool = False,
        under_way: Callable[[], int] = lambda: 0,
    ) -> float:
        """Block until one call of `method` may be sent, and count it; the seconds waited. `limit` calls per `seconds`
        are assumed until an answer has told better; a `ceiling` holds whatever an earlier run assumed. Of the caller's
        calls, so many as are `under_way` when a window opens are counted in it."""
        began = self._clock.now()
        values: dict[str, Any] = {"method": method, "allowance": limit, "seconds": seconds, "ceiling": ceiling}
        while True:
            with self._database.transaction() as connection:
                now = datetime.fromtimestamp(self._clock.now(), UTC)
                values |= {"now": now, "farthest": now + FARTHEST_END, "under_way": under_way()}
                if connection.execute(text(TAKE), values).scalar_one_or_none():
                    return self._clock.now() - began
                ends_at = connection.execute(
                    text("select ends_at from meta.call_windows where method = :method"), {"method": method}
                ).scalar_one()
            self._clock.sleep_until(ends_at.timestamp())

    def observed(self, method: str, *, limit: int, remaining: int, resets_in: float, under_way: int = 0) -> None:
        """Take over what an answer's headers say of the window of `method`."""
        with self._database.transaction() as connection:
            connection.execute(
                text(OBSERVED),
                {
                    "method": method,
                    "allowance": limit,
                    "used": limit - remaining,
                    "under_way": under_way,
                    "ends_at": datetime.fromtimestamp(self._clock.now() + resets_in, UTC),
                },
            )


def call_allowances(connection: Connection) -> list[tuple[str, int, int, datetime]]:
    """(method, calls left, calls allowed, end of the window) of every limited method, as runs last saw it."""
    rows = connection.exec_driver_sql(
        "select method, greatest(allowance - used, 0), allowance, ends_at from meta.call_windows order by method"
    )
    return [(method, left, most, ends_at) for method, left, most, ends_at in rows]
