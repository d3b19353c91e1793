"""speedscope files: their content, and what speedscope's own importer reads from them."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.analysis.blocks import format_title
from autoinstr.analysis.labels import format_thread_label
from autoinstr.base.errors import RecordingError
from autoinstr.report.timeline import speedscope, spool
from tests.support.examples import scale_examples
from tests.support.report_fakes import Event, FakeRecording, run_of
from tests.support.speedscope import Read, importer, release
from tests.support.timelines import RECORDINGS

PERF = 1_000  # of a FakeRecording: when the run began


def written(*recordings: FakeRecording) -> tuple[bytes, list[str]]:
    out = io.BytesIO()
    remarks = speedscope.write(run_of(*recordings), out)
    return out.getvalue(), remarks


def load(*recordings: FakeRecording) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(written(*recordings)[0])
    return loaded


def expected(recording: FakeRecording) -> Counter[Any]:
    """Return every range: (process, thread, domain), name, start and end since the run began.

    A range without an end ends with the recording.
    """
    last = max(
        (event.start if event.end is None else event.end for event in recording.events), default=0
    )
    return Counter(
        (
            f"MainProcess, pid {recording.pid}, "
            f"{format_thread_label(recording, event.thread)}, {event.domain}",  # type: ignore[arg-type]
            format_title(recording.names[recording.number(event)]),
            event.start - PERF,
            (last if event.end is None else event.end) - PERF,
        )
        for event in recording.events
        if event.kind == "range"
    )


def found(loaded: dict[str, Any]) -> Counter[Any]:
    """Return the same from a file, by the rules of the format.

    Events are in order of time, and a close ends the latest open range.
    """
    frames = [frame["name"] for frame in loaded["shared"]["frames"]]
    assert len(set(frames)) == len(frames)
    calls: Counter[Any] = Counter()
    for profile in loaded["profiles"]:
        assert (profile["type"], profile["unit"]) == ("evented", "nanoseconds")
        running: list[tuple[int, int]] = []
        times = [event["at"] for event in profile["events"]]
        assert (
            times == sorted(times)
            and times[0] == profile["startValue"]
            and times[-1] == profile["endValue"]
        )
        for event in profile["events"]:
            if event["type"] == "O":
                running.append((event["frame"], event["at"]))
                continue
            frame, start = running.pop()
            assert (event["type"], event["frame"]) == ("C", frame)
            calls[
                profile["name"].partition(", overlapping")[0], frames[frame], start, event["at"]
            ] += 1
        assert not running
    return calls


@settings(max_examples=scale_examples(200))
@given(RECORDINGS, RECORDINGS, st.integers(1, 6))
def test_every_range_is_there_with_its_exact_begin_and_end(
    first: list[Event], second: list[Event], block: int
) -> None:
    one, two = FakeRecording(first, block=block, pid=7), FakeRecording(second, block=block, pid=8)
    payload, remarks = written(one, two)
    loaded = json.loads(payload)
    assert found(loaded) == expected(one) + expected(two)
    assert bool(remarks) == any(event.end is None for event in first + second)
    counts = [len(profile["events"]) for profile in loaded["profiles"]]
    assert loaded["activeProfileIndex"] == (counts.index(max(counts)) if counts else 0)


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    with importer(tmp_path_factory.mktemp("speedscope")) as function:
        yield function


def test_the_importer_reads_what_was_recorded(read: Read) -> None:
    @settings(max_examples=scale_examples(150))
    @given(RECORDINGS, st.integers(1, 6))
    def check(events: list[Event], block: int) -> None:
        recording = FakeRecording(events, block=block)
        payload, _ = written(recording)
        if not events:
            return
        shown = read(payload)
        loaded = json.loads(payload)
        assert [(p["name"], p["unit"], p["total"]) for p in shown["profiles"]] == [
            (p["name"], "nanoseconds", p["endValue"] - p["startValue"]) for p in loaded["profiles"]
        ]
        assert shown["view"] == loaded["activeProfileIndex"]
        calls: Counter[Any] = Counter()
        for mine, theirs in zip(loaded["profiles"], shown["profiles"]):
            start = mine["startValue"]
            for name, begin, end, _ in theirs["calls"]:
                calls[
                    mine["name"].partition(", overlapping")[0], name, begin + start, end + start
                ] += 1
            weights: Counter[str] = Counter()
            for name, _, own in theirs["frames"]:
                weights[name] += own
            assert sum(weights.values()) <= theirs["total"]
        # It shows no range without a length.
        assert calls == Counter(
            {key: count for key, count in expected(recording).items() if key[3] > key[2]}
        )

    check()


def test_the_importer_adds_up_what_the_recording_has(read: Read) -> None:
    events = [
        Event(1_000, 9_000, "r"),
        Event(2_000, 4_000, "a"),
        Event(2_500, 3_000, "a.b"),
        Event(5_000, 8_000, "a"),
    ]
    recording = FakeRecording(
        [*events, Event(1_500, 2_500, "", thread=2), Event(2_000, 2_600, "a", domain="vllm")]
    )
    shown = read(written(recording)[0])
    names = [profile["name"] for profile in shown["profiles"]]
    assert names == [
        "MainProcess, pid 77, T1, Module",
        "MainProcess, pid 77, T1, vllm",
        "MainProcess, pid 77, T2, Module",
    ]
    assert [profile["total"] for profile in shown["profiles"]] == [8_000, 600, 1_000]
    assert shown["profiles"][0]["frames"] == [
        ["r:Model", 8_000, 3_000],
        ["a:Model", 5_000, 4_500],
        ["a.b:Model", 500, 500],
    ]
    assert shown["view"] == 0


def test_a_file_follows_the_published_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((release() / "file-format-schema.json").read_text())
    loaded = load(
        FakeRecording(
            [
                Event(1, 9),
                Event(2, 12),
                Event(3, 3),
                Event(4, None, 'a"\n'),
                Event(5, 5, kind="mark", message="m"),
            ]
        )
    )
    jsonschema.validate(loaded, schema)
    assert (
        len(loaded["profiles"]) == 3
    )  # two ranges overlap, and one without an end cannot lie in them
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            {**loaded, "profiles": [{**loaded["profiles"][0], "unit": "ns"}]}, schema
        )


def test_names_are_listed_once_for_all_processes() -> None:
    loaded = load(
        *(FakeRecording([Event(1, 9, path) for path in "abc"], pid=pid) for pid in (1, 2))
    )
    assert [frame["name"] for frame in loaded["shared"]["frames"]] == [
        "a:Model",
        "b:Model",
        "c:Model",
    ]
    assert len(loaded["profiles"]) == 2


def test_an_empty_run_is_still_a_whole_file() -> None:
    for loaded in (load(), load(FakeRecording([Event(5, 5, kind="mark", message="m")]))):
        assert (loaded["profiles"], loaded["shared"]) == ([], {"frames": []})


def test_ranges_without_an_end_are_counted() -> None:
    _, remarks = written(
        FakeRecording([Event(1, None, "a"), Event(2, 8, "b"), Event(3, None, "c")])
    )
    assert remarks == ["2 ranges have no end: shown up to the last time that the process recorded"]


def test_what_breaks_off_is_whole_up_to_there() -> None:
    events = [Event(10 * at, 10 * at + 5, f"n{at}") for at in range(1, 10)]
    recording = FakeRecording(events, block=3, break_after=(2, RecordingError("unreadable")))
    assert len(found(load(recording))) == 6
    assert recording.problems == ["unreadable"]


def test_long_profiles_that_come_mixed_are_kept_apart_on_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spool, "BUFFER_BYTES", 200)
    stored: list[int] = []
    append = spool.SpoolFile.append
    monkeypatch.setattr(
        spool.SpoolFile,
        "append",
        lambda self, chunk: stored.append(len(chunk)) or append(self, chunk),
    )
    events = [
        Event(10 * at + lane, 10 * at + lane + 35, f"n{at % 7}", domain=domain)
        for at in range(1, 200)
        for lane, domain in enumerate(("Module", "vllm"))
    ]
    recording = FakeRecording(events, block=11)
    assert found(load(recording)) == expected(recording)
    assert len(stored) > 50 and min(stored) >= 200
