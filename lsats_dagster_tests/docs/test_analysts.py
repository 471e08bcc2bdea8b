"""The queries of docs/analysts.md answer on a filled hub, as the reader who follows the page."""

import pytest

from lsats_dagster.resources import HubDatabase
from lsats_dagster.runs import Origin
from lsats_dagster.settings import REPOSITORY
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.engine import refresh
from lsats_dagster_tests.conftest import DEFINITIONS, Hub
from lsats_dagster_tests.docs.guide import blocks


def test_every_query_of_the_page_answers(wired_hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in STREAMS:
        wired_hub.run(stream)
    for definition in DEFINITIONS:
        refresh(wired_hub.database, definition, origin=Origin(), lock_wait_seconds=10)
    monkeypatch.setenv("DATABASE_URL", wired_hub.database.url.render_as_string(hide_password=False))
    page = (REPOSITORY / "docs" / "analysts.md").read_text(encoding="utf-8")
    queries = [block.text for block in blocks(page) if block.language == "sql"]
    assert len(queries) == 3
    for query in queries:
        assert len(HubDatabase().query_to_dataframe(query)) > 1, query
