"""How rows were joined is told from declarations alone: a table about records, and one made of what it joins."""

import pytest

from lsats_dagster.transforms.definition import DefinitionError
from lsats_dagster.transforms.explain import Apart, Contributor, Decision, Explanation, apart, explain
from lsats_dagster.transforms.kept import Kept, kept
from lsats_dagster_tests.contracts.histories import Change
from lsats_dagster_tests.transforms.checkout import UMICH, Checkout

TDX = "tdx/department"
# An account belongs to its code, unless its notes name codes that it may belong to, or decide it.
RECORDS = """/*
row = "One record of a department, and whose it is."
description = "An example."
key = ["source_table", "record_key"]
scope = "record_key"
told = ["dept_id", "method", "candidates", "decided_by"]
about = ["source_table", "record_key"]
candidates = "candidates"

[columns]
source_table = ["text", "Silver table of the record"]
record_key = ["text", "Key there"]
dept_id = ["text", "Code that it belongs to"]
method = ["text", "By what it was found"]
candidates = ["text[]", "Codes that it may belong to"]
decided_by = ["text", "Who decided it"]

[inputs."silver.tdx_departments"]
gives = "tdx_id::text"
keeps = "true"

[inputs."silver.umapi_departments"]
gives = "dept_id"
keeps = "true"
*/
with records as (
    select
        'tdx_departments' as source_table, t.tdx_id::text as record_key, t.dept_notes as notes, t.dept_id, t.first_seen_at,
        t.is_present, t.removed_at
    from silver.tdx_departments t
    union all
    select 'umapi_departments', u.dept_id, null, u.dept_id, u.first_seen_at, u.is_present, u.removed_at
    from silver.umapi_departments u
)

select
    r.source_table,
    r.record_key,
    case
        when r.notes like 'maybe %' then null when r.notes like 'by hand %' then substr(r.notes, 9) else r.dept_id
    end as dept_id,
    case when r.notes like 'maybe %' then null when r.notes like 'by hand %' then 'manual' else 'own' end as method,
    case
        when r.notes like 'maybe %' then string_to_array(substr(r.notes, 7), ' ')
        when r.notes like 'by hand %' then array[substr(r.notes, 9)]
        else '{}'
    end as candidates,
    case when r.notes like 'by hand %' then 'An Operator' end as decided_by,
    jsonb_build_object('silver.' || r.source_table, jsonb_build_array(r.record_key)) as source_keys,
    array['tdx'] as source_systems,
    array[]::text[] as quality_flags,
    r.first_seen_at,
    r.is_present,
    r.removed_at
from records r
where cast(:keys as text[]) is null or r.record_key = any(cast(:keys as text[]))
"""
SITES = """/*
row = "One code, made of the records that belong to it."
description = "An example."
key = ["dept_id"]

[columns]
dept_id = ["text", "Code"]

[inputs."silver.department_records"]
gives = "dept_id"
keeps = "dept_id is not null"

[inputs."curated.closings"]
decides = "c.dept_id = t.dept_id"
*/
select
    r.dept_id,
    jsonb_object_agg('silver.' || r.source_table, jsonb_build_array(r.record_key)) as source_keys,
    array['tdx'] as source_systems,
    array[]::text[] as quality_flags,
    min(r.first_seen_at) as first_seen_at,
    bool_or(r.is_present) as is_present,
    case when not bool_or(r.is_present) then max(r.removed_at) end as removed_at
from silver.department_records r
where
    r.dept_id is not null and (cast(:keys as text[]) is null or r.dept_id = any(cast(:keys as text[])))
    and not exists (select from curated.closings c where c.dept_id = r.dept_id and c.is_closed)
group by r.dept_id
"""


DECIDED = {"candidates": ["100003"], "decided_by": "An Operator"}
CLOSINGS = """
set local role lsats_owner;
create table curated.closings (dept_id text primary key, is_closed boolean, author text, reason text, decided_on date);
grant select on curated.closings to lsats_writer;
insert into curated.closings values ('100002', false, 'An Operator', 'It stays', null)
"""


@pytest.fixture(scope="module")
def joined(module_checkout: Checkout) -> Checkout:
    """A hub with these tables: account 1 is of 100001, 2 of that or another, 3 by hand of 100003; 5 is as 2, and gone."""
    checkout = module_checkout
    for name, text in {"department_records": RECORDS, "sites": SITES}.items():
        path = checkout.root / "silver" / "helpers" / f"{name}.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    world = checkout.world
    world.administer(CLOSINGS)
    world.definitions = checkout.definitions()
    checkout.upgrade()
    world.start_sources()
    world.apply(*(Change(UMICH, code) for code in ("100001", "100002", "100003")))
    notes = {"1": "", "2": "maybe 100001 100777", "3": "by hand 100003", "5": "maybe 100001"}
    for key, said in notes.items():
        for stream in (TDX, f"{TDX}_detail"):
            world.apply(
                Change(stream, key, "Code", f"10000{key}" if key == "1" else ""), Change(stream, key, "Notes", said)
            )
    world.read_all()
    world.apply(Change(TDX, "5", None))
    world.read_all()
    world.refresh_all()
    return checkout


def explained(checkout: Checkout, key: str) -> Explanation | None:
    world = checkout.world
    with world.admin.transaction() as connection:
        return explain(connection, world.definition("sites"), key, world.definitions)


def said(found: Explanation | None) -> dict[tuple[str, str], dict[str, object]]:
    assert found is not None
    return {(row.table, row.key): row.told for row in found.made_from if isinstance(row, Contributor)}


def test_each_record_says_how_it_was_joined(joined: Checkout) -> None:
    assert said(explained(joined, "100001")) == {
        ("silver/umapi_departments", "100001"): {"dept_id": "100001", "method": "own"},
        ("silver/tdx_departments", "1"): {"dept_id": "100001", "method": "own"},
    }
    by_hand = said(explained(joined, "100003"))["silver/tdx_departments", "3"]
    assert by_hand == {"dept_id": "100003", "method": "manual", **DECIDED}


def test_a_row_says_of_itself_how_it_was_joined(joined: Checkout) -> None:
    world = joined.world
    with world.admin.transaction() as connection:
        found = explain(connection, world.definition("department_records"), "tdx_departments:3", world.definitions)
    assert found is not None
    assert found.told == {"dept_id": "100003", "method": "manual", **DECIDED}
    assert [row.told for row in found.made_from if isinstance(row, Contributor)] == [{}]


def test_what_may_belong_to_a_row_stands_apart(joined: Checkout) -> None:
    unsure = Apart("silver/tdx_departments", "2", {"candidates": ["100001", "100777"]})
    found = explained(joined, "100001")
    assert found is not None
    assert found.apart == [unsure]
    other = explained(joined, "100003")
    assert other is not None
    assert other.apart == []


def test_what_people_decided_stands_with_author_and_reason(joined: Checkout) -> None:
    decided, other = explained(joined, "100002"), explained(joined, "100001")
    assert decided is not None
    assert other is not None
    told = {"dept_id": "100002", "is_closed": False, "author": "An Operator", "reason": "It stays"}
    assert (decided.decisions, other.decisions) == ([Decision("curated.closings", told)], [])


def test_conditions_that_postgres_cannot_read_are_refused_at_the_upgrade(joined: Checkout) -> None:
    path = joined.root / "silver" / "helpers" / "sites.sql"
    sound = path.read_text()
    for right, wrong, said in (
        (
            'dept_id is not null"',
            'dept_id > 1"',
            "inputs.silver.department_records: which of its rows are kept cannot be read",
        ),
        (
            'c.dept_id = t.dept_id"',
            'c.nothing = t.dept_id"',
            "inputs.curated.closings: whom it decides about cannot be read",
        ),
    ):
        path.write_text(sound.replace(right, wrong, 1))
        joined.world.definitions = joined.definitions()
        with pytest.raises(DefinitionError, match=f"sites.sql: {said}"):
            joined.upgrade()
    path.write_text(sound)
    joined.world.definitions = joined.definitions()


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("100777", {"2": {"candidates": ["100001", "100777"]}}),
        ("2", {"2": {"candidates": ["100001", "100777"]}}),
        ("3", {"3": {"dept_id": "100003", "method": "manual", **DECIDED}}),
        ("no such key", {}),
    ],
)
def test_of_a_key_without_a_row_the_records_are_named(joined: Checkout, key: str, told: dict[str, object]) -> None:
    world = joined.world
    assert explained(joined, key) is None
    with world.admin.transaction() as connection:
        assert {record.key: record.told for record in apart(connection, world.definitions, key)} == told


def test_a_record_that_belongs_is_kept_by_the_row_that_names_it(joined: Checkout) -> None:
    world = joined.world
    sites, records = world.definition("sites"), world.definition("department_records")
    with world.admin.transaction() as connection:
        (found,) = kept(connection, sites)
        assert found == Kept("silver.sites", "silver.department_records", 6, 5, 0)
        assert [(row.present, row.belonging, row.lost) for row in kept(connection, records)] == [(3, 3, 0)] * 2
        attempt = connection.begin_nested()
        connection.exec_driver_sql("update silver.sites set source_keys = source_keys - 'silver.tdx_departments'")
        assert [row.lost for row in kept(connection, sites)] == [2]
        # To name what it is about, or to name the record that is about it, are the same.
        named = """jsonb_build_object('silver.department_records', (
            select jsonb_agg(r.source_table || ':' || r.record_key) from silver.department_records r
            where r.dept_id = s.dept_id
        ))"""
        connection.exec_driver_sql(f"update silver.sites s set source_keys = {named}")
        assert [row.lost for row in kept(connection, sites)] == [0]
        attempt.rollback()
        attempt = connection.begin_nested()
        connection.exec_driver_sql("update silver.sites set is_present = false")
        assert [row.lost for row in kept(connection, sites)] == [5]
        attempt.rollback()
