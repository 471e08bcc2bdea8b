"""The queries of docs/analysts.md answer on a filled hub, as the reader who follows the page."""

import io
import json
import os
import re
from pathlib import Path

import pytest

from lsats_dagster.ingestion.stream import ListStream
from lsats_dagster.resources import HubDatabase
from lsats_dagster.runs import Origin
from lsats_dagster.settings import REPOSITORY
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.engine import refresh
from lsats_dagster_tests.cli.aids import in_process
from lsats_dagster_tests.conftest import DEFINITIONS, Hub
from lsats_dagster_tests.docs.guide import blocks


@pytest.mark.budget(12, "every list and every table")
def test_every_query_of_the_page_answers(
    wired_hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for stream in STREAMS:
        if isinstance(stream, ListStream):
            wired_hub.run(stream)
    for definition in DEFINITIONS:
        refresh(wired_hub.database, definition, origin=Origin(), lock_wait_seconds=10)
    monkeypatch.setenv("DATABASE_URL", wired_hub.database.url.render_as_string(hide_password=False))
    page = (REPOSITORY / "docs" / "analysts.md").read_text(encoding="utf-8")
    queries = [block.text for block in blocks(page) if block.language == "sql"]
    assert len(queries) == 5
    for query in queries:
        assert len(HubDatabase().query_to_dataframe(query)) > 1, query
    for words in (("query", queries[0]), ("query", "-")):
        monkeypatch.setattr("sys.stdin", io.StringIO(queries[0]))
        told = in_process(*words, folder=tmp_path, variables=dict(os.environ))
        assert told.returncode == 0, told.stderr
        assert re.search(r"^\d+ rows$", told.stdout, re.MULTILINE)
    rows = json.loads(in_process("query", queries[0], "--json", folder=tmp_path, variables=dict(os.environ)).stdout)
    assert len(rows) > 1
    assert rows[0].keys() == {"college_name", "departments", "mean_score"}
    assert all(str(row["departments"]) in told.stdout for row in rows)
    refused = in_process("query", "delete from silver.departments", folder=tmp_path, variables=dict(os.environ))
    assert (refused.returncode, "it can change nothing" in refused.stderr) == (2, True)
    assert "Traceback" not in refused.stderr
