"""The house keeps its shape: who may import whom, how long a file may be, what may stand in no file.

The rules are those of the architecture; each is read from the code itself, and proven able to turn red.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from lsats_dagster.migrations import load_migrations
from lsats_dagster.settings import REPOSITORY, SQL_ROOT
from lsats_dagster.sources import STREAMS
from lsats_dagster_tests.conftest import DEFINITIONS

PACKAGE = REPOSITORY / "lsats_dagster"
NAME = PACKAGE.name
LONGEST = 400
PRIVATE = re.compile(r"dagster\w*(\.\w+)*\._")

# Room -> what of the package it may import, as prefixes of module names; its own files besides.
DECLARATION = ("ingestion.stream", "ingestion.views")
ENGINES = ("local_time", "runs", "database", "ingestion", "transforms", "settings", "migrations")
SHELLS = (*ENGINES, "clients", "source", "watched", "resources", "assets", "automation")
ROOMS: dict[str, tuple[str, ...]] = {
    "clients": (),
    "source": ("clients", "settings", "local_time", *DECLARATION),
    "sources": ("clients", "settings", "source", *DECLARATION),
    "ingestion": ("runs", "database"),
    "transforms": ("runs", "database"),
    "settings": ("clients.addresses",),
    "database": (),
    "local_time": (),
    "runs": ("database", "local_time"),
    "migrations": ("runs", "database", "ingestion", "transforms", "settings"),
    "watched": ("runs", "source", "transforms"),
    "resources": (*ENGINES, "clients", "source"),
    "assets": SHELLS,
    "automation": SHELLS,
    "definitions": (*SHELLS, "sources"),
    "cli": (*SHELLS, "sources", "definitions", "demo"),
    "demo": ("settings",),
}
# Rooms that may use these packages besides the standard library; the others may use any but what FORBIDDEN says.
OUTSIDE: dict[str, set[str]] = {
    "clients": {"requests", "urllib3", "ldap3"},
    "clients.documents": {"python_calamine"},
    "source": set(),
    "local_time": set(),
    "sources": {"pydantic"},
    "ingestion": {"sqlalchemy", "psycopg", "orjson"},
    "transforms": {"sqlalchemy", "psycopg", "orjson", "sqlglot"},
    "runs": {"sqlalchemy", "psycopg", "orjson"},
    "database": {"sqlalchemy", "psycopg", "orjson"},
    "migrations": {"sqlalchemy", "psycopg"},
    "settings": {"dotenv", "pydantic", "pydantic_settings", "sqlalchemy"},
}


def python_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def imported(tree: ast.Module, module: str, is_package: bool) -> Iterator[str]:
    """Every module that a file names in an import, wherever it stands, `from x import y` as both x and x.y."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                steps = node.level - is_package
                parts = module.split(".")
                base = ".".join([*parts[: len(parts) - steps], *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("import_module", "importlib.import_module"):
            yield from (a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))


def within(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def module_of(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports_of(source: str, module: str, is_package: bool) -> tuple[str, ...]:
    return tuple(imported(ast.parse(source), module, is_package))


def forbidden_imports(sources: dict[Path, str]) -> list[str]:
    """What the files of the package (path -> text) import against the table of rooms, one sentence each."""
    modules = {module_of(path, PACKAGE): path for path in sources if path != PACKAGE / "__init__.py"}
    inner = {module.removeprefix(f"{NAME}.") for module in modules}
    found = set()
    for module, path in modules.items():
        here = module.removeprefix(f"{NAME}.")
        room = here.split(".")[0]
        if room not in ROOMS:
            found.add(f"{here}: belongs to no room of the house")
            continue
        for target in imports_of(sources[path], module, path.name == "__init__.py"):
            top, _, wanted = target.partition(".")
            if top == NAME and not may_import(here, wanted, inner):
                found.add(f"{here} imports {wanted}")
            if top not in (NAME, *sys.stdlib_module_names):
                allowed = OUTSIDE.get(here, OUTSIDE.get(room))
                if (allowed is not None and top not in allowed) or top == f"{NAME}_tests":
                    found.add(f"{here} imports {top}")
                if PRIVATE.match(target):
                    found.add(f"{here} imports {target}, which is private")
    return sorted(found)


def may_import(here: str, wanted: str, modules: set[str]) -> bool:
    """Whether the file `here` may import `wanted`, a module of the package or a name in one."""
    room = here.split(".")[0]
    if wanted not in modules:
        # `from lsats_dagster.runs import Run` names runs and runs.Run: only the first is a module.
        return not wanted or wanted.rpartition(".")[0] in modules
    if room == "sources" and here != "sources" and within(wanted, ("sources",)):
        return False
    # A package on the way to an allowed module, as ingestion is on that to ingestion.stream, holds nothing itself.
    return within(wanted, (*ROOMS[room], room)) or any(name.startswith(f"{wanted}.") for name in ROOMS[room])


def package_sources() -> dict[Path, str]:
    return {path: path.read_text(encoding="utf-8") for path in python_files(PACKAGE)}


def test_rooms_import_what_the_table_allows() -> None:
    assert forbidden_imports(package_sources()) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("clients/tdx.py", "import dagster"),
        ("clients/tdx.py", "import sqlalchemy"),
        ("clients/tdx.py", "from lsats_dagster.settings import Settings"),
        ("clients/http.py", "from .. import database"),
        ("clients/umich_api.py", "def late():\n    from lsats_dagster import runs"),
        ("clients/umich_api.py", "import pandas"),
        ("sources/tdx.py", "from lsats_dagster.sources import umich_api"),
        ("sources/tdx.py", "from .umich_api import DEPARTMENTS as OTHERS"),
        ("sources/tdx.py", "from lsats_dagster.ingestion.extract import ingest"),
        ("sources/tdx.py", "from lsats_dagster.database import Database"),
        ("sources/umich_api.py", "from dagster import asset"),
        ("ingestion/extract.py", "from lsats_dagster.clients.errors import SourceError"),
        ("ingestion/extract.py", "import lsats_dagster.sources"),
        ("ingestion/details.py", "from lsats_dagster.transforms.engine import refresh"),
        ("ingestion/details.py", "import requests"),
        ("transforms/engine.py", "from lsats_dagster.ingestion.views import COLUMNS"),
        ("transforms/engine.py", "from lsats_dagster.settings import SQL_ROOT"),
        ("transforms/verify.py", "import dagster as dg"),
        ("runs.py", "from lsats_dagster.settings import load_settings"),
        ("database.py", "from lsats_dagster.runs import Run"),
        ("resources.py", "from lsats_dagster.assets.common import OWNERS"),
        ("assets/bronze.py", "from lsats_dagster.demo.campus import running_campus"),
        ("assets/bronze.py", "from lsats_dagster.cli.run import execute"),
        ("assets/bronze.py", "import importlib\nimportlib.import_module('lsats_dagster.demo')"),
        ("assets/bronze.py", "from dagster._core.events import DagsterEvent"),
        ("demo/postgres.py", "from lsats_dagster.database import Database"),
        ("demo/campus/world.py", "from lsats_dagster.clients.tdx import TdxClient"),
        ("settings.py", "from lsats_dagster.database import Database"),
        ("attic.py", "from lsats_dagster.database import Database"),
    ],
)
def test_a_forbidden_import_is_found(file: str, line: str) -> None:
    sources = package_sources()
    planted = sources | {PACKAGE / file: f"{sources.get(PACKAGE / file, '')}\n{line}\n"}
    assert set(forbidden_imports(planted)) - set(forbidden_imports(sources))


def own_texts(path: Path) -> Iterator[str]:
    """The texts that a file works with: its string constants without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    described = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield node.value


@pytest.mark.parametrize(
    ("room", "names"),
    [
        ("ingestion", {name for s in STREAMS for name in (s.source_system, s.entity_type, s.table)}),
        ("transforms", {d.table for d in DEFINITIONS} | {s.table for s in STREAMS}),
    ],
)
def test_engines_know_no_source_and_no_table_by_name(room: str, names: set[str]) -> None:
    # Who writes `group by` names no group.
    said = re.compile(rf"(?<![a-z_])(?:{'|'.join(sorted(names))})(?![a-z_]| by )")
    known = [
        f"{path.name}: {text!r}"
        for path in python_files(PACKAGE / room)
        for text in own_texts(path)
        if said.search(text)
    ]
    assert known == []


def test_the_command_line_has_no_sql_of_its_own() -> None:
    statement = re.compile(r"\b(select\s.+\sfrom|insert\s+into|update\s.+\sset|delete\s+from)\s", re.I | re.S)
    found = [
        f"{path.name}: {text!r}" for path in python_files(PACKAGE / "cli") for text in own_texts(path)
        if statement.search(text)
    ]  # fmt: skip
    assert found == []


@pytest.mark.parametrize("folder", [NAME, f"{NAME}_tests"])
def test_no_file_has_become_two_things(folder: str) -> None:
    lengths = {
        str(path.relative_to(REPOSITORY)): len(path.read_text(encoding="utf-8").splitlines())
        for path in python_files(REPOSITORY / folder)
    }
    assert lengths
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_tests_use_no_private_part_of_dagster() -> None:
    private = []
    for path in python_files(REPOSITORY / f"{NAME}_tests"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = imported(tree, module_of(path, REPOSITORY / f"{NAME}_tests"), path.name == "__init__.py")
        private += [f"{path.name}: {name}" for name in names if PRIVATE.match(name)]
    assert private == []


def environment_reads(tree: ast.Module) -> list[int]:
    """Lines that read the environment while the module is imported: outside functions, defaults and decorators inside."""
    lines = []
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv", "os.environb"):
            lines.append(node.lineno)
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            lines += [node.lineno for alias in node.names if alias.name in ("environ", "getenv")]
        waiting += ast.iter_child_nodes(node)
    return lines


def test_nothing_reads_the_environment_while_it_is_imported() -> None:
    reads = {
        str(path.relative_to(PACKAGE)): lines
        for path in python_files(PACKAGE)
        if (lines := environment_reads(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert reads == {}


@pytest.mark.parametrize(
    "source",
    ["import os\nX = os.environ['X']", "import os\nclass A:\n    x = os.getenv('X')", "from os import environ",
     "import os\ndef f(x=os.environ): ..."],
)  # fmt: skip
def test_a_read_of_the_environment_is_found(source: str) -> None:
    assert environment_reads(ast.parse(source))
    assert not environment_reads(ast.parse("import os\ndef f():\n    return os.environ"))


# Put together here, so that this file passes its own test.
UNSPEAKABLE = re.compile(
    "|".join(
        [
            "py" + r"pi\.org", "python" + "hosted", "test" + r"\.pypi", "npm" + r"js\.", "arti" + "factory", "index" + "-url",
            "extra-" + "index", r"proxy\." + r"golang", r"(?<![\w.$}])/" + r"(?:work|root|tmp/w)(?![\w-])",
            r"/home/" + r"[a-z]+/", r"/Users" + r"/[a-z]+/",
        ]
    )
)  # fmt: skip


def files_of_the_repository() -> list[Path]:
    """What git holds or would take: new files count before they are committed."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return [REPOSITORY / name for name in listed if name and (REPOSITORY / name).is_file()]


def test_no_file_names_a_registry_or_a_machine() -> None:
    files = files_of_the_repository()
    assert REPOSITORY / "Makefile" in files
    found = []
    for path in files:
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if match := UNSPEAKABLE.search(line):
                found.append(f"{path.relative_to(REPOSITORY)}:{number}: {match[0]}")
    assert found == []


@pytest.mark.parametrize(
    "line", ["https://" + "pypi" + ".org/simple", "see /" + "work/main", "'/" + "root/x'", "/tmp" + "/w/venv"]
)
def test_a_registry_or_a_machine_is_found(line: str) -> None:
    assert UNSPEAKABLE.search(line)
    assert not UNSPEAKABLE.search("https://host/rootless, ./work/x, network/workers, /tmp/wheel")


def test_every_sql_file_is_read_by_something() -> None:
    silver = [definition.path for definition in DEFINITIONS]
    migrations = [SQL_ROOT / "migrations" / migration.name for migration in load_migrations(SQL_ROOT / "migrations")]
    others = [path for folder in ("functions", "views") for path in (SQL_ROOT / folder).glob("*.sql")]
    read = [*silver, *migrations, *others]
    assert len(read) == len(set(read))
    assert set(read) == set(SQL_ROOT.rglob("*.sql"))


def test_every_cleaning_function_is_made_once() -> None:
    made = re.compile(r"create(?: or replace)? function (?P<name>clean\.\w+)", re.I)
    places: dict[str, set[str]] = {}
    for path in sorted((SQL_ROOT / "functions").glob("*.sql")):
        names = [match["name"].lower() for match in made.finditer(path.read_text(encoding="utf-8"))]
        assert names, f"{path.name} makes no function of schema clean"
        for name in names:
            places.setdefault(name, set()).add(path.name)
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


# Views that readers know by these names from before.
OLDER_VIEWS = {"group_summary", "synced_groups", "user_group_memberships"}


def test_every_view_is_one_select() -> None:
    views = sorted((SQL_ROOT / "views").glob("*.sql"))
    assert views
    for path in views:
        assert path.stem.startswith("v_") or path.stem in OLDER_VIEWS, path.name
        assert isinstance(sqlglot.parse_one(path.read_text(encoding="utf-8"), dialect="postgres"), exp.Query), path.name
