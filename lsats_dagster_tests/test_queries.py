"""Queries of analysts: one statement, as the reader, read only, by attack on real logins."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from lsats_dagster.database import DatabaseError
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.resources import NO_ROWS, HubDatabase

SECRET = "canary-of-a-payload"
NESTED = "query_to_xml('select raw_data from bronze.raw_entities', true, false, '')::text"
# Statement -> what the sentence must hold.
ATTACKS = {
    "reset role": NO_ROWS,
    "set role none": NO_ROWS,
    "set role lsats_writer": NO_ROWS,
    "set session authorization default": NO_ROWS,
    "begin": NO_ROWS,
    "commit": NO_ROWS,
    "set transaction read write": NO_ROWS,
    "do $$ begin perform set_config('role', 'none', false); delete from meta.alerts; end $$": NO_ROWS,
    "do $$ begin commit; set role none; end $$": NO_ROWS,
    "copy (select 1) to program 'touch {marker}'": NO_ROWS,
    "copy meta.alerts from program 'touch {marker}'": NO_ROWS,
    "select 1; select 2": "multiple commands",
    "select 1; commit; set role none; insert into meta.alerts values ('x', now(), 'x', 0, 'log')": "multiple commands",
    "commit; begin; select raw_data from bronze.raw_entities": "multiple commands",
    "select set_config('role', 'none', false)": 'parameter "role"',
    "select set_config('role', 'lsats_writer', true)": 'parameter "role"',
    "select set_config('session_authorization', session_user::text, false)": "session_authorization",
    f"select set_config('role', 'none', false), {NESTED}, set_config('role', 'lsats_reader', false)": 'parameter "role"',
    "select set_config('transaction_read_only', 'off', false)": "read-write mode",
    f"select {NESTED}": "permission denied",
    "select raw_data from bronze.raw_entities": "permission denied",
    "with gone as (delete from meta.alerts returning 1) select * from gone": "silver.v_",
    "insert into meta.alerts values ('x', now(), 'x', 0, 'log') returning 1": "silver.v_",
    "select nextval('meta.changed_seq')": "silver.v_",
    "create temporary table t as select 1": NO_ROWS,
    "select lo_create(0)": "silver.v_",
    "select pg_read_file('/etc/passwd')": "permission denied",
    "select pg_temp.answer('select 1')": "silver.v_",
}  # fmt: skip


@pytest.fixture(params=["superuser", "service"])
def filled(
    request: pytest.FixtureRequest,
    server: EmbeddedPostgres,
    emptied_database: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """A hub with one row in the log and one alert; DATABASE_URL is of the server's superuser, or of a login of least rights."""
    url = emptied_database()
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(
            "insert into bronze.raw_entities (source_system, entity_type, external_id, change, raw_data, entity_hash, "
            "hash_version, ingestion_run_id) values ('tdx', 'department', '1', 'new', to_jsonb(%s::text), '', 1, "
            "gen_random_uuid())",
            [SECRET],
        )
        admin.execute("insert into meta.alerts (alert_key, channel, last_sent_at) values ('a', 'log', now())")
        login = url
        if request.param == "service":
            admin.execute("create role test_service login password 'secret'")
            admin.execute("grant lsats_writer, lsats_reader to test_service")
            own = make_url(url).set(username="test_service", password="secret")
            login = own.render_as_string(hide_password=False)
        monkeypatch.setenv("DATABASE_URL", login)
        yield url
        if request.param == "service":
            admin.execute("drop role test_service")


def test_attacks_leave_everything_as_it_is_and_get_a_sentence(filled: str, tmp_path: Path) -> None:
    hub, marker = HubDatabase(), tmp_path / "marker"
    with psycopg.connect(filled, autocommit=True) as admin:

        def state() -> list[object]:
            return [
                admin.execute(f"select {what}".encode()).fetchone()
                for what in (
                    "array_agg(a::text) from meta.alerts a", "array_agg(r::text) from bronze.raw_entities r",
                    "last_value, is_called from meta.changed_seq", "count(*) from pg_largeobject_metadata",
                )
            ]  # fmt: skip

        before = state()
        wrong = []
        for attack, words in ATTACKS.items():
            try:
                got = str(hub.query_to_dataframe(attack.format(marker=marker) if "{marker}" in attack else attack))
            except DatabaseError as error:
                got = str(error)
            if (
                words not in got
                or (words == NO_ROWS != got)
                or SECRET in got
                or len(got.splitlines()) != 1
                or state() != before
                or marker.exists()
            ):
                wrong.append((attack, got))
        assert wrong == []
        frame = hub.query_to_dataframe("select current_user, current_setting('transaction_read_only') as only")
        assert frame.iloc[0].tolist() == ["lsats_reader", "on"]


@pytest.mark.parametrize("filled", ["service"], indirect=True)
def test_queries_keep_their_words(filled: str) -> None:
    hub = HubDatabase()
    frame = hub.query_to_dataframe(
        "select :name as a, '%' || :name as a, 5::numeric(4, 2) as n, array[:number, 2] as list, 'x:y'::varchar(9) as v, "
        "null::jsonb as j -- ; a comment",
        {"name": "it's :name; %s \\", "number": 1},
    )
    assert list(frame.columns) == ["a", "a", "n", "list", "v", "j"]
    assert [str(kind) for kind in frame.dtypes] == ["string", "string", "Float64", "object", "string", "object"]
    assert frame.iloc[0].tolist()[:5] == ["it's :name; %s \\", "%it's :name; %s \\", 5.0, [1, 2], "x:y"]
    assert len(hub.query_to_dataframe("explain select 1")) == 1
    with pytest.raises(DatabaseError, match="missing"):
        hub.query_to_dataframe("select :missing")
    with pytest.raises(DatabaseError, match=r"42601.*syntax error"):
        hub.query_to_dataframe("selec 1")
