"""`lsats db upgrade`: roles, numbered migrations, and everything that is derived from definitions, in one transaction.

Migrations are forward-only files of sql/migrations. Functions, stream views, silver tables and reader views have no
migrations: they are made again from what the checkout says.
"""

import csv
import hashlib
import logging
import re
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from psycopg.errors import InsufficientPrivilege
from psycopg.sql import Identifier
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from lsats_dagster.database import OWNER, READER, WRITER, Database, release_lock, take_lock
from lsats_dagster.ingestion.views import StreamDeclaration, view_statements
from lsats_dagster.runs import alone
from lsats_dagster.transforms.definition import Definition
from lsats_dagster.transforms.engine import subject
from lsats_dagster.transforms.ordering import CircleError, needed_first
from lsats_dagster.transforms.tables import check_reach, deploy

logger = logging.getLogger(__name__)

MIGRATION_NAME = re.compile(r"^(?P<version>\d{4})_[a-z0-9_]+\.sql$")
LOCK = "db upgrade"
LOCK_SECONDS = 600.0
ROLES = {
    OWNER: "owns the hub's schemas; migrations",
    WRITER: "runs the assets",
    READER: "reads the views",
}

# Where nobody has rights on the database just for being there, its logins connect by these.
RIGHTS = {
    OWNER: ("connect", "create", "temporary"),
    WRITER: ("connect", "temporary"),
    READER: ("connect", "temporary"),
}


class MigrationError(Exception):
    """The database cannot be brought to this checkout's state. The message says what to do."""


def checksum(script: str) -> str:
    """SHA-256 of a script."""
    return hashlib.sha256(script.encode()).hexdigest()


@dataclass(frozen=True)
class Migration:
    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return checksum(self.sql)


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade did."""

    applied: list[str]
    streams: int
    tables: int


def load_migrations(folder: Path) -> list[Migration]:
    """The migrations of `folder` in order; MigrationError when names or numbers are wrong."""
    migrations = []
    for path in sorted(folder.glob("*.sql")):
        match = MIGRATION_NAME.match(path.name)
        if match is None:
            raise MigrationError(f"{path.name}: migrations are named 0001_what_it_does.sql")
        migrations.append(Migration(int(match["version"]), path.name, path.read_text(encoding="utf-8")))
    if [m.version for m in migrations] != list(range(1, len(migrations) + 1)):
        raise MigrationError("the numbers of the migrations have a gap or stand twice")
    return migrations


def upgrade(
    database: Database,
    sql_root: Path,
    streams: tuple[StreamDeclaration, ...],
    definitions: tuple[Definition, ...],
    service: str | None = None,
) -> Upgrade:
    """Bring the database to the state of this checkout, wholly or not at all. `database` acts with its login's own rights.

    `service`: the login that runs the assets, where it is another one.
    Refreshes of silver tables wait until it is done; all others until nothing of the hub is in use for a moment.
    Raises MigrationError (wrong encoding, changed or unknown migration, missing rights), LockTimeoutError, which names the
    session that holds what is needed, and DatabaseError.
    """
    migrations = load_migrations(sql_root / "migrations")
    applied: list[str] = []

    def become_owner() -> None:
        prepare_roles(connection, service)
        connection.exec_driver_sql(f"set local role {OWNER}")

    def bring_up_to_date() -> None:
        drop_views(connection)
        applied[:] = apply_migrations(connection, migrations)
        derive(connection, sql_root, streams, definitions)

    with database.connect() as connection, ExitStack() as locks:
        check_encoding(connection)
        for name in (LOCK, *(subject(definition).name for definition in definitions)):
            take_lock(connection, name, LOCK_SECONDS)
            locks.callback(release_lock, connection, name)
        alone(connection, become_owner, bring_up_to_date, wait_seconds=LOCK_SECONDS)
    return Upgrade(applied, len(streams), len(definitions))


def drop_views(connection: Connection) -> None:
    """Take away what `derive` makes again, so that nothing depends on a table that is altered."""
    views = connection.exec_driver_sql(
        "select format('%%I.%%I', schemaname, viewname) from pg_views where schemaname in ('bronze', 'enriched', 'silver')"
    ).scalars()
    if names := ", ".join(views):
        connection.exec_driver_sql(f"drop view {names}")


def check_encoding(connection: Connection) -> None:
    """MigrationError when the database is not in UTF8, and so cannot hold every text of the sources as it is."""
    encoding = connection.exec_driver_sql("show server_encoding").scalar_one()
    if encoding != "UTF8":
        raise MigrationError(
            f"the database has the encoding {encoding}, which cannot keep every text: make a new one by "
            "`create database <name> encoding 'UTF8' template template0`, and put its name into DATABASE_URL"
        )


def prepare_roles(connection: Connection, service: str | None = None) -> None:
    """Make the roles and grant them to this login, those of the assets to `service` too, or say which statements an
    administrator has to run.
    """
    needed = role_statements(connection, service)
    if not needed:
        return
    try:
        with connection.begin_nested() as attempt:
            for statement in needed:
                connection.exec_driver_sql(statement)
            # A right on a database that is another's is not granted, with a warning and no error.
            refused = bool(role_statements(connection, service))
            if refused:
                attempt.rollback()
    except DBAPIError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        refused = True
    if refused:
        statements = "\n".join(f"  {statement};" for statement in needed)
        raise MigrationError(
            "this login may not create roles, or not grant them; set DATABASE_ADMIN_URL to one that may, or ask an "
            f"administrator of the server to run:\n{statements}"
        )


def role_statements(connection: Connection, service: str | None) -> list[str]:
    """What is still to be done before the roles can work; empty when nothing is."""
    login, database = connection.exec_driver_sql("select current_user, current_database()").one()
    quote = connection.dialect.identifier_preparer.quote_identifier
    known = set(
        connection.execute(
            text("select rolname from pg_roles where rolname = any(:names)"), {"names": list(ROLES)}
        ).scalars()
    )
    needed = [f"create role {role} nologin" for role in ROLES if role not in known]
    wanted = {(login, role) for role in ROLES} | {(service or login, role) for role in (WRITER, READER)}
    for name, role in sorted(wanted):
        if role not in known:
            needed.append(f"grant {role} to {quote(name)}")
        elif not connection.execute(
            text("select pg_has_role(:name, :role, 'set')"), {"name": name, "role": role}
        ).scalar_one():
            # A member without SET may not act as the role, and a plain grant would leave it so.
            needed.append(f"grant {role} to {quote(name)} with set true")
    for role, rights in RIGHTS.items():
        has = " and ".join(f"has_database_privilege('{role}', current_database(), '{right}')" for right in rights)
        if role not in known or not connection.exec_driver_sql(f"select {has}").scalar_one():
            needed.append(f"grant {', '.join(rights)} on database {quote(database)} to {role}")
    return needed


def service_grant(login: str) -> str:
    """The statement that lets a login run assets and read views."""
    return f"grant {WRITER}, {READER} to {Identifier(login).as_string()} with set true"


def recorded_migrations(connection: Connection) -> dict[int, tuple[str, str]]:
    """version -> (name, checksum) of what was applied; empty on a new database."""
    if not connection.exec_driver_sql("select to_regclass('meta.schema_migrations') is not null").scalar_one():
        return {}
    rows = connection.exec_driver_sql("select version, name, checksum from meta.schema_migrations order by version")
    return {row.version: (row.name, row.checksum) for row in rows}


def check_recorded(recorded: dict[int, tuple[str, str]], migrations: list[Migration]) -> None:
    """MigrationError when the database knows a migration that this checkout does not have, or has otherwise."""
    by_version = {migration.version: migration for migration in migrations}
    for version, (name, checksum) in recorded.items():
        migration = by_version.get(version)
        if migration is None:
            raise MigrationError(
                f"the database has migration {name}, which this checkout does not know: "
                "it was upgraded by a newer version. Use that version, or restore the database"
            )
        if migration.checksum != checksum:
            raise MigrationError(
                f"migration {migration.name} was changed after it was applied: "
                "put the file back as it was and write a new migration"
            )


def apply_migrations(connection: Connection, migrations: list[Migration]) -> list[str]:
    """Apply what is missing; the names of what was applied."""
    recorded = recorded_migrations(connection)
    check_recorded(recorded, migrations)
    if not recorded:
        connection.exec_driver_sql("create schema if not exists meta")
        connection.exec_driver_sql(
            "create table if not exists meta.schema_migrations (version integer primary key, name text not null, "
            "checksum text not null, applied_at timestamptz not null default now())"
        )
    applied = []
    for migration in migrations:
        if migration.version in recorded:
            continue
        run_script(connection, migration.sql)
        connection.execute(
            text("insert into meta.schema_migrations (version, name, checksum) values (:version, :name, :checksum)"),
            {"version": migration.version, "name": migration.name, "checksum": migration.checksum},
        )
        applied.append(migration.name)
        logger.info("✅ applied %s", migration.name)
    return applied


def run_script(connection: Connection, sql: str) -> None:
    """Run a file of several statements; without parameters the driver sends it as it is."""
    driver = connection.connection.driver_connection
    driver.execute(sql)  # type: ignore[union-attr]


def derive(
    connection: Connection,
    sql_root: Path,
    streams: tuple[StreamDeclaration, ...],
    definitions: tuple[Definition, ...],
) -> None:
    """Make functions, stream views, silver tables and reader views as the checkout says. No view is there any more."""
    for script in function_scripts(sql_root):
        run_script(connection, script)
    load_flag_deductions(connection, sql_root)
    for definition in definitions:
        deploy(connection, definition)
    scripts = view_scripts(sql_root, streams)
    for script in scripts.values():
        run_script(connection, script)
    for definition in definitions:
        check_reach(connection, definition)
    connection.execute(text("delete from meta.deployed_views where view_name <> all(:names)"), {"names": list(scripts)})
    connection.execute(
        text(
            "insert into meta.deployed_views (view_name, script_hash) values (:name, :hash) "
            "on conflict (view_name) do update set script_hash = excluded.script_hash, deployed_at = now() "
            "where deployed_views.script_hash <> excluded.script_hash"
        ),
        [{"name": name, "hash": checksum(script)} for name, script in scripts.items()],
    )


def function_scripts(sql_root: Path) -> list[str]:
    """The files of the cleaning functions, each after those whose functions it calls."""
    scripts = {path.name: path.read_text(encoding="utf-8") for path in sorted((sql_root / "functions").glob("*.sql"))}
    made = {name: set(re.findall(r"function clean\.(\w+)\(", script)) for name, script in scripts.items()}
    called = {name: set(re.findall(r"\bclean\.(\w+)\(", script)) - made[name] for name, script in scripts.items()}
    try:
        names = needed_first({name: [other for other in made if called[name] & made[other]] for name in scripts})
    except CircleError as circle:
        raise MigrationError(f"files of sql/functions call one another in a circle: {circle}") from None
    return [scripts[name] for name in names]


def view_scripts(sql_root: Path, streams: tuple[StreamDeclaration, ...]) -> dict[str, str]:
    """`schema.view` -> the script that makes it: the views of streams, then those for readers, each after those it reads.

    Of a view for readers no condition of theirs is asked about rows that it leaves out: a function of their own would see them.
    """
    scripts = {f"{stream.layer}.{stream.table}": ";\n".join(view_statements(stream)) for stream in streams}
    paths = sorted((sql_root / "views").glob("*.sql"))
    selects = {f"silver.{path.stem}": path.read_text(encoding="utf-8") for path in paths}
    read = {name: selects.keys() & set(re.findall(r"\bsilver\.\w+", select)) for name, select in selects.items()}
    try:
        names = needed_first(read)
    except CircleError as circle:
        raise MigrationError(f"views of sql/views read one another in a circle: {circle}") from None
    for name in names:
        scripts[name] = (
            f"create view {name} with (security_barrier) as\n{selects[name]};\ngrant select on {name} to {READER}"
        )
    return scripts


def load_flag_deductions(connection: Connection, sql_root: Path) -> None:
    """Make curated.flag_deductions equal to the reviewed file."""
    with (sql_root / "curated" / "flag_deductions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    connection.exec_driver_sql("delete from curated.flag_deductions")
    connection.execute(
        text("insert into curated.flag_deductions values (:table_name, :flag, :deduction, :meaning)"), rows
    )


def pending(
    connection: Connection,
    sql_root: Path,
    streams: tuple[StreamDeclaration, ...],
    definitions: tuple[Definition, ...],
) -> list[str]:
    """What `upgrade` would still do, in words; MigrationError when it would refuse."""
    check_encoding(connection)
    migrations = load_migrations(sql_root / "migrations")
    recorded = recorded_migrations(connection)
    check_recorded(recorded, migrations)
    waiting = [f"migration {migration.name}" for migration in migrations if migration.version not in recorded]
    if not waiting:
        rows = connection.exec_driver_sql("select table_name, definition_hash from meta.silver_definitions")
        deployed = {row.table_name: row.definition_hash for row in rows}
        waiting = [f"table {d.name}" for d in definitions if deployed.get(d.table) != d.hash]
        rows = connection.exec_driver_sql("select view_name, script_hash from meta.deployed_views")
        made = {row.view_name: row.script_hash for row in rows}
        wanted = {name: checksum(script) for name, script in view_scripts(sql_root, streams).items()}
        waiting += [f"view {name}" for name in sorted(made.keys() | wanted) if made.get(name) != wanted.get(name)]
    return waiting


def server_facts(connection: Connection) -> tuple[str, datetime]:
    """(version as text, the server's clock)."""
    name, now = connection.exec_driver_sql("select current_setting('server_version'), clock_timestamp()").one()
    return name, now


def writer_rights_hold(connection: Connection) -> bool:
    """Whether this connection may append to bronze and keep run records, and may change nothing in bronze."""
    may, may_not = connection.exec_driver_sql(
        "select has_column_privilege('bronze.raw_entities', 'raw_data', 'insert') "
        "and has_any_column_privilege('meta.ingestion_runs', 'insert') "
        "and has_any_column_privilege('meta.ingestion_runs', 'update'), "
        "has_any_column_privilege('bronze.raw_entities', 'update') "
        "or has_table_privilege('bronze.raw_entities', 'delete, truncate') "
        "or has_column_privilege('bronze.raw_entities', 'seq', 'insert')"
    ).one()
    return bool(may and not may_not)


def reader_sees_views(connection: Connection) -> None:
    """Read each view for readers once; DatabaseError when one refuses."""
    names = (
        connection.exec_driver_sql(
            "select format('%%I.%%I', schemaname, viewname) from pg_views where schemaname = 'silver' order by 1"
        )
        .scalars()
        .all()
    )
    for name in names:
        connection.exec_driver_sql(f"select from {name} limit 1")
