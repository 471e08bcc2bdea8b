"""What one run of a stream is asked to do."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


class RefusedRequestError(Exception):
    """The run must not begin as it was asked for. The message says what to ask for instead."""


@dataclass(frozen=True)
class ReadRequest:
    """limit: stop after so many records or calls, which makes the read partial. full: read whole what could be read by its
    changes; details: fetch everything again, not only what is due. since: read what changed since this moment, where the
    source can tell. approve_removals: the run whose refused removals a person has approved. dry_run: compare only, write
    nothing.
    """

    limit: int | None = None
    full: bool = False
    since: datetime | None = None
    approve_removals: UUID | None = None
    dry_run: bool = False
