"""A copy of sql/ that a test may change, and a filled hub that was made from it."""

from pathlib import Path
from typing import Any

import pytest

from lsats_dagster.migrations import Upgrade, upgrade
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.definition import Definition, declared
from lsats_dagster.transforms.engine import OutdatedTableError
from lsats_dagster_tests.contracts import table_checks
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.hubs import FEW, FEW_STREAMS, made_of

TABLE = "umapi_departments"
UMICH = "umich_api/department"


class Checkout:
    """A copy of sql/ that a test may change, and a filled hub that was made from it."""

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.world = World(url, self.definitions(), FEW_STREAMS)
        self.path = root / "silver" / "sources" / f"{TABLE}.sql"

    def definitions(self) -> tuple[Definition, ...]:
        """Those of the hub of three streams, and what is added to them."""
        return made_of(FEW, declared(self.root))

    def change(self, *replacements: tuple[str, str], path: Path | None = None) -> None:
        """Edit a definition file; the world then runs the changed checkout."""
        path = path or self.path
        content = path.read_text()
        for old, new in replacements:
            assert old in content
            content = content.replace(old, new, 1)
        path.write_text(content)
        self.world.definitions = self.definitions()

    def upgrade(self) -> Upgrade:
        return upgrade(self.world.admin, self.root, STREAMS, self.world.definitions)

    def refresh(self) -> Any:
        return self.world.refresh(TABLE)

    def columns(self) -> dict[str, tuple[str, bool]]:
        """name -> (type, NOT NULL) as Postgres has them."""
        rows = self.world.rows(
            "select attname, format_type(atttypid, atttypmod) as type, attnotnull from pg_attribute "
            "where attrelid = cast(:table as regclass) and attnum > 0 and not attisdropped",
            table=f"silver.{TABLE}",
        )
        return {row.attname: (row.type, row.attnotnull) for row in rows}

    def indexes(self) -> dict[str, str]:
        rows = self.world.rows("select indexname, indexdef from pg_indexes where tablename = :table", table=TABLE)
        return {row.indexname: row.indexdef.split(" USING ")[1] for row in rows}

    def check_full_once_then_incremental(self) -> None:
        """Refused until the upgrade; then one full refresh makes the table right, and the next is incremental."""
        with pytest.raises(OutdatedTableError, match="lsats db upgrade"):
            self.refresh()
        self.upgrade()
        assert self.refresh().mode == "full"
        table_checks.check_same_as_full(self.world, self.world.definition(TABLE))
        self.world.apply(Change(UMICH, "100001", "DeptDescription", f"After {self.world.definition(TABLE).hash}"))
        self.world.read(UMICH)
        run = self.refresh()
        assert (run.mode, run.counts.updated) == ("incremental", 1)
        table_checks.check_same_as_full(self.world, self.world.definition(TABLE))
