"""The data of a page: trees, comparisons, steps and excerpts equal slow computations.

No text can end its HTML element.
"""

from __future__ import annotations

import io
import json
import re
from array import array
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autoinstr.analysis import percentiles
from autoinstr.recording.run import open_run
from autoinstr.report.page import (
    assemble,
    excerpt_window,
    page_steps,
    step_excerpts,
    step_selection,
)
from autoinstr.report.page.page_steps import PageSteps, choose_shown_steps, read_process_steps
from autoinstr.report.page.report import SCRIPTS, build_payload
from tests.support.annotated import work_of, write
from tests.support.report_fakes import Event, FakeRecording, run_of


@st.composite
def nested(draw: st.DrawFn, thread: int = 1) -> list[Event]:
    """Draw nested ranges of a few modules, in order of start; some have a phase."""
    times = sorted(draw(st.sets(st.integers(1, 400), min_size=2, max_size=24)))
    events: list[Event] = []
    open_until = [10_000]
    for at, start in enumerate(times[:-1]):
        while open_until and open_until[-1] <= start:
            open_until.pop()
        end = draw(st.integers(start, min([*open_until, times[-1]])))
        open_until.append(max(end, start))
        path = draw(st.sampled_from(["", "a", "a.0", "a.1", "b"]))
        fields = (
            {"phase": draw(st.sampled_from(["x", "y"]))}
            if at % 3 == 0 and draw(st.booleans())
            else None
        )
        events.append(
            Event(
                start,
                max(end, start + 1) if len(open_until) == 1 else end,
                path,
                "M",
                thread,
                fields=fields,
            )
        )
    return events


class TestAssembling:
    @given(
        st.recursive(
            st.none() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_what_is_embedded_is_the_same_value_and_no_markup(self, value: Any) -> None:
        text = assemble.encode_json(value)
        assert json.loads(text) == value
        assert text.isascii() and not set("<>&") & set(text)

    def test_the_policy_names_the_page_s_own_style_and_script_and_nothing_else(self) -> None:
        out = io.StringIO()
        assemble.write(out, "a <b> & $c", SCRIPTS, {"name": "</script>", "rest": [1, None]})
        page = out.getvalue()
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
        assert policy is not None
        style, script = (
            re.search(pattern, page, re.S)
            for pattern in ("<style>(.*?)</style>", "</script>\n<script>(.*?)</script>")
        )
        assert style is not None and script is not None
        hashes = [
            b64encode(sha256(one.group(1).encode()).digest()).decode() for one in (style, script)
        ]
        assert policy.group(1).split("; ")[:3] == [
            "default-src 'none'",
            f"style-src 'sha256-{hashes[0]}'",
            f"script-src 'sha256-{hashes[1]}'",
        ]
        assert "<title>a &lt;b&gt; &amp; $c</title>" in page
        data = re.search(r'id="data">(.*?)</script>', page, re.S)
        assert data is not None and json.loads(data.group(1)) == {
            "name": "</script>",
            "rest": [1, None],
        }

    def test_the_scripts_never_parse_text_as_markup_and_set_no_style_attribute(self) -> None:
        for name in SCRIPTS:
            source = assemble.read_asset(name)
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|"
                r"style: *[\"'`]",
                source,
            ), name

    def test_numbers_that_json_lacks_are_refused(self) -> None:
        with pytest.raises(ValueError):
            assemble.encode_json([float("inf")])


class TestTrees:
    @given(nested())
    def test_figures_of_every_row_and_phase(self, events: list[Event]) -> None:
        data = build_payload(run_of(FakeRecording(events)))
        (group,) = data["groups"]
        (tree,) = group["domains"]
        durations: dict[str, list[int]] = {}
        for event in events:
            place = re.sub(
                r"a\.\d",
                "a.[0-1]" if {"a.0", "a.1"} <= {one.path for one in events} else event.path,
                event.path,
            )
            durations.setdefault(place or "Model", []).append((event.end or 0) - event.start)
        together = tree["figures"][0]
        assert together["all"]
        assert {tree["paths"][row] for row in together["rows"]} == set(durations)
        for at, row in enumerate(together["rows"]):
            mine = sorted(durations[tree["paths"][row]])
            assert (together["calls"][at], together["total"][at]) == (len(mine), sum(mine))
            expected = (
                mine[0],
                percentiles.find_nearest_rank(mine, 50),
                percentiles.find_nearest_rank(mine, 99),
                mine[-1],
            )
            assert tuple(together[key][at] for key in ("min", "p50", "p99", "max")) == expected
        for key in ("calls", "total", "self"):
            by_phase = [sum(one[key]) for one in tree["figures"][1:]]
            assert not by_phase or sum(by_phase) == sum(together[key])
        covered = {time for event in events for time in range(event.start, event.end or 0)}
        assert together["busy"] == len(covered)

    def test_layers_have_the_mean_of_each_entry(self) -> None:
        events = [Event(0, 1_000)]
        for layer, lasted in enumerate((10, 20, 40)):
            events += [Event(100 * layer + 1, 100 * layer + 1 + lasted, f"layers.{layer}", "Layer")]
        events += [Event(501, 531, "layers.0", "Layer")]
        (tree,) = build_payload(run_of(FakeRecording(events)))["groups"][0]["domains"]
        ((row, which),) = tree["numbers"]
        assert tree["paths"][row] == "layers.[0-2]" and tree["lists"][which] == [0, 1, 2]
        assert tree["figures"][0]["layers"] == [[20, 20, 40]]

    def test_a_tree_that_is_too_large_keeps_its_heaviest_rows(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("autoinstr.report.page.trees.MAX_ROWS", 4)
        events = [Event(0, 10_000)]
        events += [
            Event(100 * at + 1, 100 * at + 2 + at, f"part{at}", f"P{at}") for at in range(20)
        ]
        (tree,) = build_payload(run_of(FakeRecording(events)))["groups"][0]["domains"]
        assert tree["left_out"] == 17
        assert tree["paths"] == ["Model", "part17", "part18", "part19"] and tree["parents"] == [
            -1,
            0,
            0,
            0,
        ]


class TestPercentiles:
    @given(
        st.lists(st.integers(0, 60) | st.integers(0, 1 << 63), min_size=1, max_size=60),
        st.integers(1, 9),
    )
    def test_of_values_sorted_in_parts_they_are_those_of_all(
        self, values: list[int], part: int
    ) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(percentiles, "SORTED_LENGTH", part)
            found = percentiles.compute_percentiles(array("Q", values))
        ordered = sorted(values)
        ranks = [percentiles.find_nearest_rank(ordered, percent) for percent in (50, 99)]
        assert found == (ordered[0], *ranks, ordered[-1])


class TestComparison:
    @given(st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=3), min_size=2, max_size=6))
    def test_it_equals_the_means(self, ranks: list[list[int]]) -> None:
        recordings = []
        for rank, lasted in enumerate(ranks):
            events = [Event(100 * at, 100 * at + one) for at, one in enumerate(lasted)]
            recordings.append(FakeRecording(events, pid=10 + rank, rank=rank))
        data = build_payload(run_of(*recordings))
        tree = next(
            tree for group in data["groups"] for tree in group["domains"] if "ranks" in tree
        )
        (found,) = tree["ranks"]["figures"]
        means = [round(sum(one) / len(one)) for one in ranks]
        assert found["means"] == [means] and tree["ranks"]["members"] == list(range(len(ranks)))
        assert (found["min"][0], found["median"][0], found["max"][0]) == (
            min(means),
            round(median(means)),
            max(means),
        )
        assert (means[found["worst"][0]], means[found["least"][0]]) == (max(means), min(means))

    def test_a_rank_that_does_more_than_the_others_is_still_compared(self) -> None:
        first = [Event(0, 100), Event(200, 300, domain="torch", cls="", message="save")]
        data = build_payload(
            run_of(
                FakeRecording(first, pid=1, rank=0), FakeRecording([Event(0, 50)], pid=2, rank=1)
            )
        )
        assert len(data["groups"]) == 2
        compared = [
            tree["ranks"]
            for group in data["groups"]
            for tree in group["domains"]
            if "ranks" in tree
        ]
        assert [one["members"] for one in compared] == [[0, 1]] and compared[0]["figures"][0][
            "means"
        ] == [[100, 50]]

    def test_single_means_are_left_out_where_there_are_too_many(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("autoinstr.report.page.tree_groups.MAX_MEANS", 7)
        ranks = [
            FakeRecording([Event(0, 100 + rank), Event(1, 9, "a")], pid=10 + rank, rank=rank)
            for rank in range(5)
        ]
        (found,) = build_payload(run_of(*ranks))["groups"][0]["domains"][0]["ranks"]["figures"]
        assert found["means"] == [[100, 101, 102, 103, 104], None] and found["max"] == [104, 8]

    def test_functions_stand_below_the_function_around_them(self) -> None:
        calls = [
            ("loader.load_model", 30, 70),
            ("runner.load_model", 20, 80),
            ("worker.load_model", 10, 90),
            ("kv.free", 91, 95),
            ("step", 100, 200),
            ("kv.free", 110, 150),
            ("step", 120, 130),  # inside itself: it stands below nothing
        ]
        events = [
            Event(start, end, cls="", root="", domain="vllm", message=message, thread=2)
            for message, start, end in calls
        ]
        (group,) = build_payload(run_of(FakeRecording(events)))["groups"]
        (tree,) = group["domains"]
        rows = tree["labels"]
        parents = [rows[parent] if parent >= 0 else "" for parent in tree["parents"]]
        assert dict(zip(rows, parents)) == {
            "worker.load_model": "",
            "runner.load_model": "worker.load_model",
            "loader.load_model": "runner.load_model",
            "kv.free": "step",
            "step": "",
        }


class TestSteps:
    @given(nested(), nested(2))
    def test_outermost_calls_are_those_that_lie_in_no_other(
        self, first: list[Event], second: list[Event]
    ) -> None:
        found = read_process_steps(FakeRecording([*first, *second]))  # type: ignore[arg-type]
        outermost = []
        for mine in (first, second):
            outermost.append(
                [one for one in mine if not any(_around(other, one) for other in mine)]
            )
        times = [sum((one.end or 0) - one.start for one in mine) for mine in outermost]
        expected = outermost[times.index(max(times))]
        assert [*found.starts] == [one.start for one in expected]
        assert [*found.durations] == [(one.end or 0) - one.start for one in expected]

    def test_steps_of_an_optimizer_go_from_mark_to_mark(self) -> None:
        events = [Event(10, 50), Event(60, 90), Event(100, 140)]
        events += [
            Event(at, at, domain="torch", cls="", kind="mark", message="step")
            for at in (55, 95, 150)
        ]
        found = read_process_steps(FakeRecording(events))  # type: ignore[arg-type]
        assert (found.source, [*found.starts], [*found.durations]) == (
            "optimizer",
            [10, 55, 95],
            [45, 40, 55],
        )

    def test_a_step_whose_end_was_not_seen_lasts_as_long_as_its_parts(self, tmp_path: Path) -> None:
        write(str(tmp_path), work_of(100, "r@0", "prefill"), header={"roles": ["Worker"]})
        data = build_payload(open_run(str(tmp_path)))
        assert (data["steps"]["kinds"], data["steps"]["duration"], data["steps"]["partly"]) == (
            ["prefill"],
            [45],
            [0],
        )
        assert (data["cards"][0]["p50"], data["cards"][0]["partly"]) == (45, True) and len(
            data["excerpts"]["items"][0]["lanes"]
        ) == 1

    def test_what_ran_in_a_call_that_never_ended_is_no_outermost_call(self) -> None:
        events = [
            Event(10, 50),
            Event(60, None),
            Event(70, 90, "a"),
            Event(91, 95, "b"),
            Event(92, None, "b.c"),
        ]
        events += [Event(1, 7, "x", thread=2)]
        found = read_process_steps(FakeRecording(events))  # type: ignore[arg-type]
        assert ([*found.starts], [*found.durations], found.never_ended) == (
            [10, 60],
            [40, 35],
            True,
        )
        assert step_selection.select_steps(found, range(2), 10)[0] == step_selection.SelectedStep(
            1, "never ended"
        )

    def test_of_very_many_steps_the_slowest_of_each_few_are_shown(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(page_steps, "MAX_STEPS", 3)
        lengths = [5, 9, 1, 4, 4, 8, 2]
        assert choose_shown_steps(PageSteps("call", ["M"], [0] * 7, range(7), lengths)) == [1, 5, 6]

    def test_the_steps_worth_a_look_come_first(self) -> None:
        several = PageSteps(
            "engine", ["prefill", "decode", "idle"], [0, 1, 1, 1, 2], range(5), [90, 20, 60, 30, 99]
        )
        found = step_selection.select_steps(several, range(5), 10)
        assert [(one.number, one.reason) for one in found] == [
            (0, "the only prefill"),
            (2, "slowest decode"),
            (3, "median decode"),
            (1, "first decode"),
            (4, ""),
        ]

    def test_a_step_of_unknown_length_is_not_cut_out(self) -> None:
        unknown = PageSteps("engine", ["decode"], [0, 0], range(2), [-1, 5])
        assert step_selection.select_steps(unknown, range(2), 10) == [
            step_selection.SelectedStep(1, "the only decode")
        ]


class TestExcerpts:
    @given(
        nested(),
        st.lists(st.tuples(st.integers(0, 300), st.integers(0, 200)), min_size=1, max_size=4),
        st.integers(1, 7),
    )
    @example([Event(1, 1, cls="M")], [(1, 1)], 1)
    def test_every_range_that_overlaps_a_step_is_in_it(
        self, events: list[Event], steps: list[tuple[int, int]], block: int
    ) -> None:
        events = [*events, Event(150, None, "b", "M", 2)]
        recording = FakeRecording(events, block=block)
        several = PageSteps(
            "call",
            ["M"],
            [0] * len(steps),
            [start for start, _ in steps],
            [length for _, length in steps],
        )
        choices = [step_selection.SelectedStep(at, "") for at in range(len(steps))]
        found = step_excerpts.read_excerpts(run_of(recording), [0], [0], choices, several)
        for (start, length), item in zip(steps, found["items"]):
            expected = []
            for event in events:
                end = float("inf") if event.end is None else event.end
                if event.start < start + length and (end > start or event.start >= start):
                    lasted = -1 if event.end is None else event.end - event.start
                    expected.append(
                        (event.thread, event.start - start, lasted, event.path or "Model")
                    )
            got = []
            for lane in item["lanes"]:
                for begun, lasted, number in zip(lane["start"], lane["duration"], lane["name"]):
                    title = found["names"][number][0]
                    got.append(
                        (
                            int(lane["thread"][1:]),
                            begun,
                            lasted,
                            "Model" if title == ":M" else title,
                        )
                    )
            assert sorted(got) == sorted(expected) and item["left_out"] == 0

    def test_requests_are_one_row_and_take_no_place_of_other_ranges(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(excerpt_window, "MAX_RANGES", 2)
        front = [
            Event(-50, 900 + request, cls="", domain="vllm", message="api.completion")
            for request in range(7)
        ]
        front += [
            Event(start, start + 10, cls="", domain="vllm", message="client.get_output_async")
            for start in range(0, 100, 11)
        ]
        recordings = [
            FakeRecording([*front, Event(3, 5, cls="", domain="vllm", message="input.process")]),
            FakeRecording([Event(1, 4, cls="", message="engine.step")], roles=["EngineCore"]),
            FakeRecording([Event(2, 9, "a")], roles=["Worker"]),
        ]
        several = PageSteps("engine", ["decode"], [0], [0], [100])
        found = step_excerpts.read_excerpts(
            run_of(*recordings), [0, 1, 2], [0] * 3, [step_selection.SelectedStep(0, "")], several
        )
        (item,) = found["items"]
        names = [title for title, _, _ in found["names"]]
        assert [lane["process"] for lane in item["lanes"]] == [2, 1, 0]  # the Worker is first
        assert item["left_out"] == 1  # of three ranges; the seventeen others do not count
        row = item["lanes"][2]["requests"]
        assert row["count"] == 7 and (row["start"], row["duration"]) == ([-50], [956])
        assert [names[name] for name in row["name"]] == [
            "api.completion",
            "client.get_output_async",
        ]
        assert row["calls"] == [7, 10]
        assert row["total"] == [sum(950 + request for request in range(7)), 100]

    def test_of_a_step_with_too_many_ranges_the_longest_are_kept(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(excerpt_window, "MAX_RANGES", 5)
        events = [
            Event(0, 10_000),
            *(Event(100 * at + 1, 100 * at + 2 + at % 7, "a") for at in range(60)),
        ]
        several = PageSteps("call", ["M"], [0], [0], [10_000])
        found = step_excerpts.read_excerpts(
            run_of(FakeRecording(events)), [0], [0], [step_selection.SelectedStep(0, "")], several
        )
        (item,) = found["items"]
        assert item["left_out"] == 56
        assert sorted(item["lanes"][0]["duration"]) == [7, 7, 7, 7, 10_000]


def _around(other: Event, one: Event) -> bool:
    return (
        other is not one
        and other.start <= one.start
        and (one.end or 0) <= (other.end or 0)
        and one.start < (other.end or 0)
    )
