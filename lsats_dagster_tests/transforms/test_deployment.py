"""`upgrade`: what it makes, what it refuses, and what happens to a filled hub when definitions change."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from lsats_dagster.database import OWNER, READER, WRITER, Database, release_lock, take_lock
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.migrations import MigrationError, Upgrade, pending, prepare_roles, upgrade
from lsats_dagster.settings import SQL_ROOT
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.definition import Definition, load_definitions
from lsats_dagster.transforms.engine import OutdatedTableError
from lsats_dagster_tests.conftest import DEFINITIONS, new_database
from lsats_dagster_tests.contracts import table_checks
from lsats_dagster_tests.contracts.histories import Change, World

TABLE = "umapi_departments"
UMICH = "umich_api/department"
# The part of the definition file that the tests rewrite, and what stands in its SELECT.
COLUMN = 'vp_area_name = ["text", "Executive area"]\n'
SELECTED = "    c.vp_area_name,\n"


class Checkout:
    """A copy of sql/ that a test may change, and a filled hub that was made from it."""

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.world = World(url, self.definitions())
        self.path = root / "silver" / "sources" / f"{TABLE}.sql"

    def definitions(self) -> tuple[Definition, ...]:
        return load_definitions(self.root)

    def change(self, *replacements: tuple[str, str], path: Path | None = None) -> None:
        """Edit a definition file; the world then runs the changed checkout."""
        path = path or self.path
        content = path.read_text()
        for old, new in replacements:
            assert old in content
            content = content.replace(old, new, 1)
        path.write_text(content)
        self.world.definitions = self.definitions()

    def upgrade(self) -> Upgrade:
        return upgrade(self.world.admin, self.root, STREAMS, self.world.definitions)

    def refresh(self) -> Any:
        return self.world.refresh(TABLE)

    def columns(self) -> dict[str, tuple[str, bool]]:
        """name -> (type, NOT NULL) as Postgres has them."""
        rows = self.world.rows(
            "select attname, format_type(atttypid, atttypmod) as type, attnotnull from pg_attribute "
            "where attrelid = cast(:table as regclass) and attnum > 0 and not attisdropped",
            table=f"silver.{TABLE}",
        )
        return {row.attname: (row.type, row.attnotnull) for row in rows}

    def indexes(self) -> dict[str, str]:
        rows = self.world.rows("select indexname, indexdef from pg_indexes where tablename = :table", table=TABLE)
        return {row.indexname: row.indexdef.split(" USING ")[1] for row in rows}

    def check_full_once_then_incremental(self) -> None:
        """Refused until the upgrade; then one full refresh makes the table right, and the next is incremental."""
        with pytest.raises(OutdatedTableError, match="lsats db upgrade"):
            self.refresh()
        self.upgrade()
        assert self.refresh().mode == "full"
        table_checks.check_same_as_full(self.world, self.world.definition(TABLE))
        self.world.apply(Change(UMICH, "100001", "DeptDescription", f"After {self.world.definition(TABLE).hash}"))
        self.world.read(UMICH)
        run = self.refresh()
        assert (run.mode, run.counts.updated) == ("incremental", 1)
        table_checks.check_same_as_full(self.world, self.world.definition(TABLE))


@pytest.fixture
def checkout(server: EmbeddedPostgres, tmp_path: Path) -> Iterator[Checkout]:
    shutil.copytree(SQL_ROOT, tmp_path / "sql")
    found = Checkout(tmp_path / "sql", new_database(server))
    found.world.fill()
    found.world.refresh_all()
    yield found
    found.world.dispose()


@pytest.fixture
def empty(server: EmbeddedPostgres) -> Iterator[Database]:
    """A database without anything of the hub, on a login with all rights."""
    database = Database(new_database(server, template="template1"), role=None)
    yield database
    database.dispose()


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
        assert pending(connection, SQL_ROOT, DEFINITIONS) == []


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


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.table)
def test_table_as_the_definition_says(hub: Database, definition: Definition) -> None:
    """Columns, types and comments; only keys are NOT NULL; a row that never existed has its comment too."""
    with hub.transaction() as connection:
        rows = connection.execute(
            text(
                "select attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum) "
                "from pg_attribute where attrelid = cast(:t as regclass) and attnum > 0 and not attisdropped order by attnum"
            ),
            {"t": definition.name},
        ).all()
        comment = connection.execute(
            text("select obj_description(cast(:t as regclass), 'pg_class')"), {"t": definition.name}
        ).scalar_one()
    assert [tuple(row) for row in rows] == [
        (column.name, column.type, column.name in definition.key, column.comment) for column in definition.columns
    ]
    assert comment == f"{definition.row} {definition.description}"


def test_quotes_and_percent_signs_in_comments(checkout: Checkout) -> None:
    checkout.change((COLUMN, 'vp_area_name = ["text", "The area\'s name, 100 % \\"quoted\\" %s :x \\\\"]\n'))
    checkout.upgrade()
    (row,) = checkout.world.rows(
        "select col_description(attrelid, attnum) from pg_attribute "
        "where attrelid = cast('silver.umapi_departments' as regclass) and attname = 'vp_area_name'"
    )
    assert row[0] == 'The area\'s name, 100 % "quoted" %s :x \\'


def test_a_changed_rule(checkout: Checkout) -> None:
    checkout.change((SELECTED, "    upper(c.vp_area_name) as vp_area_name,\n"))
    checkout.check_full_once_then_incremental()
    assert checkout.world.rows(f"select distinct vp_area_name from silver.{TABLE} where vp_area_name like 'E%'") == [
        ("EXAMPLE EXECUTIVE AREA",)
    ]


def test_a_changed_function_and_a_changed_deduction(checkout: Checkout) -> None:
    """Both shape the table, so both ask for one full refresh."""
    functions = checkout.root / "functions" / "text.sql"
    functions.write_text(functions.read_text() + "-- changed\n")
    checkout.world.definitions = checkout.definitions()
    checkout.check_full_once_then_incremental()
    csv = checkout.root / "curated" / "flag_deductions.csv"
    checkout.change(
        ("umapi_departments,missing_dept_group_code,0.00", "umapi_departments,missing_dept_group_code,0.40"), path=csv
    )
    checkout.check_full_once_then_incremental()
    assert checkout.world.rows(
        "select deduction::text from curated.flag_deductions where flag = 'missing_dept_group_code'"
    ) == [("0.40",)]


def test_an_added_column(checkout: Checkout) -> None:
    checkout.change(
        (COLUMN, f'{COLUMN}name_length = ["integer", "Length"]\n'),
        (SELECTED, f"{SELECTED}    length(c.department_name) as name_length,\n"),
    )
    checkout.check_full_once_then_incremental()
    assert checkout.columns()["name_length"] == ("integer", False)
    assert checkout.world.rows(f"select 1 from silver.{TABLE} where name_length > 0")


def test_a_dropped_column(checkout: Checkout) -> None:
    """What reads it must have changed with it."""
    checkout.change((COLUMN, ""), (SELECTED, ""))
    entity = checkout.root / "silver" / "entities" / "departments.sql"
    checkout.change(
        ("    u.vp_area_name,\n", "    u.campus_name as vp_area_name,\n"),
        ("u.vp_area_name as vp_area,", "u.campus_name as vp_area,"),
        ("u.vp_area_name is null", "u.campus_name is null"),
        path=entity,
    )
    checkout.check_full_once_then_incremental()
    assert "vp_area_name" not in checkout.columns()


def test_a_renamed_column(checkout: Checkout) -> None:
    """The values come back under the new name, though not one of them has changed."""
    checkout.change(
        ('dept_group_vp_area = ["text"', 'vp_area_code = ["text"'),
        ("    c.dept_group_vp_area,\n", "    c.dept_group_vp_area as vp_area_code,\n"),
        ("dept_group_campus, dept_group_vp_area, dept_group", "dept_group_campus, vp_area_code, dept_group"),
    )
    entity = checkout.root / "silver" / "entities" / "departments.sql"
    checkout.change(("    u.dept_group_vp_area,\n", "    u.vp_area_code as dept_group_vp_area,\n"), path=entity)
    checkout.check_full_once_then_incremental()
    assert checkout.world.rows(f"select 1 from silver.{TABLE} where vp_area_code = 'EX_VP_AREA'")


@pytest.mark.parametrize("new_type", ["varchar(40)", "jsonb"])
def test_a_retyped_column(checkout: Checkout, new_type: str) -> None:
    """A changed type is a new column: what stood there is not cast, it is made again from bronze."""
    changed = "    to_jsonb(c.{0}) as {0},\n" if new_type == "jsonb" else "    c.{0}::varchar(40) as {0},\n"
    checkout.change(
        ('dept_group = ["text"', f'dept_group = ["{new_type}"'),
        ("    c.dept_group,\n", changed.format("dept_group")),
        ('indexes = ["dept_group_campus, dept_group_vp_area, dept_group"]', "indexes = []"),
    )
    entity = checkout.root / "silver" / "entities" / "departments.sql"
    checkout.change(("    u.dept_group,\n", "    u.dept_group::text as dept_group,\n"), path=entity)
    checkout.check_full_once_then_incremental()
    assert checkout.columns()["dept_group"][0] == {"varchar(40)": "character varying(40)"}.get(new_type, new_type)
    assert checkout.world.rows(f"select 1 from silver.{TABLE} where dept_group::text like '%EXAMPLE_COLLEGE%'")


def test_another_spelling_of_a_type_is_no_change(checkout: Checkout) -> None:
    before = checkout.world.rows(f"select t::text from silver.{TABLE} t order by 1")
    path = checkout.root / "silver" / "sources" / "tdx_departments.sql"
    checkout.change(('tdx_created_date = ["timestamp with time zone"', 'tdx_created_date = ["timestamptz"'), path=path)
    checkout.upgrade()
    assert checkout.world.rows("select 1 from silver.tdx_departments where tdx_created_date is not null")
    assert checkout.world.rows(f"select t::text from silver.{TABLE} t order by 1") == before


@pytest.mark.parametrize("wider", [True, False], ids=["more columns", "another column"])
def test_a_changed_key(checkout: Checkout, wider: bool) -> None:
    """The primary key is that of the definition; what was made under the other key is made again."""
    checkout.change(
        (
            'key = ["dept_id"]',
            'key = ["dept_id", "row_number"]' if wider else 'key = ["row_number"]\nscope = "dept_id"',
        ),
        (COLUMN, f'{COLUMN}row_number = ["bigint", "Number"]\n'),
        (SELECTED, f"{SELECTED}    hashtext(c.external_id)::bigint as row_number,\n"),
    )
    checkout.check_full_once_then_incremental()
    key = ["dept_id", "row_number"] if wider else ["row_number"]
    assert checkout.indexes()[f"{TABLE}_pkey"] == f"btree ({', '.join(key)})"
    assert {name for name, (_, not_null) in checkout.columns().items() if not_null} == set(key)


def test_added_and_dropped_indexes(checkout: Checkout) -> None:
    declared = 'indexes = ["dept_group_campus, dept_group_vp_area, dept_group"]'
    before = checkout.indexes()
    old = f"{TABLE}_dept_group_campus_dept_group_vp_area_dept_group_idx"[:63]
    assert before[old] == "btree (dept_group_campus, dept_group_vp_area, dept_group)"
    assert f"{TABLE}_changed_seq_idx" in before
    checkout.change((declared, 'indexes = ["campus_name", "source_systems"]'))
    checkout.upgrade()
    after = checkout.indexes()
    assert old not in after
    assert after[f"{TABLE}_campus_name_idx"] == "btree (campus_name)"
    assert after[f"{TABLE}_source_systems_idx"] == "gin (source_systems)"


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
        pending(connection, checkout.root, checkout.world.definitions)
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
        assert pending(connection, checkout.root, checkout.world.definitions) == [f"migration {NEXT}"]
    assert checkout.upgrade().applied == [NEXT]


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
        assert set(lines) == expected | {f'grant create, temporary on database "{name}" to {OWNER};'}
        assert "may not create roles" in str(raised.value)
        for line in lines:
            connection.exec_driver_sql(line)
        connection.exec_driver_sql('set local session authorization "plain login"')
        prepare_roles(connection)
        transaction.rollback()
    database.dispose()
