"""How the script-based system before this one joins records (silver_consolidated_tables.md 0.6, 2 to 4).

Departments and groups are made of what changed since the day before and of nothing else (X1); of several records of a source
with one key the last one stands. People are made of all their records, but only of those that name a uniqname themselves. Nothing
is ever removed (X4).
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from lsats_dagster_tests.contracts import readings
from lsats_dagster_tests.truth.records import Known, Payload, Record, Row

Key = Callable[[str, Payload], str | None]


def department_key(table: str, payload: Payload) -> str | None:
    """The code; without one, the number of the account."""
    code = payload["Code"] if table == "tdx_departments" else payload["DeptId"]
    return readings.text(code) or f"TDX_{payload['ID']}"


def group_name(table: str, payload: Payload) -> str | None:
    """The common name; of MCommunity the first of several, as they come."""
    return readings.text(payload["cn"])


def group_key(table: str, payload: Payload) -> str | None:
    """What names of groups are compared by."""
    return (group_name(table, payload) or "").lower() or None


def person_key(table: str, payload: Payload) -> str | None:
    """The uniqname that the record itself has; of accounts of Active Directory the common name."""
    field_of = {"tdx_users": "AlternateID", "umapi_employees": "UniqName", "mcommunity_users": "uid", "ad_users": "cn"}
    return readings.uniqname(payload[field_of[table]])


@dataclass
class Peer:
    """The rows of one entity as they stand after each day. spelled: the key that is stored, of the first table that has one."""

    tables: tuple[str, ...]
    key: Key
    spelled: Key
    changed_only: bool = True
    rows: dict[str, Row] = field(default_factory=dict)

    def live(self, known: Known) -> None:
        """Follow what changed since the day before."""
        changed = [
            (record, payload) for table in self.tables for record, payload in known.of(table) if record in known.changed
        ]
        if self.changed_only:
            self.write(known, changed)
            return
        keys = {self.key(record[0], payload) for record, payload in changed}
        everything = [(record, payload) for table in self.tables for record, payload in known.of(table)]
        self.write(known, [(record, payload) for record, payload in everything if self.key(record[0], payload) in keys])

    def write(self, known: Known, found: list[tuple[Record, Payload]]) -> None:
        """Make a row of the records with one key, in place of the one that stood under it."""
        merged: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
        for record, payload in found:
            key = self.key(record[0], payload)
            if key is not None:
                merged[key][record[0]].append(record)
        for key, sides in merged.items():
            first = next(table for table in self.tables if table in sides)
            stored = self.spelled(first, known.payloads[first][sides[first][-1][1]]) or key
            records = {r for table, side in sides.items() for r in (side if table == "umapi_employees" else side[-1:])}
            self.rows[stored] = Row(True, frozenset(records))
