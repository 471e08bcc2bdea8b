"""Keys, hashes and version marks of a batch on the server, to be compared with what is current."""

from collections.abc import Sequence

import orjson
from sqlalchemy import Connection, text

from lsats_dagster.ingestion.content import Prepared

INCOMING = """
create temporary table if not exists incoming (
    ordinal integer, external_id text collate "C", entity_hash bytea, source_version text
) on commit delete rows
"""

# Three arguments for a whole batch: a row for each record costs more to send than to compare.
FILL = """
insert into incoming
select r.ordinal - 1, r.external_id, substr(h.hashes, (r.ordinal - 1)::integer * h.size + 1, h.size), r.source_version
from
    rows from (
        json_array_elements_text(cast(:keys as json)), json_array_elements_text(cast(:versions as json))
    ) with ordinality r (external_id, source_version, ordinal),
    (select cast(:hashes as bytea) as hashes, cast(:hash_bytes as integer) as size) h
"""


def stage(connection: Connection, records: Sequence[Prepared]) -> None:
    """Fill `incoming` with these records, numbered from 0, in the caller's transaction. There is at least one."""
    columns: dict[str, object] = {
        "keys": orjson.dumps([record.external_id for record in records]).decode(),
        "hashes": b"".join([record.entity_hash for record in records]),
        "hash_bytes": len(records[0].entity_hash),
        "versions": orjson.dumps([record.source_version for record in records]).decode(),
    }
    connection.execute(text(FILL), columns)
