"""The hub to oneself: for an upgrade, beside runs and readers that go on when it is done, or before."""

import time
from collections.abc import Callable

from psycopg.errors import DeadlockDetected, LockNotAvailable, QueryCanceled
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from lsats_dagster.database import OWNER, DatabaseError, LockTimeoutError, database_border, holders

# Tables are taken together in a shorter time than the second after which Postgres looks for deadlocks: who holds one of them and
# waits for another gets it before that.
TOGETHER = "500ms"
GIVE_WAY = "200ms"
# Longer than that second, after which Postgres ends a vacuum that is in the way.
ALONE = "2s"
IN_USE = {kind.sqlstate for kind in (LockNotAvailable, DeadlockDetected, QueryCanceled)}


def alone(
    connection: Connection, become_owner: Callable[[], None], work: Callable[[], None], *, wait_seconds: float
) -> None:
    """Do `work` in one transaction that begins with `become_owner`, and then has every view and table of the hub to itself.

    What is in use ends a try, and the next one begins when it is free. Nobody waits long for an upgrade that waits itself, so
    that no deadlock lasts until Postgres ends somebody's work. LockTimeoutError after `wait_seconds`
    names the session that is in the way.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            with database_border(), connection.begin():
                become_owner()
                connection.exec_driver_sql(f"set local statement_timeout = '{TOGETHER}'")
                # A query locks a view before what the view reads.
                if relations := [*hub_relations(connection, "v"), *hub_relations(connection, "r")]:
                    connection.exec_driver_sql(f"lock table {', '.join(relations)} in access exclusive mode")
                connection.exec_driver_sql(f"set local statement_timeout = 0; set local lock_timeout = '{GIVE_WAY}'")
                work()
            return
        except DatabaseError as error:
            if error.sqlstate not in IN_USE:
                raise
        busy = wait_for_each(connection)
        if time.monotonic() > deadline:
            who = holders(connection, table=busy)
            raise LockTimeoutError(
                f"{busy or 'the hub'} was in use for more than {wait_seconds:g} s{who}, so nothing was upgraded: "
                "try again when that has ended"
            )


def hub_relations(connection: Connection, kind: str) -> list[str]:
    """All views (`v`) or all tables (`r`) of the hub, in one order for everybody."""
    return list(
        connection.execute(
            text(
                "select c.oid::regclass::text from pg_class c where c.relkind = :kind "
                "and c.relowner = (select oid from pg_roles where rolname = :owner) and c.relpersistence <> 't' order by 1"
            ),
            {"kind": kind, "owner": OWNER},
        ).scalars()
    )


def wait_for_each(connection: Connection) -> str | None:
    """Wait for each table while no other is held; the name of the first that stays in use."""
    with connection.begin():
        tables = hub_relations(connection, "r")
    for name in tables:
        try:
            with connection.begin():
                connection.exec_driver_sql(f"set local role {OWNER}; set local lock_timeout = '{ALONE}'")
                connection.exec_driver_sql(f"lock table {name} in access exclusive mode")
        except DBAPIError as error:
            if isinstance(error.orig, LockNotAvailable):
                return name
            raise
    return None
