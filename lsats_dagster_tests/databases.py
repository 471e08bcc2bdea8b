"""Hub databases for tests: new ones, and those that the tests of a worker use one after the other."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.rows import scalar_row
from sqlalchemy import make_url

from lsats_dagster.demo.postgres import EmbeddedPostgres, EmbeddedPostgresError, embedded_postgres, remove_cluster

_numbers = itertools.count(1)
# What a test may change but for rows and statistics, each as a line: the settings of the database, the tables, everything
# that belongs to tables and functions, and the rows that an upgrade writes. A changed line is another version of a row.
_SHAPE = """
select array_agg(line order by line) from (
    select concat(d.datacl, d.datconnlimit, s.setconfig) as line
    from pg_database d left join pg_db_role_setting s on s.setdatabase = d.oid where d.datname = current_database()
    union all select (to_jsonb(c) - '{relfilenode,relpages,reltuples,relallvisible,relallfrozen,relfrozenxid,relminmxid}'
        ::text[])::text from pg_class c where oid >= 16384
    union all select concat(tableoid, ctid, xmin) from pg_attribute where attrelid >= 16384
    union all select concat(tableoid, ctid, xmin) from pg_constraint
    union all select concat(tableoid, ctid, xmin) from pg_default_acl
    union all select concat(tableoid, ctid, xmin) from pg_namespace where nspname !~ '^pg_'
    union all select concat(tableoid, ctid, xmin) from pg_proc where oid >= 16384
    union all select concat(tableoid, ctid, xmin) from pg_rewrite where oid >= 16384
    union all select concat(tableoid, ctid, xmin) from pg_trigger
    union all select concat(tableoid, ctid, xmin) from meta.schema_migrations
    union all select concat(tableoid, ctid, xmin) from meta.silver_definitions
    union all select concat(tableoid, ctid, xmin) from meta.deployed_views
    union all select concat(tableoid, ctid, xmin) from curated.flag_deductions
)
"""
# Truncated and not deleted from: rows come back in the same places as in a new database. An empty table costs nothing.
_EMPTY = """
set session_replication_role = replica;  -- no trigger keeps the log
do $$
declare
    filled text;
begin
    select string_agg(c.oid::regclass::text, ', ') into filled
    from pg_class c
    where c.relkind = 'r' and c.relnamespace::regnamespace::text in ('bronze', 'silver', 'meta') and pg_relation_size(c.oid) > 0
    and c.relname not in ('schema_migrations', 'silver_definitions', 'deployed_views');
    if filled is not null then
        execute 'truncate ' || filled;
    end if;
    perform setval(seqrelid::regclass, seqstart, false) from pg_sequence;
end
$$
"""


@contextmanager
def own_server(home: Path) -> Iterator[EmbeddedPostgres]:
    """A new server, which nothing is left of afterwards.

    As root, temporary folders are closed to the server's account, so that its files lie elsewhere, by the name of the folder:
    what a killed run left there is found by a later one, whose folders may have the same names.
    """
    remove_cluster(home)
    try:
        with embedded_postgres(home) as running:
            yield running
    finally:
        # It stops when the last process that used it has ended, which a test may have left to the system.
        for _ in range(5):
            with suppress(EmbeddedPostgresError):
                remove_cluster(home)
                break


def new_database(server: EmbeddedPostgres, *, template: str = "lsats") -> str:
    """The URL of a new database; `template` lsats is an upgraded hub, template1 an empty database."""
    name = f"hub_{next(_numbers)}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} template {template}".encode())
    return server.url(name)


@dataclass
class HubDatabases:
    """Upgraded hubs by number. To empty one takes a fraction of the time that making one takes."""

    server: EmbeddedPostgres
    _made: dict[int, tuple[str, list[str]]] = field(default_factory=dict)

    def emptied(self, number: int) -> str:
        """The URL of a hub as `new_database` makes it, also after a test that altered what it took from here before.

        What that test left running is cut off, and does not reach the database again, which has a new name.
        psycopg.errors.ObjectInUse says that a session does not end.
        """
        if number in self._made:
            url, untouched = self._made[number]
            url = self._set_apart(url)
            with psycopg.connect(url, autocommit=True) as connection:
                if shape(connection) == untouched:
                    connection.execute(_EMPTY.encode())
                    self._made[number] = url, untouched
                    return url
        url = new_database(self.server)
        with psycopg.connect(url, autocommit=True) as connection:
            self._made[number] = url, shape(connection)
        return url

    def _set_apart(self, url: str) -> str:
        """The database under a new name and without sessions."""
        name, new_name = make_url(url).database, f"hub_{next(_numbers)}"
        with psycopg.connect(self.server.url("postgres"), autocommit=True) as admin:
            admin.execute(f"alter database {name} allow_connections false".encode())
            admin.execute(
                "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
                "where datname = %s and backend_type = 'client backend'",
                [name],
            )
            admin.execute(f"alter database {name} rename to {new_name}".encode())
            admin.execute(f"alter database {new_name} allow_connections true".encode())
        return self.server.url(new_name)


def shape(connection: psycopg.Connection) -> list[str]:
    """Lines that tell a hub database from one that was altered."""
    return connection.cursor(row_factory=scalar_row).execute(_SHAPE).fetchone() or []
