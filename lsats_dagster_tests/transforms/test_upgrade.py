"""`upgrade`: what it makes, what it refuses, and that it does so wholly or not at all."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from lsats_dagster import migrations
from lsats_dagster.database import OWNER, READER, WRITER, Database, LockTimeoutError, release_lock, take_lock
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.migrations import MigrationError, Upgrade, function_scripts, pending, prepare_roles, upgrade
from lsats_dagster.settings import SQL_ROOT
from lsats_dagster.sources import STREAMS
from lsats_dagster_tests.conftest import DEFINITIONS, new_database
from lsats_dagster_tests.contracts import table_checks
from lsats_dagster_tests.transforms.checkout import Checkout


def describe(database: Database) -> list[Any]:
    """Tables, views, columns, indexes, constraints, functions, triggers, comments and grants, as Postgres has them."""
    with database.transaction() as connection:
        return list(
            connection.exec_driver_sql(
                "with rooms as (select oid, nspname from pg_namespace "
                "where nspname in ('bronze', 'enriched', 'silver', 'curated', 'clean', 'meta')) "
                "select c.relname, c.relkind::text, c.relacl::text, obj_description(c.oid, 'pg_class') from pg_class c "
                "join rooms on rooms.oid = c.relnamespace union all "
                "select a.attrelid::regclass::text || '.' || a.attname, format_type(a.atttypid, a.atttypmod), "
                "a.attnotnull::text, col_description(a.attrelid, a.attnum) from pg_attribute a join pg_class c "
                "on c.oid = a.attrelid join rooms on rooms.oid = c.relnamespace where a.attnum > 0 and not attisdropped "
                "union all select conname, conrelid::regclass::text, pg_get_constraintdef(k.oid), '' from pg_constraint k "
                "join rooms on rooms.oid = k.connamespace union all "
                "select proname, pg_get_functiondef(p.oid), proacl::text, obj_description(p.oid, 'pg_proc') from pg_proc p "
                "join rooms on rooms.oid = p.pronamespace union all "
                "select indexname, indexdef, '', '' from pg_indexes join rooms on nspname = schemaname union all "
                "select tgname, pg_get_triggerdef(t.oid), '', '' from pg_trigger t where not tgisinternal order by 1, 2, 3, 4"
            )
        )


def test_upgrade_of_an_empty_database_and_once_more(empty: Database) -> None:
    """The second upgrade has nothing to do and changes nothing, rows included."""
    first = upgrade(empty, SQL_ROOT, STREAMS, DEFINITIONS)
    assert first.applied == sorted(path.name for path in (SQL_ROOT / "migrations").glob("*.sql"))
    made = describe(empty)
    second = upgrade(empty, SQL_ROOT, STREAMS, DEFINITIONS)
    assert second == Upgrade([], len(STREAMS), len(DEFINITIONS))
    assert describe(empty) == made
    with empty.transaction() as connection:
        assert pending(connection, SQL_ROOT, STREAMS, DEFINITIONS) == []


def test_upgrade_keeps_what_a_filled_hub_holds(checkout: Checkout) -> None:
    before, made = table_checks.dump(checkout.world, sequences=True), describe(checkout.world.admin)
    checkout.upgrade()
    assert table_checks.dump(checkout.world, sequences=True) == before
    assert describe(checkout.world.admin) == made
    assert checkout.refresh().mode == "incremental"


def test_two_upgrades_at_once(server: EmbeddedPostgres) -> None:
    url = new_database(server, template="template1")
    databases = [Database(url, role=None) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda database: upgrade(database, SQL_ROOT, STREAMS, DEFINITIONS), databases))
    assert sorted(len(one.applied) for one in done) == [0, len(list((SQL_ROOT / "migrations").glob("*.sql")))]
    for database in databases:
        database.dispose()


def migration(root: Path, name: str, sql: str) -> None:
    (root / "migrations" / name).write_text(sql)


def rename_last(root: Path) -> None:
    sorted((root / "migrations").glob("*.sql"))[-1].unlink()


NEXT = f"{len(list((SQL_ROOT / 'migrations').glob('*.sql'))) + 1:04d}_next.sql"
SPOILED: dict[str, tuple[Callable[[Path], None], str]] = {
    "changed": (lambda root: migration(root, "0001_schemas.sql", "select 1"), "0001_schemas.sql was changed .*put the file back"),
    "unknown": (rename_last, "this checkout does not know.*newer version"),
    "badly named": (lambda root: migration(root, "next.sql", ""), "next.sql: migrations are named"),
    "a gap": (lambda root: migration(root, "0999_far.sql", ""), "gap"),
    "twice": (lambda root: migration(root, "0001_again.sql", ""), "stand twice"),
}  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILED)
def test_migrations_that_do_not_fit_are_refused(checkout: Checkout, spoil: str) -> None:
    before = table_checks.dump(checkout.world)
    change, message = SPOILED[spoil]
    change(checkout.root)
    with pytest.raises(MigrationError, match=f"(?s){message}"):
        checkout.upgrade()
    with checkout.world.admin.transaction() as connection, pytest.raises(MigrationError):
        pending(connection, checkout.root, STREAMS, checkout.world.definitions)
    assert table_checks.dump(checkout.world) == before


def test_a_new_migration_and_a_broken_one(checkout: Checkout) -> None:
    """Wholly or not at all: the table of the migration that went well is not there when a later step fails."""
    made = describe(checkout.world.admin)
    migration(checkout.root, NEXT, "create table meta.example (a integer); select 1 / 0;")
    with pytest.raises(Exception, match="22012"):
        checkout.upgrade()
    assert describe(checkout.world.admin) == made
    migration(checkout.root, NEXT, "create table meta.example (a integer)")
    with checkout.world.admin.transaction() as connection:
        assert pending(connection, checkout.root, STREAMS, checkout.world.definitions) == [f"migration {NEXT}"]
    assert checkout.upgrade().applied == [NEXT]


def test_views_that_the_checkout_has_otherwise_are_pending(checkout: Checkout) -> None:
    """A changed view for readers, a view that is gone from the checkout, a view whose stream is new or described anew."""
    views = checkout.root / "views"

    def waiting(streams: tuple[StreamDeclaration, ...] = STREAMS) -> list[str]:
        with checkout.world.admin.transaction() as connection:
            return pending(connection, checkout.root, streams, checkout.world.definitions)

    assert waiting() == []
    described_anew = replace(STREAMS[0], description="Described anew.")
    new = replace(STREAMS[0], table="new_stream")
    assert waiting((described_anew, *STREAMS[1:], new)) == [
        f"view {STREAMS[0].layer}.new_stream", f"view {STREAMS[0].layer}.{STREAMS[0].table}"
    ]  # fmt: skip
    # It comes first by its name, and is made after the one that it reads.
    (views / "v_added.sql").write_text("select dept_id from silver.v_departments\n")
    checkout.change(("where d.is_present", "where d.is_present and d.is_active"), path=views / "v_departments.sql")
    assert waiting() == ["view silver.v_added", "view silver.v_departments"]
    checkout.upgrade()
    assert waiting() == []
    (views / "v_added.sql").unlink()
    assert waiting() == ["view silver.v_added"]
    checkout.upgrade()
    assert waiting() == []
    assert checkout.world.rows("select to_regclass('silver.v_added') as found")[0].found is None


def test_views_that_read_one_another_in_a_circle_are_refused(checkout: Checkout) -> None:
    (checkout.root / "views" / "v_added.sql").write_text("select dept_id from silver.v_departments\n")
    (checkout.root / "views" / "v_departments.sql").write_text("select dept_id from silver.v_added\n")
    with pytest.raises(MigrationError, match=r"circle: .*silver\.v_added"):
        checkout.upgrade()


def test_every_view_for_readers_is_a_barrier(checkout: Checkout) -> None:
    (checkout.root / "views" / "v_added.sql").write_text("select dept_id from silver.departments\n")
    checkout.upgrade()
    views = checkout.world.rows(
        "select c.relname, c.reloptions from pg_class c where c.relkind = 'v' and c.relnamespace = 'silver'::regnamespace"
    )
    assert "v_added" in {view.relname for view in views}
    assert {view.relname for view in views if view.reloptions != ["security_barrier=true"]} == set()


def test_a_failed_upgrade_frees_its_lock(checkout: Checkout) -> None:
    """The next upgrade, from the same process or another, need not wait for anyone."""
    migration(checkout.root, NEXT, "select 1 / 0")
    with pytest.raises(Exception, match="22012"):
        checkout.upgrade()
    other = Database(checkout.world.url, role=None)
    with other.connect() as connection:
        take_lock(connection, "db upgrade", 1)
        release_lock(connection, "db upgrade")
    other.dispose()


def waits(database: Database, upgrading: Future[Any]) -> None:
    """Until the upgrade wants a lock that another session holds."""
    waiting = text("select count(*) from pg_locks where not granted and locktype = 'relation'")
    with database.connect() as connection:
        while not connection.execute(waiting).scalar_one():
            connection.rollback()
            assert not upgrading.done()


def test_an_upgrade_beside_readers_is_part_of_no_deadlock(checkout: Checkout) -> None:
    """Whatever a session reads next, in whatever order, it gets; the upgrade goes on when the session has ended."""
    views = "select c.oid::regclass::text from pg_class c where relkind = 'v' and relowner = 'lsats_owner'::regrole"
    admin, reader = checkout.world.admin, Database(checkout.world.url, role=None)
    with admin.transaction() as connection:
        names = connection.exec_driver_sql(views).scalars().all()
        # Of the two only the reader looks for deadlocks, after the time that is usual, and would be the one that is ended.
        connection.exec_driver_sql(f"alter database {admin.url.database} set deadlock_timeout = '10min'")
    admin.dispose()
    for first, second in ((names[0], names[-1]), (names[-1], names[0])):
        with ThreadPoolExecutor(1) as pool, reader.connect() as connection:
            connection.exec_driver_sql(f"set deadlock_timeout = '1s'; select from {first}")
            upgrading = pool.submit(checkout.upgrade)
            waits(admin, upgrading)
            try:
                connection.exec_driver_sql(f"select from {second}")
            except OperationalError as error:
                pytest.fail(f"the reader was ended: {error.orig}")
            connection.rollback()
            assert upgrading.result().applied == []
    reader.dispose()


def test_an_upgrade_names_who_uses_what_it_needs(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that reads and does not end, a refresh under way."""
    monkeypatch.setattr(migrations, "LOCK_SECONDS", 0.0)
    made = describe(checkout.world.admin)
    other = Database(checkout.world.url)
    with other.connect() as connection:
        pid, login = connection.exec_driver_sql("select pg_backend_pid(), session_user").one()
        connection.exec_driver_sql("select from silver.departments")
        with pytest.raises(LockTimeoutError, match=f"silver.departments .*pid {pid} of login {login}"):
            checkout.upgrade()
        connection.rollback()
        take_lock(connection, "silver_transformation/departments", 1)
        with pytest.raises(LockTimeoutError, match=f"departments .*pid {pid} of login {login}"):
            checkout.upgrade()
        release_lock(connection, "silver_transformation/departments")
    other.dispose()
    assert describe(checkout.world.admin) == made


@pytest.mark.parametrize("rights", ["login", "login createrole"])
def test_roles_that_the_login_may_not_make(server: EmbeddedPostgres, rights: str) -> None:
    """The message is the list of statements for an administrator, ready to run; also where the database is another's."""
    database = Database(new_database(server, template="template1"), role=None)
    with database.connect() as connection, connection.begin() as transaction:
        for role in (OWNER, WRITER, READER):
            connection.exec_driver_sql(f"alter role {role} rename to {role}_away")
        connection.exec_driver_sql(f'create role "plain login" {rights}')
        connection.exec_driver_sql('set local session authorization "plain login"')
        with pytest.raises(MigrationError) as raised:
            prepare_roles(connection)
        connection.exec_driver_sql("reset session authorization")
        name = database.url.database
        lines = [line.strip() for line in str(raised.value).splitlines()[1:]]
        expected = {f"create role {role} nologin;" for role in (OWNER, WRITER, READER)}
        expected |= {f'grant {role} to "plain login";' for role in (OWNER, WRITER, READER)}
        expected |= {f'grant connect, temporary on database "{name}" to {role};' for role in (WRITER, READER)}
        assert set(lines) == expected | {f'grant connect, create, temporary on database "{name}" to {OWNER};'}
        assert "may not create roles" in str(raised.value)
        for line in lines:
            connection.exec_driver_sql(line)
        connection.exec_driver_sql('set local session authorization "plain login"')
        prepare_roles(connection)
        transaction.rollback()
    database.dispose()


def test_functions_are_made_after_those_that_they_call(tmp_path: Path) -> None:
    folder = tmp_path / "functions"
    folder.mkdir()
    (folder / "a.sql").write_text("create or replace function clean.a(x text) returns text return clean.b(x);")
    (folder / "b.sql").write_text("create or replace function clean.b(x text) returns text return x;")
    assert ["clean.a(x" in script for script in function_scripts(tmp_path)] == [False, True]
    (folder / "b.sql").write_text("create or replace function clean.b(x text) returns text return clean.a(x);")
    with pytest.raises(MigrationError, match=r"circle: a\.sql, b\.sql"):
        function_scripts(tmp_path)
