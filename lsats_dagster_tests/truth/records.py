"""What sources have shown so far, and rows of entities that are made of it."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

Payload = Mapping[str, Any]
# Source table and key, as `source_keys` writes it: ("tdx_users", "5f0e...").
Record = tuple[str, str]
# What a record is joined by: records with equal links belong to one entity. Without a link: to none.
Links = dict[Record, Hashable]


@dataclass
class Known:
    """Every record that a source ever showed, by table and key with its last payload; and who or what each is in truth.

    present: those that the sources show now. changed: those that are new, other or back since the day before.
    """

    payloads: dict[str, dict[str, Payload]] = field(default_factory=dict)
    identities: dict[Record, Hashable] = field(default_factory=dict)
    present: set[Record] = field(default_factory=set)
    changed: set[Record] = field(default_factory=set)

    def of(self, table: str) -> list[tuple[Record, Payload]]:
        """All records of a table."""
        return [((table, key), payload) for key, payload in self.payloads[table].items()]

    def there(self, table: str) -> list[tuple[Record, Payload]]:
        """Those of a table that its source shows now."""
        return [(record, payload) for record, payload in self.of(table) if record in self.present]


@dataclass(frozen=True)
class Row:
    """One row of an entity: whether it shows as there, and the records that it is made of, gone ones too."""

    is_present: bool
    records: frozenset[Record]


Rows = Mapping[str, Row]
