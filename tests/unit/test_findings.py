"""Findings: outlier layers, slow ranks and the cost of recording; and the figures of folded layers
that they are based on."""

from __future__ import annotations

from typing import Any

import pytest

from autoinstr.analysis.alike import ProcessGroup, group_processes
from autoinstr.analysis.findings import Finding, collect_findings
from autoinstr.analysis.processes import Process, collect_into, estimate_overhead, read_processes
from autoinstr.analysis.serving import ServingCollector
from tests.support.report_fakes import Event, FakeRecording, run_of

MS = 1_000_000


def forward(start: int, slow: dict[int, int], layers: int = 8, scale: float = 1.0) -> list[Event]:
    """Return one pass of a model. A layer takes a millisecond, half of it in `mlp`; `slow` maps
    layers to the additional time of their `mlp`."""
    events, now = [], start + 10
    for layer in range(layers):
        mlp = int(scale * MS / 2) + slow.get(layer, 0)
        end = now + int(scale * MS / 2) + mlp
        events += [
            Event(now, end, f"layers.{layer}", "Layer"),
            Event(now + 20, now + 20 + mlp, f"layers.{layer}.mlp", "MLP"),
        ]
        now = end + 10
    return [Event(start, now, "", "Net"), *events]


def analysed(
    *recordings: FakeRecording, **more: Any
) -> tuple[list[ProcessGroup], list[Process], list[Finding]]:
    run = run_of(*recordings)
    processes: list[Process] = []
    groups = group_processes(
        collect_into(read_processes(run, ServingCollector(run), **more), processes)
    )
    return groups, processes, collect_findings(groups, processes)


def test_a_layer_unlike_the_others_is_named_with_what_takes_the_time() -> None:
    events = [*forward(0, {5: 2 * MS}), *forward(100 * MS, {5: 2 * MS})]
    groups, _, found = analysed(FakeRecording(events))
    assert [one.summary for one in found] == [
        "layers.5 takes 3.0 × the median of layers.[0-7] (+2.000 ms a call, 2 calls); mostly in mlp"
    ]
    assert (found[0].kind, found[0].process, found[0].domain, found[0].path) == (
        "outlier",
        0,
        "Module",
        "layers.[0-7]",
    )
    lines = {line.path: line.node for line in groups[0].lines["Module"]}
    layers, mlp = lines["layers.[0-7]"], lines["layers.[0-7].mlp"]
    assert {n: by[None].total_ns for n, by in layers.members.items()} == {
        n: 2 * MS + (4 * MS if n == 5 else 0) for n in range(8)
    }
    assert {n: by[None].total_ns for n, by in mlp.members.items()} == {
        n: MS + (4 * MS if n == 5 else 0) for n in range(8)
    }


@pytest.mark.parametrize(
    ("slow", "layers"),
    [({}, 8), ({5: MS // 10}, 8), ({n: n * MS // 2 for n in range(8)}, 8), ({1: 5 * MS}, 3)],
    ids=["alike", "a tenth", "all differ", "too few"],
)
def test_what_is_usual_between_layers_is_no_finding(slow: dict[int, int], layers: int) -> None:
    assert analysed(FakeRecording(forward(0, slow, layers)))[2] == []


def test_an_entry_of_a_list_in_a_layer_is_found_under_its_own_number() -> None:
    events = [Event(0, 1000 * MS, "", "Net")]
    now = MS
    for layer in range(2):
        begun = now
        inner = []
        for expert in range(6):
            took = 5 * MS if expert == 4 else MS
            inner.append(Event(now + 1, now + took, f"layers.{layer}.experts.{expert}", "Expert"))
            now += took + 1
        events += [Event(begun, now + 1, f"layers.{layer}", "Layer"), *inner]
        now += MS
    _, _, found = analysed(FakeRecording(events))
    assert [one.summary.partition(" takes")[0] for one in found] == ["layers.[0-1].experts.4"]


def test_a_slow_rank_is_named_against_the_median_of_the_others() -> None:
    ranks = [
        FakeRecording(
            forward(0, {}, scale=1.5 if rank == 2 else 1.0),
            pid=10 + rank,
            roles=["Worker"],
            rank=rank,
            world_size=4,
        )
        for rank in range(4)
    ]
    groups, _, found = analysed(*ranks)
    assert len(groups) == 1
    assert groups[0].busiest.recording.rank == 2
    assert [one.recording.rank for one in groups[0].processes] == [0, 1, 2, 3]
    assert [one.summary for one in found] == [
        "Worker rank 2 of 4, pid 12 takes 1.50 × the median of 4 similar processes in Model "
        "(12.00 ms a call against 8.000 ms)"
    ]
    assert [bool(one.domains) for one in groups[0].processes] == [False, False, True, False]


def test_processes_that_differ_are_not_compared_and_those_without_ranges_are_in_no_group() -> None:
    recordings = (
        FakeRecording(forward(0, {})),
        FakeRecording(forward(0, {}, 4, 3.0), pid=2),
        FakeRecording([], pid=3),
    )
    groups, processes, found = analysed(*recordings)
    assert [len(group.processes) for group in groups] == [1, 1]
    assert len(processes) == 3
    assert found == []


def test_figures_are_apart_by_phase_and_percentiles_are_of_all_layers_of_a_line() -> None:
    events = []
    for at, phase in enumerate(("prefill", "decode", "decode")):
        passed = forward(100 * MS * at + 1, {}, scale=10.0 if phase == "prefill" else 1.0)
        events += [
            Event(passed[0].start - 1, passed[0].end + 1, domain="vllm", fields={"phase": phase}),
            *passed,
        ]  # type: ignore[operator]
    groups, _, _ = analysed(FakeRecording(events), durations=True)
    layers = next(line.node for line in groups[0].lines["Module"] if line.path == "layers.[0-7]")
    assert {phase: one.calls for phase, one in layers.phases.items()} == {
        "prefill": 8,
        "decode": 16,
    }
    layers.summarize_durations()
    assert layers.phases["prefill"].percentiles == (10 * MS,) * 4
    assert layers.phases["decode"].percentiles == (MS,) * 4
    assert layers.percentiles == (MS, MS, 10 * MS, 10 * MS)
    assert (layers.calls, layers.total_ns) == (24, 96 * MS)


def test_many_short_ranges_are_said_to_cost() -> None:
    _, processes, found = analysed(
        FakeRecording(
            [Event(0, 10_000), *(Event(100 * n, 100 * n + 50, "a", "A") for n in range(1, 21))]
        )
    )
    assert estimate_overhead(processes) == pytest.approx(21 * 230 / 10_000)
    assert [one.kind for one in found] == ["overhead"]
    assert "48 %" in found[0].summary


def test_many_layers_that_stand_out_are_one_finding_that_names_the_first_few() -> None:
    slow = {3: 6 * MS, 7: 5 * MS, 11: 4 * MS, 15: 3 * MS, 19: 2 * MS}
    _, _, found = analysed(FakeRecording(forward(0, slow, 24)))
    assert [one.summary for one in found] == [
        "layers.3 takes 7.0 × the median of layers.[0-23] (+6.000 ms a call, 1 call); mostly in "
        "mlp; "
        "also slow: layers.7, layers.11 and 2 more"
    ]
    assert found[0].excess_ns == 20 * MS


def test_a_layer_that_stands_out_in_several_phases_is_one_finding() -> None:
    events = []
    for at, (phase, slow) in enumerate(
        (("prefill", 3 * MS), ("decode", 2 * MS), ("decode", 2 * MS), ("mixed", 0))
    ):
        passed = forward(100 * MS * at + 1, {5: slow})
        events += [
            Event(passed[0].start - 1, passed[0].end + 1, domain="vllm", fields={"phase": phase}),
            *passed,
        ]  # type: ignore[operator]
    _, _, found = analysed(FakeRecording(events))
    assert [one.summary for one in found if one.domain == "Module"] == [
        "layers.5 takes 3.0 × the median of layers.[0-7] in decode (+2.000 ms a call, 2 calls); "
        "mostly in mlp; also in prefill (4.0 ×)"
    ]


def test_a_layer_beside_the_list_that_is_built_otherwise_is_compared_with_it() -> None:
    said = (
        "layers.0 (other structure) takes 5.0 × the median of layers.[1-7] (+4.000 ms a call, "
        "1 call)"
    )
    for extra, expected in ((4 * MS, [said]), (0, [])):
        events = forward(0, {0: extra})
        first = next(event for event in events if event.path == "layers.0.mlp")
        _, _, found = analysed(
            FakeRecording(
                [*events, Event(first.start + 1, first.start + 2, "layers.0.mlp.rotary", "Rotary")]
            )
        )
        assert [one.summary for one in found] == expected


def test_lists_in_layers_of_as_many_entries_are_not_taken_for_the_layers() -> None:
    """Four layers of four experts: the number alone does not say which list an entry is in."""
    events = [Event(0, 1000 * MS, "", "Net")]
    now = MS
    for layer in range(4):
        begun, inner = now, []
        for expert in range(4):
            took = 5 * MS if expert == 2 else MS
            inner.append(Event(now + 1, now + took, f"layers.{layer}.experts.{expert}", "Expert"))
            now += took + 1
        own = 40 * MS if layer == 1 else 0
        events += [Event(begun, now + 1 + own, f"layers.{layer}", "Layer"), *inner]
        now += MS + own
    _, _, found = analysed(FakeRecording(events))
    assert [one.summary.partition(" (+")[0] for one in found] == [
        "layers.1 takes 6.0 × the median of layers.[0-3]",
        "layers.[0-3].experts.2 takes 5.0 × the median of layers.[0-3].experts.[0-3]",
    ]
    assert (
        "mostly in" not in found[0].summary
    )  # it is in the layer itself, whatever its second expert took


def test_more_slow_ranks_are_counted_and_what_is_usual_between_ranks_is_none() -> None:
    def ranks(scales: list[float], passes: int = 1) -> list[FakeRecording]:
        return [
            FakeRecording(
                [
                    event
                    for index in range(passes)
                    for event in forward(index * 100 * MS, {}, scale=scale)
                ],
                pid=10 + rank,
                roles=["Worker"],
                rank=rank,
            )
            for rank, scale in enumerate(scales)
        ]

    _, _, found = analysed(*ranks([1.0, 1.0, 2.0, 1.0, 1.5, 1.0, 1.0]))
    assert [one.summary for one in found] == [
        "Worker rank 2, pid 12 takes 2.00 × the median of 7 similar processes in Model (16.00 ms "
        "a call against 8.000 ms); "
        "also slow: Worker rank 4, pid 14"
    ]
    assert analysed(*ranks([1.0, 1.2, 0.8, 1.1, 0.9, 1.25, 0.75]))[2] == []
    assert analysed(*ranks([1.0, 1.5]))[2] == []  # one call of each: that may be noise
    two = analysed(*ranks([1.0, 1.5], passes=2))[2]
    assert [one.summary for one in two] == [
        "Worker rank 1, pid 11 takes 1.50 × the other in Model (12.00 ms a call against 8.000 ms)"
    ]


def test_a_first_call_that_takes_most_of_the_time_is_named_and_compiled_modules_say_so() -> None:
    def called(cls: str, first_ns: int) -> list[Finding]:
        events = [Event(0, first_ns, "", cls)]
        events += [
            Event(first_ns + call * 10 * MS, first_ns + call * 10 * MS + MS, "", cls)
            for call in range(1, 6)
        ]
        return analysed(FakeRecording(events))[2]

    assert [finding.summary for finding in called("OptimizedModule", 94 * MS)] == [
        "Model is compiled; its first call takes 94.00 ms of 99.00 ms (6 calls, 1.000 ms "
        "each after it)"
    ]
    (finding,) = called("Net", 94 * MS)
    assert finding.kind == "first" and finding.summary.startswith(
        "Model takes longest in its first call: 94.00 ms of 99.00 ms"
    )
    assert called("Net", 5 * MS) == []  # slower, but not most of the time


def test_a_backward_that_is_compiled_in_its_first_call_is_named() -> None:
    events = [
        Event(0, 94 * MS, "", "", domain="torch", root="", message="backward"),
        *(
            Event(start * MS, (start + 1) * MS, "", "", domain="torch", root="", message="backward")
            for start in range(100, 105)
        ),
    ]
    (finding,) = analysed(FakeRecording(events))[2]
    assert finding.summary == (
        "backward takes longest in its first call: 94.00 ms of 99.00 ms (6 calls, 1.000 ms "
        "each after it)"
    )
