"""Secrets and record contents, planted and looked for everywhere but in meta.quarantine.payload (architecture, section 10)."""

import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

import pytest
from sqlalchemy import text

from lsats_dagster.database import Database, DatabaseError, LockTimeoutError, copy_rows, release_lock, take_lock
from lsats_dagster.demo.campus import Campus
from lsats_dagster.ingestion.quarantine import replay
from lsats_dagster.ingestion.stream import DetailStream, ListStream, Record
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.runs import Origin
from lsats_dagster.source import Source
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.engine import refresh
from lsats_dagster_tests.conftest import DEFINITIONS, Hub, make_client, source_of
from lsats_dagster_tests.contracts.poison_cases import POISON, POISON_OF, QUOTED, good_record
from lsats_dagster_tests.contracts.stream_cases import (
    beside_a_silent_source,
    content_field,
    data_routes,
    keys,
    login_route,
    prepare,
    quick,
    read,
)
from lsats_dagster_tests.contracts.stream_kinds import (
    CLIENT_STREAMS,
    REMOTE,
    REMOTE_STREAMS,
    name,
    transport,
)
from lsats_dagster_tests.contracts.stream_states import as_superuser

# Errors and logs are made by clients and engine.
pytestmark = pytest.mark.engine
WRONG = "wrong-credential-canary"
every_client = pytest.mark.parametrize("stream", CLIENT_STREAMS, ids=name)
every_remote = pytest.mark.parametrize("stream", REMOTE_STREAMS, ids=name)
every_fault = pytest.mark.parametrize(
    ("stream", "fault"),
    [(stream, fault) for stream in CLIENT_STREAMS for fault in (*transport(stream).faults, *transport(stream).waits)],
    ids=name,
)
# A login belongs to the source and not to its streams: the first stream of each source stands for all.
every_login_fault = pytest.mark.parametrize(
    ("stream", "fault"),
    [(source.streams[0], fault) for source in REMOTE for fault in transport(source.streams[0]).login_faults],
    ids=name,
)
as_text = logging.Formatter().format
PLAIN = ("_URL", "_CATEGORY_ID", "_CALLS_PER_MINUTE", "_FOLDER", "_SERVER", "_PORT", "_CA_FILE")


@dataclass
class Witness:
    """Everything that a run lets anybody see."""

    hub: Hub
    records: pytest.LogCaptureFixture
    errors: list[str] = field(default_factory=list)
    chains: list[str] = field(default_factory=list)

    def provoke(self, action: Callable[[], object], kind: type[BaseException] = Exception) -> None:
        """Let `action` fail, and keep what a traceback shows, and the whole chain with what `from None` hides."""
        with pytest.raises(kind) as raised:
            action()
        self.errors += traceback.format_exception(raised.value)
        waiting: list[BaseException | None] = [raised.value]
        seen: set[int] = set()
        while waiting:
            error = waiting.pop()
            if error is None or id(error) in seen:
                continue
            seen.add(id(error))
            self.chains += traceback.format_exception(error, chain=False)
            self.chains.append(f"{error!r} {getattr(error, '__notes__', '')}")
            waiting += [error.__cause__, error.__context__]

    def logged(self) -> list[logging.LogRecord]:
        """What was logged by the test and by its fixtures."""
        return [record for phase in ("setup", "call") for record in self.records.get_records(phase)]

    def shown(self) -> dict[str, str]:
        rows = self.hub.rows("select t::text from meta.ingestion_runs t")
        aside = self.hub.rows("select stage, reason from meta.quarantine")
        return {
            "errors": "\n".join(self.errors),
            "chains": "\n".join(self.chains),
            "log": "\n".join(f"{as_text(record)} {record.__dict__}" for record in self.logged()),
            "run rows": "\n".join(row[0] for row in rows),
            "reasons": "\n".join(f"{row.stage} {row.reason}" for row in aside),
        }

    def canaries(self) -> set[str]:
        environment = self.hub.campus.environment
        secrets = {value for setting, value in environment.items() if not setting.endswith(PLAIN)}
        keepers = [getattr(client, "_keeper", None) for client in self.hub.clients.values()]
        tokens = {keeper._token.value for keeper in keepers if keeper is not None and keeper._token is not None}
        password = self.hub.database.url.password
        assert password
        # What a secret looks like inside a header or a JSON Web Token counts as well.
        return secrets | tokens | {password, QUOTED, WRONG, "Bearer ", "eyJ"}


@cache
def place_of_canary(campus: Campus, stream: str) -> tuple[str, str]:
    """A key of a stream on the first day, and a field of its content."""
    (declared,) = (known for known in STREAMS if known.name == stream)
    key = keys(campus, declared)[2]
    return key, content_field(declared, campus.truth(stream)[key])


@pytest.fixture
def witness(source_hub: Hub, caplog: pytest.LogCaptureFixture) -> Iterator[Witness]:
    # From the root down, the libraries included, and before the engine is made: some look at the level only then.
    caplog.set_level(logging.DEBUG)
    source_hub.database = Database(source_hub.database.url.render_as_string(hide_password=False))
    for stream in STREAMS:
        # Content that is read well must not show either.
        key, field = place_of_canary(source_hub.campus, stream.name)
        source_hub.campus.put(stream.name, key, {field: [QUOTED] if field in stream.hash_rule.sets else QUOTED})
    witness = Witness(source_hub, caplog)
    yield witness
    assert witness.logged(), "without a log nothing is proved"
    shown = witness.shown()
    found = {place: {canary for canary in witness.canaries() if canary in shown[place]} for place in shown}
    # Postgres' own error, which quotes rows, stays behind ours as a hidden context: no traceback and no log prints it.
    found["chains"] -= {QUOTED}
    assert found == {place: set() for place in shown}
    source_hub.database.dispose()


@every_fault
def test_failing_sources(stream: StreamDeclaration, fault: str, witness: Witness) -> None:
    hub = witness.hub
    prepare(hub, stream)
    beside_a_silent_source(hub, fault)
    data_routes(hub, stream).fault(fault, times=None)
    # Six details are enough for a run to give up, whatever the fault.
    witness.provoke(lambda: hub.run(stream, limit=6))


@every_login_fault
def test_failing_logins(stream: StreamDeclaration, fault: str, witness: Witness) -> None:
    hub = witness.hub
    prepare(hub, stream)
    # New clients have to log in.
    quick(hub)
    beside_a_silent_source(hub, fault)
    hub.campus.fault(login_route(hub.campus, source_of(stream)), fault, times=None)
    witness.provoke(lambda: hub.run(stream, limit=6))


def wrong_logins(campus: Campus, source: Source) -> list[dict[str, Any]]:
    """Settings with wrong credentials, for every way in which the source lets somebody in."""
    known = {name.lower(): value for name, value in campus.environment.items()}
    fields = source.settings.model_fields
    others = known.keys() & fields.keys() - {name for way in source.settings.ways for name in way}
    return [
        {
            name: f"{WRONG}-{name}" if "SecretStr" in str(fields[name].annotation) else known[name]
            for name in (*way, *others)
        }
        for way in source.settings.ways
    ]


@every_remote
def test_wrong_credentials(stream: StreamDeclaration, witness: Witness) -> None:
    hub, source = witness.hub, source_of(stream)
    prepare(hub, stream)
    for wrong in wrong_logins(hub.campus, source):
        hub.use(stream, make_client(hub.campus, source, wrong))
        witness.provoke(lambda: hub.run(stream))
        assert WRONG not in repr(source.settings(**wrong))


@every_client
def test_bad_records(stream: StreamDeclaration, witness: Witness) -> None:
    hub, campus = witness.hub, witness.hub.campus
    good = good_record(hub, stream)
    if isinstance(stream, DetailStream):
        # Not one behind the other: five that cannot be read in a row end a run.
        for key, poison in zip(keys(campus, stream)[::5], POISON, strict=False):
            campus.poison_detail(stream.name, key, poison.raw(replace(good, key=key)))
        assert read(hub, stream).counts.failed == len(POISON)
    else:
        known = POISON_OF[source_of(stream).transport]
        # Those with a key have the same one, which a paged read would take for moved pages.
        portions = [[poison] for poison in known if poison.has_key]
        for portion in ([poison for poison in known if not poison.has_key], *portions):
            campus.poison(stream.name, [poison.raw(good) for poison in portion])
            assert read(hub, stream).counts.failed == len(portion)
    replay(witness.hub.database, stream, origin=Origin(), batch_size=10, lock_wait_seconds=5.0)


@every_client
def test_a_key_function_that_fails_in_an_unforeseen_way(stream: StreamDeclaration, witness: Witness) -> None:
    def careless(record: Record) -> str:
        if QUOTED in str(record):
            raise ValueError(f"unexpected {record}")
        return stream.key(record)

    prepare(witness.hub, stream)
    run = witness.hub.run(replace(stream, key=careless))
    assert run.counts.failed == 1


@every_client
def test_a_database_that_refuses_the_rows(stream: StreamDeclaration, witness: Witness) -> None:
    prepare(witness.hub, stream)
    superuser = as_superuser(witness.hub)
    with superuser.transaction() as connection:
        connection.execute(
            text(f"alter table bronze.raw_entities add check (raw_data::text not like '%{QUOTED}%') not valid")
        )
    superuser.dispose()
    witness.provoke(lambda: witness.hub.run(stream), DatabaseError)


# What Postgres then says quotes all rows that a statement writes.
QUOTING = """
create function silver.quote() returns trigger language plpgsql as
$$ begin perform jsonb_agg(to_jsonb(w))::text::integer from written w; return null; end $$;
create trigger quote after insert on {table} referencing new table as written
for each statement execute function silver.quote()
"""


@pytest.mark.budget(25, "every list and every table")
def test_refreshes_that_the_database_refuses(witness: Witness) -> None:
    """Of every table of silver: what the sources said of people goes through them all."""
    for stream in STREAMS:
        if isinstance(stream, ListStream):
            witness.hub.run(stream)
    superuser = as_superuser(witness.hub)
    for definition in DEFINITIONS:
        run = partial(refresh, witness.hub.database, definition, origin=Origin(), lock_wait_seconds=5.0)
        with superuser.transaction() as connection:
            connection.exec_driver_sql(QUOTING.format(table=definition.name))
        witness.provoke(run, DatabaseError)
        with superuser.transaction() as connection:
            connection.exec_driver_sql("drop function silver.quote() cascade")
        run()
    superuser.dispose()
    assert any(QUOTED in chain for chain in witness.chains), "there was nothing to hide"


BAD_STATEMENTS = (
    "select cast(:value as integer)",
    "select cast(:value as jsonb)",
    "select cast(:value as timestamptz)",
    "select cast(:value as uuid)",
    "insert into meta.quarantine (source_system, entity_type, stage, reason, payload_hash, run_id) "
    "values ('a', 'b', :value, 'c', 'd', gen_random_uuid())",
    "insert into meta.call_windows (method, ends_at, seconds, allowance, used) "
    "values (:value, now(), 1, 1, 1), (:value, now(), 1, 1, 1)",
    "insert into bronze.current_entities (source_system, entity_type, external_id) values ('a', 'b', :value)",
    "select :value from nowhere",
)


@pytest.mark.parametrize("statement", BAD_STATEMENTS)
def test_values_that_the_database_refuses(statement: str, witness: Witness) -> None:
    def execute() -> None:
        with witness.hub.database.transaction() as connection:
            connection.execute(text(statement), {"value": QUOTED})

    witness.provoke(execute, DatabaseError)
    read(witness.hub, STREAMS[0])


def test_a_copy_that_the_database_refuses(witness: Witness) -> None:
    def copy() -> None:
        with witness.hub.database.transaction() as connection:
            connection.exec_driver_sql("create temporary table target (value jsonb, number int4 check (number > 5))")
            copy_rows(connection, "target", ("value", "number"), ("jsonb", "int4"), [(f'"{QUOTED}'.encode(), 1)])

    witness.provoke(copy, DatabaseError)
    read(witness.hub, STREAMS[0])


def test_a_lock_that_is_held_and_a_wrong_database_password(witness: Witness) -> None:
    stream = STREAMS[0]
    witness.hub.lock_wait_seconds = 0.05
    other = as_superuser(witness.hub)
    with other.connect() as connection:
        take_lock(connection, stream.name, 1.0)
        witness.provoke(lambda: witness.hub.run(stream), LockTimeoutError)
        release_lock(connection, stream.name)
    other.dispose()
    wrong = Database(witness.hub.database.url.set(password=WRONG).render_as_string(hide_password=False))
    witness.provoke(lambda: wrong.connect().__enter__(), DatabaseError)
    wrong.dispose()
    read(witness.hub, stream)
