"""The data dictionary says what the definitions say."""

import pytest

from lsats_dagster.settings import REPOSITORY, SQL_ROOT
from lsats_dagster.transforms.definition import Definition, load_definitions
from lsats_dagster.transforms.dictionary import pages, told
from lsats_dagster.transforms.lineage import Origin
from lsats_dagster_tests.conftest import DEFINITIONS
from lsats_dagster_tests.contracts.forms import FORMS

FOLDER = REPOSITORY / "docs" / "tables"
INVENTED = load_definitions(FORMS)


@pytest.fixture(scope="module")
def invented() -> dict[str, str]:
    """The pages of tables that have every form between them."""
    return pages(INVENTED, SQL_ROOT)


def cells(page: str, first: str) -> list[str]:
    """The cells after the first of the one line of a table that begins so."""
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_pages_are_current() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*")}
    expected = pages(DEFINITIONS, SQL_ROOT)
    assert written.keys() == expected.keys()
    outdated = [name for name, text in expected.items() if written[name] != text]
    assert not outdated, f"{', '.join(outdated)}: run `make docs`"


def test_pages_tell_every_column_and_every_flag() -> None:
    for definition in DEFINITIONS:
        text = (FOLDER / f"{definition.table}.md").read_text(encoding="utf-8")
        assert [c.name for c in definition.columns if f"| `{c.name}` | {c.type} | {c.comment} |" not in text] == []
        assert [flag for flag in definition.deductions if f"| `{flag}` |" not in text] == []


@pytest.mark.parametrize("definition", INVENTED, ids=lambda definition: definition.table)
def test_every_column_tells_where_it_comes_from(invented: dict[str, str], definition: Definition) -> None:
    """Those that every table has too: by the SELECT, or by the engine."""
    came = {c.name: cells(invented[f"{definition.table}.md"], f"`{c.name}`")[2] for c in definition.columns}
    assert [name for name, said in came.items() if not said] == []
    assert "`quality_flags`" in came["data_quality_score"]


def test_where_columns_of_every_table_come_from(invented: dict[str, str]) -> None:
    page = invented["jobs.md"]
    assert cells(page, "`raw_id`")[2] == "bronze.jobs: `raw_id`"
    assert cells(page, "`quality_flags`")[2] == "bronze.jobs: `Approver`, `Title`<br>bronze.logins: `external_id`"
    assert cells(page, "`source_systems`")[2] == "the same in every row"
    assert cells(page, "`changed_seq`")[2] == "the run that wrote the row"


def test_of_many_fields_some_are_named_and_the_others_counted() -> None:
    origins = [Origin("bronze.logins", "payload", f"Field{number}") for number in range(8)]
    assert told(origins).endswith("`Field5` and 2 more")
    assert told(origins[:6]).endswith("`Field4`, `Field5`")


def test_what_makes_checks_red(invented: dict[str, str]) -> None:
    """A table without references that may lead nowhere has nothing that turns the check red."""
    assert cells(invented["jobs.md"], "integrity")[0].startswith(
        "more than 2% of present rows have `unknown_approver`; "
    )
    (said,) = cells(invented["logins.md"], "integrity")
    assert said.startswith("nothing does: no flag of this table means a reference that leads nowhere; ")
    assert said.endswith("fails the refresh itself")
    assert (
        "`attributes` is emptied in more than 2%"
        in cells(pages(DEFINITIONS, SQL_ROOT)["tdx_departments.md"], "volume")[0]
    )


def test_a_table_stands_between_its_inputs_and_its_readers(invented: dict[str, str]) -> None:
    page = invented["workers.md"]
    assert "- Made from: [`silver.jobs`](jobs.md), [`silver.logins`](logins.md)\n" in page
    assert "- Read by: [`silver.teams`](teams.md)\n" in page
    assert '    silver_jobs["silver.jobs"] --> silver_workers["silver.workers"]\n' in page
    assert '    silver_workers["silver.workers"] --> silver_teams["silver.teams"]\n' in page
    assert "- Read by: nothing yet\n" in invented["teams.md"]
    assert "- Kind: derived, always computed whole\n" in invented["effective_members.md"]
    readers = pages(DEFINITIONS, SQL_ROOT)["departments.md"]
    (read_by,) = (line for line in readers.splitlines() if line.startswith("- Read by: "))
    assert "`silver.v_departments`" in read_by
