"""JSON as a stream: the same records as a whole parse, each bad one alone, nothing from what is cut, and little memory."""

import io
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsats_dagster.clients import json_stream
from lsats_dagster.clients.errors import UnreadableRecordError
from lsats_dagster.clients.json_stream import DEEPEST, JsonArray, NotJsonError, WrongShapeError, document

PATH = ("DepartmentList", "DeptData")


def elements(raw: bytes, *path: str, record_bytes: int = 1 << 24) -> list[Any]:
    array = JsonArray(io.BytesIO(raw), len(raw), path, record_bytes)
    return [element for page in array.pages() for element in page]


@pytest.fixture(params=[1, 7, 1 << 20])
def window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """However the body is cut into windows."""
    size: int = request.param
    monkeypatch.setattr(json_stream, "_WINDOW", size)
    return size


TEXTS = st.text(alphabet='a"\\[]{},: \né\u2028😀')
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
LISTS = st.lists(VALUES, max_size=6)


@given(LISTS, st.booleans(), st.sampled_from([None, 1]), st.sampled_from([1, 3, 50]))
@settings(max_examples=150, deadline=None)
def test_the_elements_are_those_of_a_whole_parse(
    rows: list[object], ascii_only: bool, indent: int | None, window: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_WINDOW", window)
        patch.setattr(json_stream, "PAGE_RECORDS", 2)
        raw = json.dumps(rows, ensure_ascii=ascii_only, indent=indent).encode()
        assert elements(raw) == rows
        assert elements(b"\xef\xbb\xbf " + raw + b"\r\n") == rows
        inner = {"x": [rows], "Dept\\Data": 1, "DeptData": rows, "y": "]}"}
        around = {"a": {"DeptData": [1]}, "DepartmentList": inner, "b": rows}
        assert elements(json.dumps(around, ensure_ascii=ascii_only, indent=indent).encode(), *PATH) == rows


@given(LISTS.filter(bool), st.data())
@settings(max_examples=150, deadline=None)
def test_a_body_that_is_cut_gives_nothing(rows: list[object], data: st.DataObject) -> None:
    for raw, path in ((json.dumps(rows), ()), (json.dumps({"DepartmentList": {"DeptData": rows, "n": 1}}), PATH)):
        cut = data.draw(st.integers(0, len(raw) - 1))
        body = io.BytesIO(raw[:cut].encode())
        with pytest.raises(NotJsonError):
            JsonArray(body, cut, path, 1 << 24)
        assert body.closed


@pytest.mark.parametrize(
    "raw",
    [
        "", " ", "[", "]", "[1,]", "[,1]", "[1,,2]", "[,]", "[1}", "[[1}]", '[{"a": 1]]', '[{"a": [1}, {"b": 2}]',
        '[{"a": 1} {"b": 2}]', '[{"a": 1} "x"]', '[1 {"b": 2}]', '[{"a": 1}x]', "[1] x", "[1] [2]", "[1],", 'x [1]',
        '"a" [1]', '["a]', '["a\\"]', "<html>[1]</html>", "[" * 200_000, "{" * 2_000_000,
    ],
)  # fmt: skip
def test_a_broken_structure_gives_nothing(raw: str, window: int) -> None:
    if window > 1 or len(raw) < 1000:
        with pytest.raises(NotJsonError):
            elements(raw.encode())


@pytest.mark.parametrize("raw", ["null", "{}", '{"a": []}', '"text"', "3"])
def test_another_shape_is_told_from_no_json(raw: str) -> None:
    with pytest.raises(WrongShapeError, match="JSON that is not a list"):
        elements(raw.encode())


@pytest.mark.parametrize(
    ("raw", "rows"),
    [
        ("{}", []),
        ('{"DeptData": null}', []),
        ('{"DeptData": [ ]}', []),
        ('{"DeptData": {"a": [1]}}', [{"a": [1]}]),
        ('{"Dept\\u0044ata": [1]}', [1]),
        ('{"n": "DeptData", "DeptData" : [1]}', [1]),
    ],
)
def test_the_envelope_may_lack_rows_or_hold_a_single_one(raw: str, rows: list[object], window: int) -> None:
    assert elements(b'{"DepartmentList": %b}' % raw.encode(), *PATH) == rows


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("null", "JSON without the envelope DepartmentList"),
        ("[]", "JSON without the envelope DepartmentList"),
        ("{}", "JSON without the envelope DepartmentList"),
        ('{"DepartmentList": null}', "JSON without the envelope DepartmentList"),
        ('{"DepartmentList": [{"DeptData": []}]}', "JSON without the envelope DepartmentList"),
        ('{"DepartmentList": {"DeptData": "x"}}', "JSON in which DeptData is not a list"),
        ('{"DepartmentList": {"DeptData": [1], "DeptData": [2]}}', "JSON in which DeptData comes twice"),
    ],
)
def test_a_missing_envelope_is_said(raw: str, problem: str) -> None:
    with pytest.raises(WrongShapeError) as caught:
        elements(raw.encode(), *PATH)
    assert str(caught.value) == problem


@pytest.mark.parametrize("raw", ['{"a"}', '{1: 2, "DepartmentList": {}}', '{"DepartmentList": {[1]: 2}}', "<html>"])
def test_an_envelope_that_is_no_json_is_said(raw: str) -> None:
    with pytest.raises(NotJsonError):
        elements(raw.encode(), *PATH)


DEEP = "[" * 1999 + "]" * 1999
BAD = [
    ('{"ID": 5, "ID": 6}', "one name comes twice in an object"),
    ('{"a": [{"b": {"c": 1, "\\u0063": 1}}]}', "one name comes twice in an object"),
    ('{"a": "x\ny"}', "invalid JSON at character "),
    ('{"a": "x\x00y"}', "invalid JSON at character "),
    (f'{{"a": {DEEP}}}', f"nested more than {DEEPEST} deep"),
    ('{"a": "\\x"}', "invalid JSON at character "),
    ('{"a": tru}', "invalid JSON at character "),
    ('{"a": 1,}', "invalid JSON at character "),
    ('{"a" 1}', "invalid JSON at character "),
    ("tru", "invalid JSON at character "),
    ("12 34", "invalid JSON at character "),
    ('{"a": "%s"}' % ("x" * 2000), "larger than 0.00190735 MB (HTTP_RECORD_MEGABYTES)"),
]


@pytest.mark.parametrize(("raw", "reason"), BAD)
@pytest.mark.parametrize("page_records", [1, 1000])
def test_a_bad_record_spoils_itself_only(
    raw: str, reason: str, page_records: int, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "PAGE_RECORDS", page_records)
    most = 2000 if "larger" in reason else 1 << 20
    rows = elements(f'[{{"ID": 1}},\n {raw} , {{"ID": 2}}]'.encode(), record_bytes=most)
    assert [rows[0], *rows[2:]] == [{"ID": 1}, {"ID": 2}]
    assert isinstance(rows[1], UnreadableRecordError)
    assert str(rows[1]).startswith(reason)
    assert rows[1].text == raw


def test_the_text_of_a_bad_record_is_its_first_megabyte_and_sound_text() -> None:
    [row] = elements(b'[{"a": 1, "a": "caf\xe9%b"}]' % (b"x" * (3 << 20)))
    assert row.text.startswith('{"a": 1, "a": "caf\\xe9xxx')
    assert len(row.text) == (1 << 20) + 3


@pytest.mark.parametrize("depth", [DEEPEST, DEEPEST + 1])
def test_how_deep_a_record_may_be(depth: int) -> None:
    raw = b"[" * depth + b"]" * depth
    wanted: object = []
    for _ in range(depth - 1):
        wanted = [wanted]
    if depth == DEEPEST:
        assert elements(b"[1, %b]" % raw) == [1, wanted]
        assert document(raw) == wanted
    else:
        assert isinstance(elements(b"[1, %b]" % raw)[1], UnreadableRecordError)
        with pytest.raises(UnreadableRecordError, match="deep"):
            document(raw)


def test_what_is_no_json_number_is_text() -> None:
    raw = b'[{"a": NaN, "b": [Infinity, -Infinity]}, -0.0]'
    assert elements(raw) == [{"a": "NaN", "b": ["Infinity", "-Infinity"]}, 0.0]
    assert document(raw) == elements(raw)


def test_wrong_bytes_spoil_one_value() -> None:
    assert elements(b'[{"a": "caf\xe9"}, 1]') == [{"a": "caf\udce9"}, 1]


def test_pages_are_bounded_in_records_and_bytes() -> None:
    raw = json.dumps([1] * 2500).encode()
    assert [len(page) for page in JsonArray(io.BytesIO(raw), len(raw), (), 1 << 24).pages()] == [1000, 1000, 500]
    raw = json.dumps(["x" * (1 << 20)] * 7 + ["y" * (5 << 20)]).encode()
    assert [len(page) for page in JsonArray(io.BytesIO(raw), len(raw), (), 1 << 24).pages()] == [3, 3, 1, 1]


@pytest.mark.parametrize("raw", [b"", b"[1", b"{} {}", b"<html>", b"{]", b"1 2", b'"a'])
def test_a_document_that_is_broken_cannot_be_read(raw: bytes) -> None:
    with pytest.raises((NotJsonError, UnreadableRecordError)):
        document(raw)


MEMORY = """
import resource, sys, tempfile
from lsats_dagster.clients.json_stream import JsonArray
record = b'{"ID": 1, "Name": "%s", "Attributes": [{"ID": 2, "Value": null, "Text": "x"}]}' % (b"text " * 400)
with tempfile.TemporaryFile() as body:
    body.write(b"[")
    for number in range(int(sys.argv[1])):
        body.write(record + b",")
    body.write(b'{"a": "')
    for number in range(20):
        body.write(b"x" * (1 << 20))
    body.write(b'"}]')
    array = JsonArray(body, body.tell(), (), 16 << 20)
    print(sum(len(page) for page in array.pages()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_large_list_needs_little_memory() -> None:
    """80 MB, one record of 20 MB among them, cost no more than a list of few records does, and a few pages."""
    peaks = []
    for records in (10, 30_000):
        done = subprocess.run([sys.executable, "-c", MEMORY, str(records)], capture_output=True, text=True, check=True)
        count, peak = done.stdout.split()
        assert int(count) == records + 1
        peaks.append(int(peak))
    assert peaks[1] - peaks[0] < 30_000  # KB; a whole parse takes more than the text itself
