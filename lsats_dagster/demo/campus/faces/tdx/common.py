"""What the methods of the TeamDynamix Web API have in common."""

from collections.abc import Iterable
from typing import Any

from starlette.responses import PlainTextResponse, Response

from lsats_dagster.demo.campus.entities import Payload, UnknownEntityError, as_json
from lsats_dagster.demo.campus.gate import Call, Handler, InvalidRequestError, not_found
from lsats_dagster.demo.campus.simulation import Simulation


def listed(records: Iterable[Payload], poison: Iterable[bytes] = (), most: int = 0) -> Response:
    """A bare array, with the poison behind its records; `most` 0 means all."""
    found = [*map(as_json, records), *poison]
    return Response(b"[" + b",".join(found[: most or None]) + b"]", media_type="application/json")


def one(simulation: Simulation, stream: str, key: str) -> Response:
    """One record alone; 404 if it is gone."""
    found = simulation.world.stream(stream)
    raw = simulation.behaviour.poisoned_details.get((stream, key))
    if raw is not None:
        return Response(raw.encode("utf-8", "backslashreplace"), media_type="application/json")
    try:
        return Response(as_json(found.shown(found.table[key])), media_type="application/json")
    except UnknownEntityError:
        return not_found("tdx")


def understood(handler: Handler) -> Handler:
    """The handler for calls that make sense; others are answered 400."""

    def handle(call: Call) -> Response:
        try:
            return handler(call)
        except InvalidRequestError:
            return PlainTextResponse("The request is invalid.", 400)

    return handle


def flag(value: object) -> bool | None:
    """A boolean that may arrive as text; InvalidRequestError if it is none."""
    if value is None or value == "":
        return None
    text = str(value).lower()
    if text not in ("true", "false", "1", "0"):
        raise InvalidRequestError("no boolean")
    return text in ("true", "1")


def number(value: Any) -> int | None:
    """An integer that may arrive as text; InvalidRequestError if it is none."""
    try:
        return None if value is None or value == "" else int(value)
    except (ValueError, TypeError, OverflowError):
        raise InvalidRequestError("no whole number") from None


def numbers(value: Any) -> frozenset[int]:
    """A list of integers, or one alone; empty for no restriction."""
    return frozenset(found for each in _several(value) if (found := number(each)) is not None)


def texts(value: Any) -> frozenset[str]:
    """A list of texts, or one alone, in lower case; empty for no restriction."""
    return frozenset(str(each).lower() for each in _several(value) if each not in (None, ""))


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
