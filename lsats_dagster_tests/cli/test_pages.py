"""Pages for people without a command line: what they say, that they show texts as texts, and who may read the file."""

import json
import os
import re
import stat
from html import unescape
from pathlib import Path

import pytest

from lsats_dagster.cli.pages import Alarm, Command, page, section, sentence, table, write
from lsats_dagster.demo.campus import BAD_RECORD, Campus
from lsats_dagster.settings import ConfigurationError
from lsats_dagster_tests.automation.aids import Operation
from lsats_dagster_tests.cli.aids import Lsats, assert_wrong_use
from lsats_dagster_tests.hubs import FEW_KEYS

HOSTILE = "</td><script>alert('x')</script> & \"quoted\" \u202eright to left"


def texts(html: str) -> str:
    """What a reader sees of a page, in one line."""
    return " ".join(unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL)).split())


def test_every_text_is_shown_as_it_is() -> None:
    made = page(
        HOSTILE,
        section(
            HOSTILE, sentence(HOSTILE), table([HOSTILE], [[HOSTILE], [Alarm(HOSTILE)], [Command(HOSTILE)]], "none")
        ),
    )
    assert texts(made).count(HOSTILE) == 8
    assert "<script" not in made
    assert re.findall(r"https?://|src=|href=|@import|url\(", made) == []
    assert "default-src 'none'" in made


def test_a_table_without_rows_is_a_sentence_and_numbers_stand_to_the_right() -> None:
    assert table(["a"], [], "Nothing.") == "<p>Nothing.</p>"
    made = table(["name", "rows"], [("x", 12_345), ("y", None)], "Nothing.")
    assert "<th>name</th><th class=number>rows</th>" in made
    assert "<td class=number>12,345</td>" in made
    assert "<td class=number></td>" in made


def test_a_page_is_written_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("before")
    path.chmod(0o644)
    with pytest.raises(UnicodeEncodeError):
        write(path, "half \ud800")
    assert (path.read_text(), [file.name for file in tmp_path.iterdir()]) == ("before", ["page.html"])
    write(path, "after")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("after", 0o600)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for impossible in (tmp_path, tmp_path / "no" / "page.html", pipe):
        with pytest.raises(ConfigurationError, match="cannot be written"):
            write(impossible, "x")
    assert pipe.is_fifo()


@pytest.mark.budget(6, "a run of all tables")
def test_explanation_and_report_as_pages(lsats: Lsats, operation: Operation, campus: Campus, tmp_path: Path) -> None:
    code = sorted(campus.truth("umich_api/department"))[30]
    campus.put("umich_api/department", code, {"DeptDescription": HOSTILE})
    campus.poison(BAD_RECORD[0], [BAD_RECORD[1]])
    assert operation.run("hub_daily").success

    path = tmp_path / "row.html"
    done = lsats("explain", "department", code, "--html", str(path), "--json")
    assert done.returncode == 0
    told, made = json.loads(done.stdout), path.read_text(encoding="utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"<title>silver/departments {code}</title>" in made
    assert "<script" not in made
    shown = texts(made)
    assert HOSTILE in shown
    for field in told["fields"]:
        assert f" {field['name']} " in shown
    for row in told["bronze"]:
        assert row["raw_id"] in shown
        assert f" {row['seq']} " in shown
    for flag, deduction, meaning in told["flags"]:
        assert f"{flag} {deduction} {meaning}" in shown
    (name,) = (field for field in told["fields"] if field["name"] == "department_name")
    assert f"{HOSTILE} umich_api {' '.join(f'{source}: {value}' for source, value in name['losing'].items())}" in shown
    # For people it is the page alone, and where it is.
    done = lsats("explain", "department", code, "--html", str(path))
    assert (done.stdout, str(path) in done.stderr) == ("", True)
    assert_wrong_use(lsats("explain", "department", code, "--html", str(tmp_path)), "cannot be written")

    path = tmp_path / "report.html"
    done = lsats("report", "--html", str(path))
    assert done.returncode == 0, done.stderr
    made = path.read_text(encoding="utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shown = texts(made)
    findings = [found for entry in json.loads(lsats("status", "--json").stdout) for found in entry["findings"]]
    assert findings
    for found in findings:
        assert f"{found['table']} {found['sentence']} {found['command']}" in shown
    for key in FEW_KEYS:
        assert f" {key} current " in shown
    for flag in json.loads(lsats("quality", "--json").stdout):
        assert (f"{flag['table']} {flag['flag']} {flag['rows']:,} " in shown) == (flag["rows"] > 0)
    present = dict(
        map(
            tuple,
            operation.sql(
                "select 'tdx', count(*) from silver.tdx_departments where is_present union all "
                "select 'without code', count(*) from silver.tdx_departments where is_present and dept_id is null union all "
                "select 'hr', count(*) from silver.umapi_departments where is_present"
            ),
        )
    )
    assert f" silver/umapi_departments {present['hr']} silver/departments: {present['hr']} 0 " in shown
    with_code = present["tdx"] - present["without code"]
    # No table says that it takes the others.
    lost = present["without code"]
    assert f" silver/tdx_departments {present['tdx']} silver/departments: {with_code} {lost} " in shown
    won = operation.sql(
        "select count(*) from silver.departments where is_present and field_sources ->> 'department_name' = 'umich_api'"
    )[0][0]
    assert f" department_name umich_api {won}, tdx " in shown
    operation.sql(
        "update meta.ingestion_runs set started_at = started_at - interval '3 days', completed_at = completed_at - interval "
        "'3 days' where source_system = 'tdx' and entity_type = 'department'"
    )
    assert lsats("report", "--html", str(path)).returncode == 0
    late = texts(path.read_text(encoding="utf-8"))
    assert " bronze/tdx_departments late " in late
    assert " lsats run bronze/tdx_departments " in late
    # No content of rows but keys of tables and flags.
    names = operation.sql("select department_name from silver.departments where length(department_name) > 12")
    assert [name for (name,) in names if name in shown] == []


def test_a_key_without_a_row_names_what_is_quarantined(lsats: Lsats, operation: Operation, campus: Campus) -> None:
    campus.poison(BAD_RECORD[0], [BAD_RECORD[1]])
    assert operation.run("umich_api_ingest").success
    said = lsats("explain", "umapi_departments", json.loads(BAD_RECORD[1])["DeptId"])
    assert said.returncode == 1
    assert "bronze/umapi_departments, a record with this key or value in quarantine: " in said.stdout
    (shown,) = re.findall(r"^   -> lsats (quarantine show [0-9a-f-]+)$", said.stdout, re.MULTILINE)
    assert lsats(*shown.split()).returncode == 0
    assert "in quarantine" not in lsats("explain", "umapi_departments", "no-such-code").stdout
