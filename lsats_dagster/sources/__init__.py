"""What the hub reads: one file per source."""

from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.settings import Settings, Variables
from lsats_dagster.source import Source
from lsats_dagster.sources import active_directory, documents, mcommunity, tdx, umich_api

SOURCES: tuple[Source, ...] = (
    umich_api.SOURCE,
    tdx.SOURCE,
    mcommunity.SOURCE,
    active_directory.SOURCE,
    documents.SOURCE,
)
STREAMS: tuple[StreamDeclaration, ...] = tuple(stream for source in SOURCES for stream in source.streams)
# All settings of the hub, its own first.
KINDS: tuple[type[Variables], ...] = (Settings, *(source.settings for source in SOURCES))
