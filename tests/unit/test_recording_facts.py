"""Test that facts in definitions are found by their fields, whatever the order of keys and the
blanks are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Callable

import pytest

from autoinstr.agent import run_recordings
from autoinstr.recording import facts
from autoinstr.recording.reader import RangeName, Recording
from autoinstr.recording.writer import RecordingWriter

if TYPE_CHECKING:
    from pathlib import Path

RUN = "run-1"
NAME = {"root": "Net#1", "path": "layer", "cls": "Linear", "module": 1}
DEFINITIONS = (
    facts.make_meta({"run": RUN, "rank": 3}),
    facts.make_thread(0, 17, "main"),
    facts.make_target("sched.schedule", facts.TARGET_WRAPPED, {}),
    facts.make_target("sched.finish", facts.TARGET_MISSING, {"wanted": "m:f", "nearest": None}),
    facts.make_excluded_class("Dropout", "layer.drop", "Net#1", "excluded by 'class:Dropout'"),
    facts.make_name(1, "range", "Module", "layer:Linear", NAME),
)


def encode_like_the_writer(definition: dict[str, Any]) -> str:
    return json.dumps(definition, ensure_ascii=False, separators=(",", ":"))


def encode_with_kind_last(definition: dict[str, Any]) -> str:
    return json.dumps(dict(reversed(definition.items())), separators=(",", ":"))


def encode_with_blanks(definition: dict[str, Any]) -> str:
    return json.dumps(definition, indent=2)


Encode = Callable[[dict[str, Any]], str]
encodings = pytest.mark.parametrize(
    "encode", [encode_like_the_writer, encode_with_kind_last, encode_with_blanks]
)


def write(folder: Path, encode: Encode, *definitions: dict[str, Any]) -> str:
    file = str(folder / "host-1.airec")
    writer = RecordingWriter(file, {"host": "host"}, max_bytes=1 << 20)
    for definition in definitions:
        writer._append(writer._definitions, encode(definition))
    writer.close()
    return file


@encodings
def test_a_reader_finds_every_fact(tmp_path: Path, encode: Encode) -> None:
    recording = Recording(write(tmp_path, encode, *DEFINITIONS))
    assert recording.header == {"host": "host", "run": RUN, "rank": 3}
    assert recording.threads[0] == (0, 17, "main")
    assert [target["status"] for target in recording.targets] == ["wrapped", "missing"]
    assert [entry["cls"] for entry in recording.excluded_classes] == ["Dropout"]
    assert recording.names == {
        1: RangeName(1, "range", "Module", "layer:Linear", "Net#1", "layer", "Linear")
    }
    assert recording.problems == []


@encodings
def test_a_process_of_the_run_finds_what_another_has_recorded(
    tmp_path: Path, encode: Encode
) -> None:
    write(tmp_path, encode, *DEFINITIONS)
    folder = str(tmp_path)
    assert run_recordings.has_any_range(folder, RUN)
    assert run_recordings.is_target_wrapped(folder, RUN, "sched.schedule")
    assert not run_recordings.is_target_wrapped(folder, RUN, "sched.finish")
    assert not run_recordings.is_target_wrapped(folder, RUN, "sched")
    assert not run_recordings.has_any_range(folder, "run-2")
    assert not run_recordings.is_target_wrapped(folder, "run-2", "sched.schedule")


@encodings
def test_a_recording_without_a_name_has_no_range(tmp_path: Path, encode: Encode) -> None:
    write(tmp_path, encode, *DEFINITIONS[:-1])
    assert not run_recordings.has_any_range(str(tmp_path), RUN)


@encodings
def test_a_text_that_looks_like_a_fact_is_none(tmp_path: Path, encode: Encode) -> None:
    texts = {"note": '{"t":"name","run":"run-1"}', "t2": {"t": "name"}}
    write(tmp_path, encode, facts.make_meta({"run": RUN, **texts}))
    assert not run_recordings.has_any_range(str(tmp_path), RUN)


def test_a_file_that_is_no_recording_has_no_fact(tmp_path: Path) -> None:
    (tmp_path / "host-1.airec").write_bytes(b'{"t":"name"} "run":"run-1"' * 400)
    assert not run_recordings.has_any_range(str(tmp_path), RUN)


def test_names_that_the_writer_makes_are_not_parsed_when_a_recording_is_opened() -> None:
    *other, name = (encode_like_the_writer(definition).encode() for definition in DEFINITIONS)
    assert facts.is_encoded_name(name)
    assert not any(facts.is_encoded_name(definition) for definition in other)
