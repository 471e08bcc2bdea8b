"""Every value of a row is followed to bronze, whatever stands between: the tables of the guide, over those of the hub."""

import pytest

from lsats_dagster.settings import REPOSITORY
from lsats_dagster.transforms.explain import BronzeRow, Contributor, Explanation, explain, near
from lsats_dagster_tests.contracts.histories import Change
from lsats_dagster_tests.docs.guide import blocks, write
from lsats_dagster_tests.transforms.checkout import UMICH, Checkout

TDX = "tdx/department"
COLLEGE, CODE = "EXAMPLE_COLLEGE", "100001"


@pytest.fixture(scope="module")
def guided(module_checkout: Checkout) -> Checkout:
    """A filled hub that has the tables of docs/adding_a_table.md, too."""
    checkout = module_checkout
    for block in blocks((REPOSITORY / "docs" / "adding_a_table.md").read_text(encoding="utf-8")):
        if title := block.about.get("title"):
            write(checkout.root / title.removeprefix("sql/"), block)
    checkout.world.definitions = checkout.definitions()
    checkout.upgrade()
    world = checkout.world
    world.apply(
        Change(UMICH, CODE), Change(TDX, "1"), Change(TDX, "1", "Code", CODE), Change(TDX, "1", "Phone", "555-0199")
    )
    world.read_all()
    world.refresh_all()
    return checkout


def explained(checkout: Checkout, table: str, key: str) -> Explanation:
    world = checkout.world
    with world.admin.transaction() as connection:
        found = explain(connection, world.definition(table), key, world.definitions)
    assert found is not None
    return found


def paths(made_from: list[Contributor | BronzeRow]) -> set[tuple[str, ...]]:
    """Every way down to bronze."""
    return {
        (row.stream,) if isinstance(row, BronzeRow) else (row.table, *below)
        for row in made_from
        for below in ([()] if isinstance(row, BronzeRow) else paths(row.made_from))
    }


def test_a_row_of_several_key_columns_is_followed_through_every_table(guided: Checkout) -> None:
    found = explained(guided, "college_departments", f"{COLLEGE}:{CODE}")
    below = {
        ("silver/departments", "silver/umapi_departments", "umich_api/department"),
        ("silver/departments", "silver/tdx_departments", "tdx/department"),
        ("silver/departments", "silver/tdx_departments", "tdx/department_detail"),
    }
    assert paths(found.made_from) == below
    assert {row.stream for row in found.bronze} == {path[-1] for path in below}
    assert {field.name: field.value for field in found.fields} == {"college_code": COLLEGE, "dept_id": CODE}


def test_a_row_of_one_source_stands_in_its_bronze_row(guided: Checkout) -> None:
    found = explained(guided, "tdx_account_contacts", "1")
    assert paths(found.made_from) == {("tdx/department",)}
    (row,) = found.bronze
    assert row.key == "1"
    fields = {field.name: field for field in found.fields}
    assert (fields["phone"].value, fields["phone"].bronze, fields["phone"].read_at) == (
        "555-0199",
        [row.seq],
        row.ingested_at,
    )


def test_winner_loser_and_what_is_computed(guided: Checkout) -> None:
    fields = {field.name: field for field in explained(guided, "departments", CODE).fields}
    name = fields["department_name"]
    assert (name.source, name.agreeing, name.losing) == ("umich_api", ["tdx"], {})
    assert fields["tdx_manager_uid"].source == "tdx", "the only source of a field is named, too"
    assert (fields["sources"].source, fields["sources"].computed_from) == (None, ["tdx", "umich_api"])
    whole = explained(guided, "departments", CODE)
    assert set(fields["sources"].bronze) == {row.seq for row in whole.bronze}
    assert set(name.bronze) == {row.seq for row in whole.bronze if row.stream == UMICH}


def test_a_whole_table_with_a_step_is_explained(guided: Checkout) -> None:
    found = explained(guided, "department_twins", CODE)
    assert ("silver/departments", "silver/umapi_departments", "umich_api/department") in paths(found.made_from)


def test_a_key_that_is_not_there_has_near_ones(guided: Checkout) -> None:
    world = guided.world
    with world.admin.transaction() as connection:
        definition = world.definition("college_departments")
        assert explain(connection, definition, f"{COLLEGE}:nothing", world.definitions) is None
        assert f"{COLLEGE}:{CODE}" in near(connection, definition, f"{COLLEGE}:10000")
