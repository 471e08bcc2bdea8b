"""What of a record is stored, what of it is its content, and what becomes of a record that cannot be stored."""

import json
from dataclasses import replace
from typing import Any

import pytest

from lsats_dagster.database import Database
from lsats_dagster.ingestion.before import NewerRecordsError
from lsats_dagster.ingestion.content import prepare, quarantine_text
from lsats_dagster.ingestion.extract import since
from lsats_dagster.ingestion.stream import HashRule, SkippedRecordError, UnkeyedRecordError
from lsats_dagster_tests.ingestion.memory import Thing, Things, key


def one_thing(hub: Database, thing: Thing, **declared: Any) -> Things:
    """The hub after it has read this thing."""
    things = Things(hub, 0, **declared)
    things.listed = [{"ID": 1} | thing]
    things.ingest()
    return things


def versions_after(things: Things, **fields: Any) -> int:
    """How many versions the log has when the thing came with other fields."""
    things.listed = [things.listed[0] | fields]
    things.ingest()
    return len(things.log())


def test_what_is_kept_and_what_is_left_out_of_it(hub: Database) -> None:
    things = one_thing(
        hub, {"Name": "One", "Parts": [{"A": 1, "Secret": 2}], "Rest": 3}, kept=("ID", "Parts"), left_out=("Parts[].Secret",)
    )  # fmt: skip
    assert things.payload("1") == {"ID": 1, "Parts": [{"A": 1}]}
    about = things.rows("select ingestion_metadata from bronze.raw_entities")[0].ingestion_metadata
    assert about == {"kept": ["ID", "Parts"], "left_out": ["Parts[].Secret"]}
    assert versions_after(things, Name="Other", Parts=[{"A": 1, "Secret": 5}]) == 1
    assert versions_after(things, Parts=[{"A": 2}]) == 2


def test_fields_that_are_not_known_are_stored_and_no_content(hub: Database) -> None:
    things = one_thing(hub, {"Name": "One", "Odd": 1}, hash_rule=HashRule(known=frozenset({"ID", "Name"})))
    assert versions_after(things, Odd=2, New=3) == 1
    assert things.payload("1") == {"ID": 1, "Name": "One", "Odd": 1}
    assert versions_after(things, Name="Two") == 2
    assert things.payload("1") == {"ID": 1, "Name": "Two", "Odd": 2, "New": 3}


@pytest.mark.parametrize(
    ("value", "same", "other"), [(0, "0", "1"), ("0", 0, 1), (8.0, "8", "8.5"), (None, None, "None")]
)
def test_a_field_that_comes_as_number_or_text(hub: Database, value: Any, same: Any, other: Any) -> None:
    things = one_thing(hub, {"Code": value}, hash_rule=HashRule(texts=frozenset({"Code", "Other"})))
    assert versions_after(things, Code=same) == 1
    assert versions_after(things, Code=other) == 2


def test_truth_is_no_number(hub: Database) -> None:
    things = one_thing(hub, {"Code": True}, hash_rule=HashRule(texts=frozenset({"Code"})))
    assert versions_after(things, Code="True") == 2
    assert versions_after(things, Code=True) == 3
    assert versions_after(things, Code=1) == 4


@pytest.mark.parametrize(
    ("whole", "pointed"),
    [
        (8, 8.0),
        (0, -0.0),
        ([1, [8]], [1.0, [8.0]]),
        ({"a": {"b": [8]}}, {"a": {"b": [8.0]}}),
        ((8,), (8.0,)),
        ("x", "x"),
    ],
)
def test_a_whole_number_is_the_same_with_a_point(hub: Database, whole: Any, pointed: Any) -> None:
    things = one_thing(hub, {"Number": whole})
    assert versions_after(things, Number=pointed) == 1
    assert versions_after(things, Number=whole) == 1
    assert versions_after(things, Number=8.5) == 2


def test_records_of_a_former_rule_make_no_version(hub: Database) -> None:
    former = HashRule(version=1, volatile=frozenset({"Moved"}))
    things = one_thing(hub, {"Name": "One", "Moved": 1, "Roles": [1, 2]}, hash_rule=former)
    rule = replace(former, version=2, sets=frozenset({"Roles"}), texts=frozenset({"Name"}))
    things.declared = {"hash_rule": rule, "former_hash_rules": (former,)}
    assert versions_after(things, Moved=2) == 1
    assert versions_after(things, Roles=[2, 1]) == 1
    stored = things.rows("select hash_version from bronze.current_entities")
    assert [row.hash_version for row in stored] == [2]
    things.declared = {"hash_rule": replace(rule, version=3)}
    assert versions_after(things) == 2, "a rule that is no longer declared cannot tell"


def test_records_of_a_newer_rule_are_refused(hub: Database) -> None:
    """An older checkout takes every record for changed. It writes nothing, also nothing of what is new to it."""
    things = Things(hub, 20, batch_size=5, hash_rule=HashRule(version=3))
    things.ingest()
    things.declared = {"hash_rule": HashRule(version=2)}
    things.listed = [{"ID": 100 + number} for number in range(10)] + things.listed[5:]
    for request in ({}, {"limit": 5}, {"dry_run": True}):
        with pytest.raises(NewerRecordsError, match="rule 3, this checkout knows rule 2"):
            things.ingest(**request)
    assert (len(things.log()), things.last_run().records_processed) == (20, 0)


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\\\x00", "\\u0000\x00"])
def test_no_null_character_is_left_in_a_body(hub: Database, text: str) -> None:
    """Postgres would refuse it."""
    stream = Things(hub, 0).stream
    assert b"\\u0000" not in prepare(stream, {"ID": 1, "Odd": text}).body.replace(b"\\\\", b"")


NAMES_THAT_BECOME_ONE = {"we\x00ird": 1, "weird": 2}


@pytest.mark.parametrize("odd", [NAMES_THAT_BECOME_ONE, [{"a": NAMES_THAT_BECOME_ONE}], {1: "a", "1": "b"}])
def test_a_record_whose_names_become_one_is_quarantined(hub: Database, odd: Any) -> None:
    things = one_thing(hub, {"Odd": odd})
    assert (things.quarantined(), things.log()) == ([("1", "convert")], [])
    things = one_thing(hub, {"Odd": {"we\x00ird": 1}})
    assert things.payload("1")["Odd"] == {"weird": 1}
    assert things.quarantined(resolved=True) == [("1", "convert")]


def nested(depth: int, inner: Any) -> Any:
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({2: "b", "1": "a", None: "c"}, '{"1": "a", "2": "b", "None": "c"}'),
        ({"a": [{2: "b", "1": ("a",)}]}, '{"a": [{"1": ["a"], "2": "b"}]}'),
        ({"a": b"\x00"}, '{"a": "b\'\\\\x00\'"}'),
        (nested(100_000, 1), '"nested too deep to be kept"'),
        ({1: nested(100_000, 1), "1": 2}, '"nested too deep to be kept"'),
        ("lone \ud800", '"lone \\ud800"'),
    ],
    ids=["mixed names", "mixed names within", "bytes", "deep", "deep with mixed names", "surrogate"],
)
def test_whatever_came_can_be_quarantined(record: Any, text: str) -> None:
    assert quarantine_text(record) == text
    json.loads(text)


class UnreadableError(Exception):
    """As a client puts it in place of a record; `text` is what came."""

    def __init__(self, text: str) -> None:
        super().__init__("a record could not be read")
        self.text = text


def test_an_exception_in_place_of_a_record_is_quarantined_with_what_came(hub: Database) -> None:
    things = Things(hub, 20)
    things.listed += [UnreadableError('{"ID": 5'), RuntimeError("without text")]  # type: ignore[list-item]
    run = things.ingest()
    assert (run.counts.created, run.counts.failed) == (20, 2)
    rows = things.rows("select external_id, stage, reason, payload from meta.quarantine order by reason")
    assert [tuple(row) for row in rows] == [
        (None, "read", "a record could not be read", json.dumps('{"ID": 5')),
        (None, "read", "without text", "null"),
    ]
    assert run.metadata["extract"]["without_key"] == 2


def test_a_record_that_a_new_rule_skips_stays_in_quarantine_until_it_is_not_met(hub: Database) -> None:
    """A replay goes on with the others."""

    def strict(record: Any) -> str:
        raise UnkeyedRecordError("not yet")

    def skipping(record: Any) -> str:
        if record["ID"] == 0:
            raise SkippedRecordError("without a room")
        return key(record)

    things = Things(hub, 2, key=strict)
    things.ingest()
    things.declared = {"key": skipping}
    assert things.replay().counts.created == 1
    assert (len(things.quarantined()), things.present()) == (1, {"1"})
    things.ingest()
    assert things.quarantined() == []


def test_counts_of_a_client_are_those_of_this_reading() -> None:
    before = {"calls": 3, "seconds": 1.5, "address": "a", "resumed": False}
    now = {"calls": 5, "seconds": 2.0, "address": "a", "resumed": True, "pages": 4, "host": None}
    told = since(before, now)
    assert told == {"calls": 2, "seconds": 0.5, "address": "a", "resumed": True, "pages": 4, "host": None}
    assert told["resumed"] is True
