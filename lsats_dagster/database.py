"""The hub's Postgres: connections by role, transactions, writer locks, binary COPY, and errors that quote no rows.

What belongs here is true of every table. Migrations are in `migrations.py`, run records in `runs`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString, cast

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import URL, Connection, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

OLDEST_SERVER = 16
OWNER = "lsats_owner"
WRITER = "lsats_writer"
READER = "lsats_reader"

_WORK_MEM = "set local work_mem = '32MB'"
# For statements over whole tables, which may have grown so fast that the planner takes them for empty: compare by hashing,
# never row by row; in parallel, whatever the size of the file, because cleaning a row costs far more than reading it.
WHOLE_TABLES = f"{_WORK_MEM}; set local enable_nestloop = off; set local min_parallel_table_scan_size = 0"
# For statements that look up few keys: the default price of a look-up is that of a disk with a moving arm.
FEW_KEYS = f"{_WORK_MEM}; set local random_page_cost = 1.1"

# A host that vanished is taken for gone after two minutes: by the server, which then frees its locks, and by us. A side that
# waits for an acknowledgment sends no keepalives; for it the user timeout counts, where the system has one.
_KEEPALIVES = {"keepalives_idle": 60, "keepalives_interval": 15, "keepalives_count": 4}
_USER_TIMEOUT = {"tcp_user_timeout": 120_000}  # ms
# What every session says at its start, which no setting of a server, database or login overrides. These read back as written,
# so that a session can prove it was asked for them.
_PROVEN = {
    "TimeZone": "UTC",
    # Compiling a statement over 50 cleaned columns takes longer than running it.
    "jit": "off",
    # Temporary tables of a run are walked and looked into again and again; the default of 8 MB would send them to disk.
    "temp_buffers": "64MB",
    # A session that holds a lock is silent while its source is slow.
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
_SESSION = {
    **_PROVEN,
    "DateStyle": "ISO",
    **{f"tcp_{name}": value for name, value in _KEEPALIVES.items()},
    **_USER_TIMEOUT,
}

JSONB_OID = 3802
# Postgres quotes row contents in the message of data (22) and constraint (23) errors; those of these classes name
# objects, limits and connections only. P0001 is raised by our own functions and triggers.
QUOTABLE_CLASSES = ("08", "0A", "25", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58")
# How the client library words a refused connection, which has no SQLSTATE; only a person can fix these.
REFUSALS = (
    "authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied", "permission denied",
)  # fmt: skip
TRANSIENT_CLASSES = ("08", "40", "53", "57")
TOO_OLD = f"the hub needs Postgres {OLDEST_SERVER} or newer"
POOLED = (
    "a connection pooler such as PgBouncer seems to stand in between, and the hub's locks and rights need sessions of their "
    "own: give the address of Postgres itself"
)
# How servers and poolers word that they do not know what a session asks for at its start.
UNUSABLE = {"unrecognized configuration parameter": TOO_OLD, "unsupported startup parameter": POOLED}

_HOLDERS = """
select string_agg(distinct format('pid %s of login %s', s.pid, s.usename), ', ')
from pg_locks l
join pg_stat_activity s on s.pid = l.pid
where l.granted and s.datname = current_database() and s.pid <> pg_backend_pid() and case l.locktype
    when 'advisory' then l.objsubid = 1 and ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended(:lock, 0)
    when 'relation' then l.relation = to_regclass(:table) end
"""


class DatabaseError(Exception):
    """A statement or connection failed. Holds class, SQLSTATE, table and constraint; never row contents."""

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate

    @property
    def transient(self) -> bool:
        """Whether the same statement may succeed when it is tried again."""
        if self.sqlstate is None:
            return not any(sign in str(self) for sign in REFUSALS)
        return self.sqlstate[:2] in TRANSIENT_CLASSES


class UnusableServerError(DatabaseError):
    """What answers is not a server that the hub can work on: too old, or a pooler. Only a person can fix it."""

    @property
    def transient(self) -> bool:
        return False


class LockTimeoutError(DatabaseError):
    """Another writer of the same table did not finish within the time allowed. Who raises it has waited long enough."""

    @property
    def transient(self) -> bool:
        return False


def describe_database_error(error: psycopg.Error) -> str:
    """One line about `error` that is safe in logs and run rows: no values, no statement."""
    state = error.sqlstate
    if state is None:
        # Raised by the client library: unreachable server, wrong password. Its text names host and user only.
        return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    parts = [f"{type(error).__name__} ({state})"]
    if state[:2] in QUOTABLE_CLASSES or state == "P0001":
        parts.append(error.diag.message_primary or "")
    place = ".".join(filter(None, (error.diag.schema_name, error.diag.table_name, error.diag.column_name)))
    parts += [part for part in (place, error.diag.constraint_name) if part]
    return ": ".join(filter(None, parts))


def as_database_error(error: SQLAlchemyError | psycopg.Error) -> DatabaseError:
    """What Postgres or SQLAlchemy raised, as an error that quotes no rows."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, psycopg.Error):
        message = describe_database_error(original)
        for sign, meaning in UNUSABLE.items():
            if original.sqlstate is None and sign in message:
                return UnusableServerError(f"{message}: {meaning}")
        return DatabaseError(message, original.sqlstate)
    return DatabaseError(type(original).__name__)


@contextmanager
def database_border() -> Iterator[None]:
    """Re-raise what Postgres and SQLAlchemy raise as DatabaseError, cut off from causes that quote rows."""
    try:
        yield
    except (SQLAlchemyError, psycopg.Error) as error:
        raise as_database_error(error) from None


class SerializedJsonDumper(Dumper):
    """Sends bytes that already hold JSON text as jsonb, in COPY, without parsing them again."""

    format = Format.BINARY
    oid = JSONB_OID

    def dump(self, obj: Any) -> bytes:
        return b"\x01" + cast(bytes, obj)


class Database:
    """A pool of connections that all act as one role.

    `role` is set in the start-up packet, so RESET ROLE leads back to it, not to the login's own rights. None keeps the
    login's rights: only migrations want that, before the roles exist.
    """

    def __init__(
        self, url: str, *, role: str | None = WRITER, application: str = "lsats", read_only: bool = False
    ) -> None:
        self.url: URL = make_url(url).set(drivername="postgresql+psycopg")
        proven = _PROVEN | ({"role": role} if role else {})
        if read_only:
            proven["default_transaction_read_only"] = "on"
        options = " ".join(f"-c {name}={value}" for name, value in (_SESSION | proven).items())
        self._engine = create_engine(
            self.url,
            pool_pre_ping=True,
            pool_size=2,
            hide_parameters=True,
            connect_args={
                "options": options,
                "application_name": application,
                "connect_timeout": 15,
                "client_encoding": "utf8",
                "keepalives": 1,
                **_KEEPALIVES,
                **_USER_TIMEOUT,
            },
        )

        @event.listens_for(self._engine, "connect")
        def prepare(connection: psycopg.Connection[Any], _record: object) -> None:
            prove_session(connection, proven | {"client_encoding": "UTF8"})
            connection.adapters.register_dumper(None, SerializedJsonDumper)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection; the caller begins and ends its transactions. Each new one has proved what it was asked for."""
        with database_border(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection in one transaction: committed at the end, rolled back on any exception."""
        with database_border(), self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def prove_session(connection: psycopg.Connection[Any], settings: Mapping[str, str]) -> None:
    """UnusableServerError unless a new connection is a session of its own, with these settings, on a server new enough.

    A pooler drops what it does not know, the role and read only among it, and lets two clients share a session and its
    locks. It answers for the server, but does not know the number of the session's process.
    """
    version = connection.info.server_version
    if version < OLDEST_SERVER * 10_000:
        raise UnusableServerError(f"Postgres {version // 10_000}.{version % 10_000} is too old: {TOO_OLD}")
    with database_border():
        row = connection.execute(
            "select pg_backend_pid(), current_user, array(select current_setting(name) from unnest(%s::text[]) name)",
            [list(settings)],
        ).fetchone()
        connection.rollback()
    assert row is not None
    pid, user, values = row
    found = dict(zip(settings, values, strict=True))
    if settings.get("role", user) != user or found != settings or pid != connection.info.backend_pid:
        missing = ", ".join(f"{name} {value}" for name, value in settings.items() if found[name] != value)
        raise UnusableServerError(
            f"the session is not as it was asked for ({missing or 'not one of our own'}): {POOLED}"
        )


def take_lock(connection: Connection, name: str, wait_seconds: float) -> None:
    """Take the session advisory lock `name`; leaves no transaction open.

    Raises LockTimeoutError after `wait_seconds`, which names the session that holds it.

    The lock belongs to the connection: when its process dies, the server frees it, and no write of it can come after.
    """
    # 0 would mean "for ever" to Postgres.
    milliseconds = max(1, round(wait_seconds * 1000))
    try:
        connection.execute(text("select set_config('lock_timeout', :limit, true)"), {"limit": f"{milliseconds}ms"})
        connection.execute(text("select pg_advisory_lock(hashtextextended(:name, 0))"), {"name": f"lsats:{name}"})
        connection.commit()
    except DBAPIError as error:
        connection.rollback()
        if isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise LockTimeoutError(
                f"{name} is being written by another run for more than {wait_seconds:g} s{holders(connection, lock=name)}"
            ) from None
        raise
    except BaseException:
        # Stopped: a connection that may have the lock must not go back to the pool with it.
        connection.invalidate()
        raise


def holders(connection: Connection, *, lock: str | None = None, table: str | None = None) -> str:
    """` (pid 4711 of login hub_service)`: the other sessions that hold an advisory lock or a table; nothing where none does.

    Rolls back the connection's transaction.
    """
    connection.rollback()
    found = connection.execute(text(_HOLDERS), {"lock": f"lsats:{lock}", "table": table}).scalar_one()
    connection.rollback()
    return f" ({found})" if found else ""


def release_lock(connection: Connection, name: str) -> None:
    """Give the lock back; a connection that cannot is closed, which frees it as well."""
    try:
        connection.rollback()
        connection.execute(text("select pg_advisory_unlock(hashtextextended(:name, 0))"), {"name": f"lsats:{name}"})
        connection.commit()
    except DBAPIError:
        connection.invalidate()


def copy_rows(
    connection: Connection,
    table: LiteralString,
    columns: Sequence[str],
    types: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    """Stream `rows` into `table` by binary COPY, in the connection's transaction. jsonb values are serialized bytes."""
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    statement = psycopg.sql.SQL("copy {} ({}) from stdin (format binary)").format(
        psycopg.sql.Identifier(*table.split(".")),
        psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, columns)),
    )
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(list(types))
        for row in rows:
            copy.write_row(row)
