"""The data dictionary says what the definitions say."""

from lsats_dagster.settings import REPOSITORY, SQL_ROOT
from lsats_dagster.transforms.definition import load_definitions
from lsats_dagster.transforms.dictionary import pages

FOLDER = REPOSITORY / "docs" / "tables"


def test_pages_are_current() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*")}
    expected = pages(load_definitions(SQL_ROOT), SQL_ROOT)
    assert written.keys() == expected.keys()
    outdated = [name for name, text in expected.items() if written[name] != text]
    assert not outdated, f"{', '.join(outdated)}: run `make docs`"


def test_pages_tell_every_column_and_every_flag() -> None:
    for definition in load_definitions(SQL_ROOT):
        text = (FOLDER / f"{definition.table}.md").read_text(encoding="utf-8")
        assert [c.name for c in definition.columns if f"| `{c.name}` | {c.type} | {c.comment} |" not in text] == []
        assert [flag for flag in definition.deductions if f"| `{flag}` |" not in text] == []
