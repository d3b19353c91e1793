"""The chunked reader of traces returns what json returns, and names the problem of a bad file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoinstr.device.kineto import trace_file
from autoinstr.device.kineto.trace_file import EVENTS, BadTrace, read_members
from tests.support.examples import scale_examples
from tests.support.kineto import Trace

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 62), 1 << 62)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def small() -> Trace:
    trace = Trace(distributedInfo={"rank": 3, "world_size": 8})
    operator = trace.operator('aten::"}],{', 10_500, 20_001, Input_Dims=[[1, 2], []])
    trace.kernel("ünïcode \\ \u2028", trace.launch(operator, 11_000), 30_000, 1_234)
    return trace


def as_read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {EVENTS: []}
    for key, value in read_members(str(path)):
        if key == EVENTS:
            found[EVENTS].append(value)
        else:
            found[key] = value
    return found


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 1])
def test_it_is_what_json_reads_however_the_file_is_cut_into_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None
) -> None:
    monkeypatch.setattr(trace_file, "CHUNK", chunk)
    told = json.loads(small().text())
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(told, indent=indent, ensure_ascii=False))
    assert as_read(path) == told


@settings(
    max_examples=scale_examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(VALUES, max_size=5),
    st.dictionaries(st.text(max_size=5).filter(EVENTS.__ne__), VALUES, max_size=4),
    st.integers(1, 9),
)
def test_any_object_is_read_as_json_reads_it(
    tmp_path: Path, events: list[Any], rest: dict[str, Any], chunk: int
) -> None:
    path = tmp_path / "any.json"
    path.write_text(json.dumps({**rest, EVENTS: events}))
    before, trace_file.CHUNK = trace_file.CHUNK, chunk
    try:
        assert as_read(path) == {**rest, EVENTS: events}
    finally:
        trace_file.CHUNK = before


def test_a_file_that_is_cut_off_anywhere_is_called_that(tmp_path: Path) -> None:
    text = small().text()
    path = tmp_path / "trace.json"
    for length in range(1, len(text)):
        path.write_text(text[:length])
        with pytest.raises(
            BadTrace,
            match=r"trace\.json: is cut off after \d events: "
            r"it was not written to its end; export it again",
        ):
            as_read(path)


def test_a_compressed_file_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(small().text().encode())
    path = tmp_path / "trace.json.gz"
    for length in range(2, len(packed)):
        path.write_bytes(packed[:length])
        with pytest.raises(BadTrace, match=r"is cut off|compression is damaged"):
            as_read(path)
    path.write_bytes(packed)
    assert as_read(path) == json.loads(small().text())


def test_a_compressed_file_with_a_wrong_byte_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(small().text().encode()))
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "trace.json"  # whatever it is called
    path.write_bytes(packed)
    with pytest.raises(BadTrace, match=r"compression is damaged|is damaged"):
        as_read(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is cut off after 0 events"),
        ("hello", "does not begin with a JSON object"),
        ("[1, 2]", "does not begin with a JSON object"),
        ("\x00\x01\x02", "does not begin with a JSON object"),
        ("{}", "has no traceEvents"),
        ('{"traceEvents": null}', "has no traceEvents"),
        ('{"a" 1' + " " * 99 + "}", "is damaged after 0 events: expected a key and a colon"),
        (
            '{"traceEvents": [{"a": 1}, {b: 2}' + " " * 99 + "]}",
            "is damaged after 1 events: Expecting property name",
        ),
    ],
)
def test_what_is_no_trace_is_refused_with_the_reason(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(BadTrace, match=problem):
        as_read(path)


def test_a_missing_file_and_a_folder_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadTrace, match="cannot be read: No such file"):
        as_read(tmp_path / "none")
    with pytest.raises(BadTrace, match="cannot be read: Is a directory"):
        as_read(tmp_path)


def test_control_characters_and_wrong_utf_8_in_names_are_kinetos_and_are_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "trace.json"
    path.write_bytes(b'{"traceEvents": [{"name": "a\x01\xffb"}]}')
    assert as_read(path) == {EVENTS: [{"name": "a\x01\ufffdb"}]}


def test_damage_is_found_without_reading_the_rest_of_a_long_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_file, "CHUNK", 100)
    monkeypatch.setattr(trace_file, "LONGEST", 1000)
    path = tmp_path / "trace.json"
    path.write_text('{"traceEvents": [{oops' + "x" * 100_000)
    reads: list[int] = []
    more = trace_file._TraceText._read_chunk
    monkeypatch.setattr(
        trace_file._TraceText, "_read_chunk", lambda self: (reads.append(1), more(self))[1]
    )
    with pytest.raises(BadTrace, match="is damaged after 0 events"):
        as_read(path)
    assert len(reads) < 20
