"""What the hub fetches: one file per source, one declaration per stream."""

from typing import Any

from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.sources import tdx, umich_api

STREAMS: tuple[StreamDeclaration, ...] = (*umich_api.STREAMS, *tdx.STREAMS)


def stream_of(table: str) -> StreamDeclaration:
    """The declaration of the stream with this `<layer>.<table>` name; KeyError when there is none."""
    return {f"{stream.layer}.{stream.table}": stream for stream in STREAMS}[table]


__all__: list[Any] = ["STREAMS", "stream_of"]
