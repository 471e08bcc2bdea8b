"""The clock of the university: what people read shows its time. What is stored, and what programs read, is in UTC."""

from datetime import datetime
from time import struct_time
from zoneinfo import ZoneInfo

TIME_ZONE = "America/Detroit"


def local(moment: datetime, form: str = "%Y-%m-%d %H:%M") -> str:
    """A moment by the clock of the university."""
    return moment.astimezone(ZoneInfo(TIME_ZONE)).strftime(form)


def local_fields(seconds: float | None) -> struct_time:
    """Seconds since the epoch by the same clock, as the formatter of a log asks for them."""
    assert seconds is not None
    return datetime.fromtimestamp(seconds, ZoneInfo(TIME_ZONE)).timetuple()
