"""The cleaning functions of sql/functions on a real Postgres: what they accept, and that nothing makes them fail."""

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from lsats_dagster.database import Database
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.stream import BLANKS
from lsats_dagster.settings import SQL_ROOT
from lsats_dagster_tests.conftest import new_database
from lsats_dagster_tests.contracts import readings
from lsats_dagster_tests.contracts.shapes import HOSTILE, LONG
from lsats_dagster_tests.transforms import test_function_values as values

IDENTIFIER = UUID("3f2b8a1c-0d4e-4f6a-8b7c-9d0e1f2a3b4c")
NOBODY = "00000000-0000-0000-0000-000000000000"
# function -> argument -> value
ACCEPTED: dict[str, dict[str | None, Any]] = {
    "text": {
        "a": "a", "  a b ": "a b", "\t\r\n\f\v\u00a0a\u00a0": "a", "vav": "vav", "tnr": "tnr", "": None, " \u00a0\t": None,
        None: None, "None": "None", "0": "0", "007": "007", "\u200ba": "a", "\ufeffa\u3000": "a", "a\u200bb": "a\u200bb",
        "\u200d": "\u200d", "8.0": "8.0",
    },
    "trimmed": {"\u2003a b\u0085": "a b", " ": "", "": "", None: None},
    "boolean": {
        "true": True, "TRUE": True, "t": True, "Yes": True, "y": True, "1": True, "1.0": True, "\ufeff true\n": True,
        "false": False, "F": False, "no": False, "N": False, "0": False, "0.0": False, "\u200b0": False,
        "": None, None: None, "maybe": None, "2": None, "on": None, "1.5": None, "truee": None,
    },
    "integer": {
        "8": 8, "8.0": 8, "8.": 8, " 8 ": 8, "+8": 8, "-8": -8, "0": 0, "007": 7, "8.000": 8,
        "2147483647": 2147483647, "-2147483648": -2147483648, "2147483648": None, "-2147483649": None, "9999999999": None,
        "99999999999": None, "8.5": None, "8e0": None, "0x8": None, "1_000": None, "1,000": None, "\u0668": None,
        "\uff18": None, "8\n": 8, "\u200b8\u2003": 8, "\u30008.0\ufeff": 8, "- 8": None, ".0": None, "": None, None: None,
        "NaN": None, "infinity": None,
    },
    "reference": {"8": 8, "0": None, "0.0": None, "-0": None, "": None, None: None, "x": None, "-1": -1},
    "uuid": {
        str(IDENTIFIER): IDENTIFIER, str(IDENTIFIER).upper(): IDENTIFIER, f" {{{IDENTIFIER}}} ": IDENTIFIER,
        f"\u200b{IDENTIFIER}\u202f": IDENTIFIER, NOBODY: None, f"{{{NOBODY}}}": None,
        IDENTIFIER.hex: None, f"-{str(IDENTIFIER)[1:]}": None, "-" * 36: None,
        f"{IDENTIFIER}0": None, str(IDENTIFIER)[:-1] + "g": None,
        "": None, None: None, "nobody": None,
    },
    "is_no_uuid": {
        "": True, " ": True, None: True, NOBODY: True, f"\u200b{{{NOBODY}}} ": True, str(IDENTIFIER): False, "nobody": False,
    },
    "tdx_time": {
        "2024-05-06T07:08:09Z": datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
        "2024-05-06T07:08:09": datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
        "2024-05-06T07:08": datetime(2024, 5, 6, 7, 8, tzinfo=UTC),
        "\ufeff2024-05-06 07:08:09\u00a0": datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
        "2024-05-06T07:08:09.1234567Z": datetime(2024, 5, 6, 7, 8, 9, 123457, tzinfo=UTC),
        "2024-05-06T07:08:09-04:00": datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone(timedelta(hours=-4))),
        "2024-05-06T07:08:09+0530": datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        "2024-02-29T00:00:00Z": datetime(2024, 2, 29, tzinfo=UTC),
        "0002-01-01T00:00:00Z": datetime(2, 1, 1, tzinfo=UTC),
        "0001-01-01T00:00:00Z": None, "0001-01-01T00:00:00": None, "0000-01-01T00:00:00Z": None,
        "9999-12-31T23:59:59Z": None, "10000-01-01T00:00:00Z": None, "2023-02-29T00:00:00Z": None,
        "2024-13-01T00:00:00Z": None, "2024-05-06T25:00:00Z": None, "2024-05-06T07:60:00Z": None,
        "2024-05-06T07:08:09+99:99": None, "2024-05-06": None, "05/06/2024 07:08": None, "now": None, "today": None,
        "epoch": None, "infinity": None, "-infinity": None, "20240506T070809Z": None, "2024-05-06T07:08:09 EST": None,
        "2024-05-06T07:08:09Z BC": None, "": None, None: None,
    },
    "is_no_time": {
        "": True, " ": True, None: True, "0001-01-01T00:00:00Z": True, "\u200b0001-01-01T00:00:00": True,
        "2024-05-06T07:08:09Z": False, "soon": False, "0000-01-01T00:00:00Z": False,
    },
    "unescaped": {
        "Women&#39;s": "Women's", "&#x27;&#X2019;": "'\u2019", "&amp;#39;": "&#39;",
        "&eacute;&Eacute;&Scaron;": "\u00e9\u00c9\u0160", "a & b &x; &;": "a & b &x; &;",
        "&#0;&#xD800;&#9999999;&#1114112;": "&#0;&#xD800;&#9999999;&#1114112;", "amp": "amp",
        "&#38": "&#38", "&nbsp;": "\u00a0", "": "", None: None,
    },
    "comparable": {
        "\u00c9cole": "\u00e9cole", "E\u0301COLE": "\u00e9cole", "Women&#39;s ": "women's", "A &amp; B": "a & b",
        "A & B": "a & b", "&nbsp;": "", "": "", None: None,
    },
}  # fmt: skip
# The usual forms with a sign that is no digit in place of one or two digits.
NO_DIGITS = [
    "".join(sign if place in places else digit for place, digit in enumerate(usual))
    for usual in ("2024-05-06T07:08:09Z", "2011-11-11T11:11:11Z")
    for count in (1, 2)
    for places in itertools.combinations([place for place, digit in enumerate(usual) if digit.isdigit()], count)
    for sign in "-:TZ xX.+/_\u0668"
]
LISTS = {
    "[]": [], '["a", null, 1]': ["a", None, 1], "[[]]": [[]], "null": [], "{}": [], '"a"': [], "1": [], "true": [], None: [],
}  # fmt: skip
# JSON -> text: of a list the first that is not blank, also where a text looks like a list.
TEXTS = {
    '"a"': "a", '" a "': "a", '" "': None, "null": None, None: None, "8.0": "8", "100015.0": "100015",
    "8.50": "8.5", "1000": "1000", "1e3": "1000", "-0.0": "0", '"8.0"': "8.0", "true": "true", '"[\\"a\\"]"': '["a"]',
    "[]": None, '[null, " ", " a ", "b"]': "a", "[8.0]": "8", "[[8.0]]": "[8.0]", "[false]": "false", '[["a"], "b"]': '["a"]',
    "[[]]": "[]", '[{"a": 1}]': '{"a": 1}', "{}": None, '{"a": "b"}': None,
}  # fmt: skip
PYTHON = {
    "trimmed": lambda value: None if value is None else value.strip(BLANKS),
    "unescaped": readings.unescaped,
    "comparable": readings.comparable,
    "text": readings.text,
    "boolean": readings.boolean,
    "integer": readings.integer,
    "reference": readings.reference,
    "uuid": readings.uuid,
    "tdx_time": readings.tdx_time,
}


@pytest.fixture(scope="module")
def connection(server: EmbeddedPostgres) -> Iterator[Connection]:
    database = Database(new_database(server))
    with database.connect() as open_connection:
        yield open_connection
    database.dispose()


def call(connection: Connection, function: str, value: str | None) -> Any:
    return connection.execute(text(f"select clean.{function}(cast(:value as text))"), {"value": value}).scalar_one()


CASES = [(function, value, result) for function, cases in ACCEPTED.items() for value, result in cases.items()]


@pytest.mark.parametrize(("function", "value", "result"), CASES)
def test_value(connection: Connection, function: str, value: str | None, result: object) -> None:
    found = call(connection, function, value)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(("value", "result"), LISTS.items())
def test_list(connection: Connection, value: str | None, result: list[Any]) -> None:
    found = connection.execute(text("select clean.list(cast(:value as jsonb))"), {"value": value}).scalar_one()
    assert found == result


@pytest.mark.parametrize(("value", "result"), TEXTS.items())
def test_text_of_json(connection: Connection, value: str | None, result: str | None) -> None:
    found = connection.execute(text("select clean.text(cast(:value as jsonb))"), {"value": value}).scalar_one()
    assert found == result
    assert value is None or readings.text(readings.payload(f'{{"field": {value}}}')["field"]) == result


def test_keys_and_values_are_trimmed_alike(connection: Connection) -> None:
    """A key of one source is compared with a value of another: of all signs, SQL cuts those that Python does."""
    statement = text(
        "select string_agg(chr(n), '' order by n) from generate_series(1, 65535) n "
        "where n not between 55296 and 57343 and clean.text(chr(n) || 'a' || chr(n)) = 'a'"
    )
    assert connection.execute(statement).scalar_one() == "".join(sorted(BLANKS))


def test_a_code_fits_an_index(connection: Connection) -> None:
    statement = text("select clean.code(to_jsonb(cast(:value as text)))")
    for value in (
        f" {'x' * 200} ",
        "100041",
        "A-B c",
        " ",
        "x" * 201,
        LONG,
        LONG[:9],
        "\uff11\uff10",
        "1\u200b0",
        "1\x7f0",
    ):
        assert connection.execute(statement, {"value": value}).scalar_one() == readings.code(value)


def test_a_time_has_digits_where_they_belong(connection: Connection) -> None:
    """Postgres itself would read some of these, each in a way of its own."""
    statement = text("select v, clean.tdx_time(v) as found from unnest(cast(:values as text[])) v")
    rows = connection.execute(statement, {"values": NO_DIGITS}).all()
    assert [row.v for row in rows if row.found != readings.tdx_time(row.v)] == []


def test_a_score_is_explained_by_its_flags(connection: Connection) -> None:
    statement = text("select clean.score(cast(:flags as text[]), '{bad,worse,told}', '{0.10,0.75,0.00}')")

    def score(*flags: str) -> Decimal | None:
        found: Decimal | None = connection.execute(statement, {"flags": list(flags)}).scalar_one()
        return found

    assert score() == score("told") == 1
    assert score("bad:a", "bad:b", "told") == Decimal("0.80")
    assert score("worse", "worse:again") == 0
    assert score("bad", "unheard_of") is None


def test_flags_keep_their_order_without_nulls(connection: Connection) -> None:
    assert connection.exec_driver_sql("select clean.flags('b', null, 'a', null)").scalar_one() == ["b", "a"]
    assert connection.exec_driver_sql("select clean.flags(null, null)").scalar_one() == []


def test_every_function_is_tested(connection: Connection) -> None:
    """Of all functions in schema clean, as the files of sql/functions make them."""
    known = set(
        connection.exec_driver_sql(
            "select proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace where nspname = 'clean'"
        ).scalars()
    )
    written = {
        name
        for path in (SQL_ROOT / "functions").glob("*.sql")
        for name in re.findall(r"^create or replace function clean\.(\w+)", path.read_text(), re.MULTILINE)
    }
    of_values = {*values.TEXT, *values.JSON, *values.FLAGGERS_OF_TEXT, *values.FLAGGERS_OF_JSON, *values.OTHERS}
    assert known == written == {*ACCEPTED, "code", "plain", "first_text", "list", "flags", "score", *of_values}


def test_no_function_is_planned_with_each_call(connection: Connection) -> None:
    """A function in SQL becomes part of the statement, or keeps its plan; Postgres plans any other with every call."""
    functions = connection.exec_driver_sql(
        "select proname, pg_get_function_arguments(p.oid) as arguments, "
        "coalesce('plan_cache_mode=force_generic_plan' = any(proconfig), false) as keeps_plan "
        "from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang "
        "where nspname = 'clean' and lanname = 'sql'"
    ).all()
    assert len(functions) > 10
    for function in functions:
        arguments = [argument for argument in function.arguments.split(", ") if not argument.startswith("OUT ")]
        types = [argument.split()[-1] for argument in arguments]
        values = ", ".join(f"v{number}::{type_}" for number, type_ in enumerate(types))
        columns = ", ".join(f"v{number}" for number in range(len(types)))
        given = f"variadic {columns}" if function.arguments.startswith("VARIADIC") else columns
        nulls = ", ".join("null" for _ in types)
        plan = connection.exec_driver_sql(
            f"explain (verbose, costs off) select clean.{function.proname}({given}) "
            f"from (select {values} from (values ({nulls}), ({nulls})) w ({columns}) offset 0) v ({columns})"
        ).scalars()
        inlined = f"clean.{function.proname}(" not in "\n".join(plan)
        assert inlined or function.keeps_plan, function.proname


def test_every_function_says_what_it_does_and_is_safe_in_parallel(connection: Connection) -> None:
    bad = connection.exec_driver_sql(
        "select proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace where nspname = 'clean' "
        "and (obj_description(p.oid, 'pg_proc') is null or proparallel <> 's' or provolatile = 'v' or proisstrict)"
    ).all()
    assert bad == []


RUBBISH = [value for value in HOSTILE if isinstance(value, str) and "\x00" not in value and value != "\ud800"]


@pytest.mark.parametrize("function", [name for name in ACCEPTED if name not in PYTHON])
def test_rubbish_is_never_an_error(connection: Connection, function: str) -> None:
    for value in RUBBISH:
        assert call(connection, function, value) in (True, False)


@pytest.mark.parametrize("function", PYTHON)
def test_rubbish_is_read_as_specified(connection: Connection, function: str) -> None:
    """Against an independent reading, over the whole list of hostile values."""
    for value in [*RUBBISH, *(value for cases in ACCEPTED.values() for value in cases)]:
        assert call(connection, function, value) == PYTHON[function](value), value


PARTS = ["0", "1", "9", "12", "2024", "0001", "9998", "-", "-", ":", ":", "T", "Z", " ", ".", "+", "{", "}", "a", "f", "e", "\t",
         "\u00a0", "NaN", "infinity", "true", NOBODY, str(IDENTIFIER), "2024-05-06T", "07:08:09", "\\", "'", "%",
         "\u200b", "\ufeff", "&", "&#", "&#39;", "&#x", "&amp;", ";", "D800;"]  # fmt: skip


@pytest.mark.parametrize("function", ACCEPTED)
def test_no_text_is_an_error(connection: Connection, function: str) -> None:
    """Random texts, near misses above all, a hundred in one statement."""

    @settings(max_examples=15, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        values=st.lists(
            st.one_of(
                st.lists(st.sampled_from(PARTS), max_size=10).map("".join),
                st.text(st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"]), max_size=40),
            ),
            min_size=50,
            max_size=100,
        )
    )
    def call_all(values: list[str]) -> None:
        statement = text(f"select v, clean.{function}(v) as found from unnest(cast(:values as text[])) v")
        rows = connection.execute(statement, {"values": values}).all()
        assert len(rows) == len(values)
        for row in rows:
            if function in PYTHON:
                assert row.found == PYTHON[function](row.v), row.v

    call_all()
