"""What the pages name exists: files, commands with their options, settings, tables, links, jobs."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from lsats_dagster.cli import COMMANDS, app
from lsats_dagster.definitions import build_definitions
from lsats_dagster.settings import REPOSITORY, SQL_ROOT
from lsats_dagster.sources import KINDS, STREAMS
from lsats_dagster_tests.conftest import DEFINITIONS
from lsats_dagster_tests.docs.guide import blocks

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
ROOTS = {
    path.name for path in REPOSITORY.iterdir() if path.name in ("lsats_dagster", "lsats_dagster_tests", "sql", "docs")
}
FILE = re.compile(r"^[\w./-]*\.(py|sql|csv|md|yaml|txt|toml|png)$")
NAME = re.compile(r"^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$")
TABLE = re.compile(r"^(bronze|enriched|silver|meta|curated)\.(\w+)$")
# Read by the programs and libraries that the hub starts, not by the hub.
OTHERS = re.compile(r"^(DAGSTER_(HOME|PG_[A-Z]+)|REQUESTS_CA_BUNDLE|UPDATE_(SNAPSHOT|SCREENSHOT)|RUN_ID)$")
SETTINGS = {name.upper() for kind in KINDS for name in kind.model_fields}
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@cache
def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def spans(page: Path) -> list[str]:
    return SPAN.findall(prose(page))


def made_by(page: Path) -> str:
    """What the page itself tells the reader to write."""
    return "\n".join(
        f"{b.about['title']}\n{b.text}" for b in blocks(page.read_text(encoding="utf-8")) if "title" in b.about
    )


@every_page
def test_files_exist(page: Path) -> None:
    named = [span for span in spans(page) if FILE.match(span) or span.split("/")[0] in ROOTS]
    known = {path.name for path in (REPOSITORY / "lsats_dagster").rglob("*.py")}
    missing = [
        name for name in named if not (REPOSITORY / name).exists() and name not in known and name not in made_by(page)
    ]
    assert missing == []


@cache
def lsats() -> Any:
    command: Any = typer.main.get_command(app)
    for name in COMMANDS:
        command.load(name)
    return command


def commands(page: Path) -> Iterator[str]:
    """Everything of the page that is a command line of the hub."""
    lines = spans(page) + [
        line for block in blocks(page.read_text(encoding="utf-8")) for line in block.text.splitlines()
    ]
    for line in lines:
        if match := re.match(r"^(?:\.venv/bin/)?(lsats .*)$", line.strip()):
            yield match[1]


def unusable(line: str) -> str | None:
    """What is wrong with a command line, found by the command's own parser. A bare command is how prose names it."""
    command, words = lsats(), shlex.split(line)[1:]
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return f"{line}: no such command"
        command, words = command.commands[words[0]], words[1:]
    try:
        command.make_context("lsats", list(words), resilient_parsing=words in ([], ["--help"]))
    except Exception as error:
        return f"{line}: {type(error).__name__}: {error}"
    return None


@every_page
def test_commands_can_be_typed(page: Path) -> None:
    assert [problem for line in commands(page) if (problem := unusable(line))] == []


@pytest.mark.parametrize("line", ["lsats rnu x", "lsats run x --ful", "lsats quarantine replya", "lsats status now"])
def test_a_wrong_command_would_be_found(line: str) -> None:
    assert unusable(line)


@every_page
def test_settings_exist(page: Path) -> None:
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for room in ("lsats_dagster", "lsats_dagster_tests")
        for path in (REPOSITORY / room).rglob("*.py")
    )
    # A field that the page itself declares is a setting.
    declared = {name.upper() for name in re.findall(r"^    (\w+): str", made_by(page), re.MULTILINE)}
    assigned = re.findall(r"^([A-Z][A-Z0-9_]*)=", page.read_text(encoding="utf-8"), re.MULTILINE)
    named = [name for name in spans(page) if NAME.match(name)] + [name for name in assigned if NAME.match(name)]
    unknown = [
        name
        for name in named
        if name not in SETTINGS | declared and not OTHERS.match(name) and not re.search(rf"^{name}\b[^\n]*=", code, re.MULTILINE)
    ]
    assert unknown == []


@every_page
def test_tables_exist(page: Path) -> None:
    ddl = "\n".join(path.read_text(encoding="utf-8") for path in (SQL_ROOT / "migrations").glob("*.sql"))
    known = set(re.findall(r"create (?:table|view|sequence) (\w+\.\w+)", ddl)) | {"meta.schema_migrations"}
    known |= {f"{stream.layer}.{stream.table}" for stream in STREAMS} | {d.name for d in DEFINITIONS}
    known |= {f"silver.{path.stem}" for path in (SQL_ROOT / "views").glob("*.sql")}
    unknown = [
        span
        for span in spans(page)
        if (match := TABLE.match(span)) and span not in known and match[2] not in made_by(page)
    ]
    assert unknown == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(prose(page)):
        name, _, anchor = target.partition("#")
        file = (page.parent / name) if name else page
        if not file.is_file() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def test_the_readme_leads_to_every_page_and_names_every_command() -> None:
    readme = REPOSITORY / "README.md"
    linked = set(LINK.findall(prose(readme)))
    assert {f"docs/{page.name}" for page in PAGES[1:]} <= linked
    named = " ".join(commands(readme))
    for name, command in lsats().commands.items():
        for path in [f"{name} {below}" for below in getattr(command, "commands", {})] or [name]:
            assert f"lsats {path}" in named, path


def test_the_operators_page_names_all_that_runs_by_itself() -> None:
    named = set(spans(REPOSITORY / "docs" / "operating.md"))
    repository = build_definitions().get_repository_def()
    jobs = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    automatic = {one.name for one in (*repository.schedule_defs, *repository.sensor_defs)}
    assert jobs | automatic <= named


def test_every_setting_of_alerts_and_sources_is_explained() -> None:
    named = {span for page in PAGES[1:] for span in spans(page)}
    groups = ("TDX_", "UM_", "MCOMMUNITY_", "AD_", "ALERT_", "DETAIL_", "HTTP_", "DATABASE_", "LSATS_DATA_")
    assert {name for name in SETTINGS if name.startswith(groups)} <= named
