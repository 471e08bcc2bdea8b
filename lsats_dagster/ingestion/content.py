"""From a record to (key, hash, body): JSON-safe conversion, the declared projection, and the canonical hash.

Rules: sources.md 4.7 (JSON-safe conversion) and B2, B5 of its section 2.3.
"""

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from lsats_dagster.ingestion.stream import HashRule, ListStream, SkippedRecordError, Stream, UnkeyedRecordError

# Long keys do not fit a btree entry; no source has one.
KEY_LENGTH = 255
SERIALIZATION = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME
# Every byte of every record is looked at. A pattern that begins with one byte is found faster than two, and than by `in`.
maybe_whole_number = re.compile(rb"\.(?=0)").search


class RejectedRecordError(Exception):
    """A record that goes to quarantine. `stage` is read, key, convert or duplicate; `reason` holds no row contents."""

    def __init__(self, stage: str, reason: str, external_id: str | None = None) -> None:
        super().__init__(reason)
        self.stage = stage
        self.reason = reason
        self.external_id = external_id


class Prepared(NamedTuple):
    """A record as the engine handles it: key, SHA-256 of its content, JSON text of its payload, source's version mark."""

    external_id: str
    entity_hash: bytes
    body: bytes
    source_version: str | None


def prepare(stream: Stream[Any], record: object) -> Prepared:
    """Key, hash and serialize one record as received.

    RejectedRecordError says why it cannot be done, SkippedRecordError why it is none. A client puts an exception in place of
    a record that it could not read.
    """
    if isinstance(record, Exception):
        raise RejectedRecordError("read", str(record))
    # Asking an abstract class first takes longer than making the key.
    if not isinstance(record, dict) and not isinstance(record, Mapping):
        raise RejectedRecordError("read", f"not an object but {type(record).__name__}")
    external_id = checked_key(stream, record)
    try:
        payload, body = serialize(stream, record)
        entity_hash = content_hash(payload, body, stream.hash_rule)
    except (TypeError, ValueError, RecursionError):
        # The message may quote the value.
        raise RejectedRecordError("convert", "cannot be written as JSON", external_id) from None
    field = version_field(stream)
    mark = payload.get(field) if field else None
    return Prepared(external_id, entity_hash, body, None if mark is None else str(mark))


def version_field(stream: Stream[Any]) -> str | None:
    """The source's own mark of modification, of lists whose records have one."""
    return stream.version_field if isinstance(stream, ListStream) else None


def checked_key(stream: Stream[Any], record: Mapping[str, Any]) -> str:
    """The external id of `record`, fit to be stored; RejectedRecordError otherwise."""
    try:
        external_id = stream.key(record)
    except UnkeyedRecordError as error:
        raise RejectedRecordError("key", str(error)) from None
    except SkippedRecordError:
        raise
    except Exception as error:
        # A value that the declaration did not foresee; one record never fails a run.
        raise RejectedRecordError("key", f"the key could not be made ({type(error).__name__})") from None
    if not external_id or len(external_id) > KEY_LENGTH or "\x00" in external_id or not is_unicode(external_id):
        raise RejectedRecordError("key", "key is empty, too long or not text")
    return external_id


def is_unicode(value: str) -> bool:
    """Whether `value` holds no lone surrogates, which JSON can carry and UTF-8 cannot."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def serialize(stream: Stream[Any], record: Mapping[str, Any]) -> tuple[Mapping[str, Any], bytes]:
    """The payload that is stored, and its canonical JSON text: sorted keys, no NUL characters."""
    payload = record if stream.kept is None and not stream.left_out else project(record, stream.left_out, stream.kept)
    try:
        # Integers beyond 2^53 become text: a JSON number would lose digits in other readers.
        body = orjson.dumps(payload, option=SERIALIZATION | orjson.OPT_STRICT_INTEGER)
        # One byte is found several times as fast as six, and most records have none.
        if b"\\" in body and b"\\u0000" in body:
            raise TypeError("NUL character")
    except TypeError:
        payload = json_safe(payload)
        body = orjson.dumps(payload, option=SERIALIZATION)
    # What the library returns keeps the ten times larger buffer it was written in; a batch holds thousands of them.
    return payload, bytes(memoryview(body))


def content_hash(payload: Mapping[str, Any], body: bytes, rule: HashRule) -> bytes:
    """SHA-256 of the canonical JSON of what `rule` calls the content of `payload`: sets in sorted order, 8.0 as 8."""
    decimals = maybe_whole_number(body)
    if decimals or rule.volatile or rule.sets or rule.texts or rule.known is not None:
        content = {
            name: value
            for name, value in payload.items()
            if name not in rule.volatile and (rule.known is None or name in rule.known)
        }
        if decimals:
            content = {name: _number(value) for name, value in content.items()}
        for name in rule.sets & content.keys():
            if isinstance(content[name], list):
                content[name] = sorted(content[name], key=lambda item: orjson.dumps(item, option=SERIALIZATION))
        for name in rule.texts & content.keys():
            if isinstance(content[name], int | float) and not isinstance(content[name], bool):
                content[name] = str(content[name])
        body = orjson.dumps(content, option=SERIALIZATION)
    return sha256(body).digest()


def _number(value: Any) -> Any:
    """`value` with whole numbers in one form: sources write 8 and 8.0 at will."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= 2**53 else value
    if isinstance(value, list | tuple):
        return [_number(item) for item in value]
    if isinstance(value, dict):
        return {name: _number(item) for name, item in value.items()}
    return value


def project(
    record: Mapping[str, Any], left_out: tuple[str, ...], kept: tuple[str, ...] | None = None
) -> Mapping[str, Any]:
    """`record` without the paths of `left_out`; a path names keys joined by dots, `[]` behind a key enters its list.

    kept: of the top level only these fields.
    """
    if kept is not None:
        record = {name: record[name] for name in kept if name in record}
    for path in left_out:
        record = _without(record, path.split("."))
    return record


def _without(value: Any, steps: list[str]) -> Any:
    if isinstance(value, list):
        return [_without(item, steps) for item in value]
    if not isinstance(value, Mapping):
        return value
    step = steps[0].removesuffix("[]")
    if step not in value:
        return value
    if len(steps) == 1:
        return {name: item for name, item in value.items() if name != step}
    return {**value, step: _without(value[step], steps[1:])}


def json_safe(value: Any) -> Any:
    """`value` as JSON can hold it (sources.md 4.7); TypeError for what has no rule."""
    match value:
        case None | bool():
            return value
        case str():
            return value.replace("\x00", "")
        case int():
            return value if abs(value) <= 2**53 else str(value)
        case float():
            return value
        case Decimal():
            return str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case datetime():
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case UUID():
            return str(value)
        case Mapping():
            safe = {str(name).replace("\x00", ""): json_safe(item) for name, item in value.items()}
            if len(safe) != len(value):
                raise ValueError("two names become one")
            return safe
        case list() | tuple() | set() | frozenset():
            return [json_safe(item) for item in value]
    raise TypeError(type(value).__name__)


def quarantine_text(record: object) -> str:
    """A record that may not be storable as JSON, as ASCII text that can be read back: NUL and surrogates are escapes.

    What could not be read at all is kept as the text that came, as far as the client kept it.
    """
    if isinstance(record, Exception):
        record = getattr(record, "text", None)
    try:
        try:
            return json.dumps(record, default=str, ensure_ascii=True, sort_keys=True)
        except TypeError:
            return json.dumps(_with_text_names(record), default=str, ensure_ascii=True, sort_keys=True)
    except RecursionError:
        return json.dumps("nested too deep to be kept")


def _with_text_names(value: Any) -> Any:
    """`value` with names that can be sorted: JSON knows no others, readers of other formats may bring them."""
    if isinstance(value, Mapping):
        return {str(name): _with_text_names(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_text_names(item) for item in value]
    return value
