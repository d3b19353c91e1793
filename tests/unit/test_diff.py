"""Test the comparison of two runs: the matching, the figures and the remarks.

The recordings are in memory.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.analysis.attributes import collect_attributes
from autoinstr.analysis.percentiles import find_nearest_rank
from autoinstr.analysis.stats import collect_stats
from autoinstr.diff import table
from autoinstr.diff.bins import count_bins, estimate_percentile, merge_bins
from autoinstr.diff.comparison import Comparison, compare_runs
from autoinstr.diff.data import build_contents
from autoinstr.diff.diff_line import DiffLine
from autoinstr.diff.gate import judge
from autoinstr.diff.tally import tally_steps
from autoinstr.report.options import TableOptions
from tests.support.examples import scale_examples
from tests.support.report_fakes import Event, FakeRecording, run_of
from tests.unit.test_stats import EVENTS

STEP_NS = 10_000_000


def model(
    steps: int,
    *,
    layers: int = 4,
    slow: dict[int, float] | None = None,
    seed: int = 1,
    prefix: str = "",
    noise: float = 0.02,
    phase: str | None = None,
    **fields: Any,
) -> FakeRecording:
    """Return a model with some layers that is called in each of `steps` steps.

    `slow` maps layers to the factor of their time. Class names begin with `prefix`.
    """
    rng = random.Random(seed)
    events: list[Event] = []
    root = f"{prefix}Model#1"
    for step in range(steps):
        at = begun = (step + 1) * STEP_NS
        inner: list[Event] = []
        for layer in range(layers):
            lasts = int(100_000 * (slow or {}).get(layer, 1.0) * rng.lognormvariate(0, noise))
            inner.append(
                Event(at, at + lasts, f"model.layers.{layer}", f"{prefix}Layer", root=root)
            )
            inner.append(
                Event(
                    at + 10, at + lasts // 2, f"model.layers.{layer}.mlp", f"{prefix}MLP", root=root
                )
            )
            at += lasts + 1_000
        events += [
            Event(
                begun,
                at,
                "",
                f"{prefix}Model",
                root=root,
                fields={"phase": phase} if phase else None,
            ),
            *inner,
        ]
    return FakeRecording(events, **fields)


def optimizer_mark(at: int, step: int) -> Event:
    """Return the mark that the agent sets after each step of an optimizer."""
    return Event(
        at,
        at,
        domain="torch",
        kind="mark",
        message="step",
        path="",
        cls="",
        root="",
        fields={"step": step},
    )


def compared(a: Sequence[FakeRecording], b: Sequence[FakeRecording], **how: Any) -> Comparison:
    return compare_runs(run_of(*a), run_of(*b), **how)


def line(found: Comparison, path: str, **fields: Any) -> DiffLine:
    mine = [
        one
        for one in found.lines
        if one.path == path and all(getattr(one, name) == value for name, value in fields.items())
    ]
    assert len(mine) == 1, [one.path for one in found.lines]
    return mine[0]


# -- what is matched -------------------------------------------------------------------------------


def test_layers_stand_against_each_other_though_one_model_has_more() -> None:
    found = compared([model(40)], [model(40, layers=6, seed=2)])
    assert [one.path for one in found.lines] == [
        "Model",
        "model.layers.[0-3|0-5]",
        "model.layers.[0-3|0-5].mlp",
    ]
    layers = line(found, "model.layers.[0-3|0-5]")
    assert layers.paths == ("model.layers.[0-3]", "model.layers.[0-5]")
    assert layers.a and layers.b and layers.estimate
    assert (layers.a.calls, layers.b.calls) == (160, 240)
    assert layers.change == "slower"
    assert layers.estimate.ratio == pytest.approx(
        1.5, rel=0.03
    )  # of a step; a call takes what it took
    assert layers.call_ratio == pytest.approx(1.0, rel=0.02)


def test_classes_of_another_platform_are_the_same_modules_and_both_are_said() -> None:
    found = compared([model(20)], [model(20, prefix="Ascend", seed=2)])
    assert not [one for one in found.lines if one.only_in]
    assert line(found, "Model | AscendModel").classes == ("Model", "AscendModel")
    assert line(found, "model.layers.[0-3]").classes == ("Layer", "AscendLayer")
    assert any("Layer → AscendLayer" in remark for remark in table.list_remarks(found))


def test_a_compiled_model_is_compared_with_the_eager_one() -> None:
    """The wrapper of torch.compile has the place of the model, which it calls."""
    other = model(20, seed=2)
    wrappers = [
        event._replace(start=event.start - 100, end=event.end + 100, cls="OptimizedModule")
        for event in other.events
        if event.cls == "Model" and event.end is not None
    ]
    compiled = FakeRecording([*wrappers, *other.events])
    found = compared([model(20)], [compiled])
    assert not [entry for entry in found.lines if entry.only_in]
    root = line(found, "Model")
    assert root.a and root.b and root.a.steps == root.b.steps == 20
    assert (root.a.calls, root.b.calls) == (20, 20)
    assert root.b.step_ns == pytest.approx(root.a.step_ns, rel=0.1)


def test_roots_of_one_class_are_matched_whatever_their_number() -> None:
    other = model(20, seed=2)
    moved = FakeRecording([event._replace(root="Model#7") for event in other.events])
    found = compared([model(20)], [moved])
    assert [one.path for one in found.lines] == [
        "Model",
        "model.layers.[0-3]",
        "model.layers.[0-3].mlp",
    ]


def test_a_renamed_module_stands_alone_on_both_sides_and_the_other_is_offered() -> None:
    def renamed(name: str) -> FakeRecording:
        events = [Event(step * 100, step * 100 + 50, "", "Model") for step in range(1, 9)]
        events += [
            Event(step * 100 + 1, step * 100 + 40, name, "Attention") for step in range(1, 9)
        ]
        return FakeRecording(
            [
                *events,
                *(Event(step * 100 + 41, step * 100 + 45, "norm", "Norm") for step in range(1, 9)),
            ]
        )

    found = compared([renamed("attn")], [renamed("self_attn")])
    assert {one.path: one.only_in for one in found.lines} == {
        "Model": "",
        "attn": "a",
        "norm": "",
        "self_attn": "b",
    }
    remarks = list(table.list_remarks(found))
    assert "only in A: 1 module: attn" in remarks
    assert "only in B: 1 module: self_attn" in remarks
    assert "attn of A may be self_attn of B: not compared" in remarks


def test_a_layer_unlike_the_others_on_one_side_is_alone() -> None:
    events = model(20).events
    extra = [
        Event(e.start + 20, e.start + 30, "model.layers.0.rotary", "Rotary")
        for e in events
        if e.path == "model.layers.0"
    ]
    found = compared([model(20)], [FakeRecording([*events, *extra])])
    by_path = {one.path: one.only_in for one in found.lines}
    assert by_path["model.layers.[0-3|1-3]"] == ""
    assert by_path["model.layers.0"] == "b"


def test_dense_layers_stand_against_dense_ones_and_experts_against_experts() -> None:
    def mixed(dense: int, experts: int) -> FakeRecording:
        events = []
        for step in range(1, 7):
            at = step * 100_000
            events.append(Event(at, at + 90_000, "", "Model"))
            for layer in range(dense + experts):
                events.append(
                    Event(at + layer * 100, at + layer * 100 + 50, f"layers.{layer}", "Layer")
                )
                name, cls = ("mlp", "MLP") if layer < dense else ("moe", "MoE")
                events.append(
                    Event(at + layer * 100 + 1, at + layer * 100 + 9, f"layers.{layer}.{name}", cls)
                )
        return FakeRecording(events)

    found = compared([mixed(3, 5)], [mixed(1, 3)])
    assert [one.path for one in found.lines] == [
        "Model", "layers.[0-2|0]", "layers.[0-2|0].mlp", "layers.[3-7|1-3]", "layers.[3-7|1-3].moe",
    ]  # fmt: skip


def test_ranks_of_a_role_are_taken_together_and_a_step_is_that_of_one_process() -> None:
    ranks = [
        model(40, seed=seed, pid=seed, roles=["Worker"], rank=seed, world_size=4)
        for seed in range(4)
    ]
    one = model(40, seed=9, roles=["Worker"], rank=0, world_size=1)
    found = compared(ranks, [one])
    root = line(found, "Model")
    assert root.a and root.b and root.estimate
    assert (root.a.calls, root.b.calls) == (160, 40)
    assert root.a.steps == root.b.steps == 40
    assert root.change == "alike"
    assert root.estimate.ratio == pytest.approx(1, rel=0.02)
    assert any("4 processes in A, 1 in B" in remark for remark in table.list_remarks(found))


def test_stages_of_a_pipeline_add_up_to_the_model_that_one_process_has() -> None:
    whole = model(40)
    stages = [
        FakeRecording(
            [
                e
                for e in whole.events
                if not e.path or ("layers.0" in e.path or "layers.1" in e.path) == (rank == 0)
            ],
            pid=rank,
        )
        for rank in (0, 1)
    ]
    found = compared([whole], stages)
    layers = line(found, "model.layers.[0-3]")
    assert layers.estimate is not None and layers.estimate.ratio == pytest.approx(1)


def test_an_engine_with_its_worker_stands_against_both_in_processes_of_their_own() -> None:
    engine = FakeRecording(
        [
            Event(at * 1000, at * 1000 + 100, "", "", domain="vllm", root="", message="sched")
            for at in range(1, 30)
        ]
    )
    both = FakeRecording([*engine.events, *model(29).events], roles=["EngineCore", "Worker"])
    apart = [FakeRecording(engine.events, roles=["EngineCore"]), model(29, roles=["Worker"], pid=5)]
    found = compared([both], apart)
    assert {one.role for one in found.lines} == {"EngineCore+Worker"}
    assert not [one.path for one in found.lines if one.only_in]
    assert {one.change for one in found.lines} == {"alike"}


def test_workers_of_a_pool_are_one_role_however_they_are_numbered() -> None:
    found = compared(
        [model(20, roles=["ForkPoolWorker-1"])], [model(20, roles=["ForkPoolWorker-17"])]
    )
    assert [one.role for one in found.lines][:1] == ["ForkPoolWorker"]
    assert found.has_common_modules


def test_by_class_two_layouts_meet() -> None:
    a = FakeRecording(
        [Event(at * 100, at * 100 + 50, f"encoder.{at % 3}", "Linear") for at in range(1, 40)]
    )
    b = FakeRecording(
        [Event(at * 100, at * 100 + 50, f"blocks.{at % 4}.fc", "Linear") for at in range(1, 40)]
    )
    assert not compared([a], [b]).has_common_modules
    found = compared([a], [b], by_class=True)
    assert [(one.path, one.only_in) for one in found.lines] == [("Linear", "")]


def test_by_class_all_modules_of_a_class_add_up_in_a_step() -> None:
    found = compared([model(20, noise=0)], [model(20, noise=0)], by_class=True)
    layer = line(found, "Layer")
    assert layer.a and (layer.a.calls, layer.a.steps, layer.a.step_ns) == (80, 20, 400_000)


def test_roots_of_two_classes_with_a_digit_in_them_are_both_said() -> None:
    found = compared([model(20, prefix="Qwen2")], [model(20, prefix="AscendQwen2", seed=2)])
    assert found.lines[0].path == "Qwen2Model | AscendQwen2Model"


def test_phases_stand_against_the_same_phase() -> None:
    a = [model(20, phase="decode"), model(8, phase="prefill", pid=2)]
    b = [
        model(20, phase="decode", slow=dict.fromkeys(range(4), 2.0)),
        model(8, phase="prefill", pid=2, seed=3),
    ]
    found = compared(a, b)
    assert line(found, "Model", phase="decode").change == "slower"
    assert line(found, "Model", phase="prefill").change == "alike"
    assert {one.phase for one in compared(a, b, phase="decode").lines} == {"decode"}


# -- what the figures are --------------------------------------------------------------------------


@settings(max_examples=scale_examples(150))
@given(EVENTS, EVENTS)
def test_calls_and_times_are_those_of_the_report(a: Any, b: Any) -> None:
    sides = FakeRecording(a), FakeRecording(b)
    found = compared([sides[0]], [sides[1]])
    for at, recording in enumerate(sides):
        rows = collect_stats(recording).rows  # type: ignore[arg-type]
        mine = [one for one in ((line.a, line.b)[at] for line in found.lines) if one]
        for name in ("calls", "total_ns", "self_ns"):
            assert sum(getattr(one, name) for one in mine) == sum(
                getattr(row, name) for row in rows
            )


@settings(max_examples=scale_examples(100))
@given(EVENTS, EVENTS)
def test_turned_round_it_says_the_inverse(a: Any, b: Any) -> None:
    there, back = (
        compared([FakeRecording(a)], [FakeRecording(b)]),
        compared([FakeRecording(b)], [FakeRecording(a)]),
    )
    inverse = {"slower": "faster", "faster": "slower"}
    key = {(one.role, one.domain, one.phase, one.paths[::-1]): one for one in back.lines}
    assert len(key) == len(there.lines) == len(back.lines)
    for one in there.lines:
        other = key[one.role, one.domain, one.phase, one.paths]
        assert one.change == inverse.get(other.change, other.change)
        assert one.impact_ns == pytest.approx(-other.impact_ns)
        assert (one.estimate is None) == (other.estimate is None)
        if one.estimate and other.estimate:
            assert one.estimate.ratio * other.estimate.ratio == pytest.approx(1)


@settings(max_examples=scale_examples(100))
@given(EVENTS, st.integers(1, 3))
def test_a_run_does_not_differ_from_itself(events: Any, processes: int) -> None:
    recordings = [FakeRecording(events, pid=pid) for pid in range(1, processes + 1)]
    found = compared(recordings, recordings)
    for one in [*found.lines, *found.step_lines]:
        assert not one.only_in
        assert one.impact_ns == 0
        assert one.change in ("alike", "inconclusive")
        assert one.estimate is None or one.estimate.ratio == 1
        assert one.call_ratio in (None, 1)
    assert found.entries == []
    assert judge(found, 0.0, modules=True).failed == []


def test_a_step_is_the_time_of_all_its_calls_and_the_first_does_not_count_more() -> None:
    def run(first: int) -> FakeRecording:
        events = []
        for step in range(1, 12):
            at = step * 100_000
            events.append(Event(at, at + 50_000 * (first if step == 1 else 1), "", "Model"))
            events += [
                Event(at + 100 * call, at + 100 * call + 30, "part", "Part") for call in range(4)
            ]
        return FakeRecording(events)

    found = compared([run(1)], [run(2)])
    part = line(found, "part")
    assert part.a and (part.a.steps, part.a.step_ns, part.a.calls) == (11, 120, 44)
    assert line(found, "Model").change == "alike"


def test_an_engines_steps_are_its_workers_and_all_of_a_step_is_judged() -> None:
    def worker(sampler_ns: int) -> FakeRecording:
        events = []
        for step in range(1, 31):
            at = step * 1_000_000
            said = {"step": f"r@{step}", "phase": "decode"}
            events.append(
                Event(
                    at,
                    at + 500_000,
                    "",
                    "",
                    domain="vllm",
                    root="",
                    message="worker.execute_model",
                    fields=said,
                )
            )
            events.append(Event(at + 10, at + 400_000, "", "Model"))
            sample = {"step": f"r@{step}", "phase": "decode"}
            end = at + 600_010 + sampler_ns
            events.append(
                Event(
                    at + 600_000,
                    end,
                    "",
                    "",
                    domain="vllm",
                    root="",
                    message="worker.sample_tokens",
                    fields=sample,
                )
            )
            events.append(Event(at + 600_010, end - 10, "", "Sampler", root="Sampler#1"))
        return FakeRecording(events, roles=["Worker"])

    found = compared([worker(100_000)], [worker(300_000)])
    assert {one.a.step_kind for one in found.lines if one.a} == {"engine step"}
    whole = {one.domain: one for one in found.step_lines}
    modules = whole["Module"]
    assert modules.path == ""
    assert (
        modules.a and modules.a.step_ns == 399_990 + 99_990
    )  # the sampler's call is outside the model's and in the same step
    assert modules.estimate and modules.estimate.ratio == pytest.approx(
        (399_990 + 299_990) / (399_990 + 99_990)
    )
    assert {one.domain for one in judge(found, 0.05).failed} == {"Module", "vllm"}


def test_a_training_step_ends_with_the_optimizers() -> None:
    events = []
    for step in range(1, 9):
        at = step * 1000
        events += [
            Event(at, at + 100, "", "Model"),
            Event(at + 200, at + 300, "", "Model"),
        ]  # two micro-batches
        events.append(optimizer_mark(at + 400, step))
    found = compared([FakeRecording(events)], [FakeRecording(events)])
    model_line = line(found, "Model")
    assert model_line.a and (model_line.a.step_kind, model_line.a.steps, model_line.a.step_ns) == (
        "training step",
        8,
        200,
    )


def test_a_workers_part_of_a_step_and_its_runners_are_one_step() -> None:
    events = []
    for step in range(1, 9):
        at = step * 1_000_000
        for message, begun in (("worker.execute_model", at), ("runner.execute_model", at + 5)):
            said = {"step": f"r@{step}", "phase": "decode"}
            events.append(
                Event(
                    begun,
                    at + 900 - begun + at,
                    "",
                    "",
                    domain="vllm",
                    root="",
                    message=message,
                    fields=said,
                )
            )
        events.append(Event(at + 10, at + 500, "", "Model"))
    found = compared([FakeRecording(events)], [FakeRecording(events)])
    model_line = line(found, "Model")
    assert model_line.a and (model_line.a.steps, model_line.a.step_ns) == (8, 490)


def test_what_two_threads_call_in_one_step_adds_up() -> None:
    events = []
    for step in range(1, 9):
        at = step * 1000
        events += [
            Event(at, at + 100, "", "Model", thread=1),
            Event(at + 50, at + 250, "", "Model", thread=2),
        ]
        events.append(optimizer_mark(at + 400, step))
    found = compared([FakeRecording(events)], [FakeRecording(events)])
    model_line = line(found, "Model")
    assert model_line.a and (model_line.a.steps, model_line.a.step_ns) == (8, 300)


def test_calls_of_several_threads_are_steps_in_the_order_of_their_start() -> None:
    events = [
        Event(1000 * at, 1000 * at + at, "", "Model", thread=1 + at % 2) for at in range(1, 21)
    ]
    recording = FakeRecording(events)
    found = tally_steps(recording, collect_attributes(recording), [])  # type: ignore[arg-type]
    (series,) = found.names.values()
    assert list(series.steps) == list(range(20))
    assert list(series.times) == list(range(1, 21))


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=60), st.integers(1, 100))
def test_percentiles_of_bins_are_right_to_half_of_their_width(
    durations: list[int], percent: int
) -> None:
    split = len(durations) // 2
    bins = merge_bins([count_bins(durations[:split]), count_bins(durations[split:])])
    assert estimate_percentile(bins, percent) == pytest.approx(
        find_nearest_rank(sorted(durations), percent), rel=1 / 512
    )


def test_where_calls_are_steps_the_outermost_are_judged_and_what_they_call_is_not() -> None:
    def served(inner: int) -> FakeRecording:
        events = []
        for at in range(10_000, 410_000, 10_000):
            events.append(
                Event(
                    at,
                    at + 5_000 + at // 10_000 % 3,
                    "",
                    "",
                    domain="user",
                    root="",
                    message="serve",
                )
            )
            events.append(
                Event(at + 10, at + 10 + inner, "", "", domain="user", root="", message="parse")
            )
        return FakeRecording(events)

    found = compared([served(100)], [served(200)])
    assert [one.path for one in found.step_lines] == ["serve"]
    assert line(found, "parse").change == "slower"
    assert judge(found, 0.05).failed == []
    assert [one.path for one in judge(found, 0.05, modules=True).failed] == ["parse"]


def test_what_ran_outside_all_steps_is_counted_and_not_compared() -> None:
    warm = [
        Event(at, at + 5, "warm", "Warm") for at in range(2_000_000, 2_000_100, 10)
    ]  # after the last optimizer step
    steps = [
        event
        for at in range(1, 9)
        for event in (
            Event(at * 1000, at * 1000 + 100, "", "Model"),
            optimizer_mark(at * 1000 + 400, at),
        )
    ]
    recording = FakeRecording([*steps, *warm])
    found = compared([recording], [recording])
    outside = line(found, "warm")
    assert outside.a and (outside.a.calls, outside.a.steps, outside.a.step_ns) == (10, 0, None)
    assert (outside.change, outside.reason, outside.call_ratio) == ("inconclusive", "in no step", 1)
    assert outside.impact_ns == 0


def test_steps_of_two_kinds_are_not_compared_and_it_is_said() -> None:
    found = compared([model(20)], [FakeRecording([*model(20).events, optimizer_mark(10**12, 1)])])
    root = line(found, "Model")
    assert (root.change, root.reason) == ("inconclusive", "steps differ")
    assert not judge(found, 0.05).is_conclusive


# -- what is said ----------------------------------------------------------------------------------


def test_the_one_slow_layer_is_named() -> None:
    found = compared([model(60, layers=12)], [model(60, layers=12, slow={7: 1.5}, seed=2)])
    assert [one.path for one in found.entries] == ["model.layers.7"]
    text = "\n".join(table.format_diff(found, TableOptions(100, sort="difference")))
    assert "* model.layers.7: +" in text
    assert "unlike the rest of model.layers.[0-11]" in text
    assert [one.path for one in judge(found, 0.05, modules=True).failed] == [
        "model.layers.7"
    ]  # as a whole it is 4 % slower
    assert judge(found, 0.05).failed == []
    assert [one.path for one in judge(found, 0.02).failed] == ["Model"]


def test_a_layer_that_changed_about_as_much_as_the_others_is_not_named() -> None:
    assert (
        compared(
            [model(60, layers=12, noise=0.001)],
            [model(60, layers=12, slow={7: 1.05}, seed=2, noise=0.001)],
        ).entries
        == []
    )
    assert (
        compared(
            [model(60, layers=12, noise=0.001)],
            [model(60, layers=12, slow={7: 0.8}, seed=2, noise=0.001)],
        ).entries
        != []
    )


def test_an_improvement_never_fails() -> None:
    found = compared([model(60, slow=dict.fromkeys(range(4), 3.0))], [model(60, seed=2)])
    assert line(found, "Model").change == "faster"
    assert judge(found, 0.0, modules=True).failed == []
    assert judge(found, 0.0).is_conclusive


def test_too_few_steps_are_not_enough_to_pass() -> None:
    found = compared([model(3)], [model(3, seed=2)])
    verdict = judge(found, 0.05)
    assert (verdict.failed, verdict.is_conclusive) == ([], False)
    assert {one.reason for one in verdict.unjudged} == {"too few steps"}


def test_what_seems_slower_in_noise_is_not_passed_either() -> None:
    rng = random.Random(3)

    def noisy(times: float) -> FakeRecording:
        ends = [
            at * STEP_NS + int(100_000 * times * rng.lognormvariate(0, 1.0)) for at in range(1, 13)
        ]
        return FakeRecording(
            [Event(at * STEP_NS, end, "", "Model") for at, end in enumerate(ends, 1)]
        )

    found = compared([noisy(1.0)], [noisy(1.6)])
    root = line(found, "Model")
    assert root.estimate and root.estimate.ratio > 1.05
    assert root.change in ("alike", "inconclusive")
    assert not judge(found, 0.05).is_conclusive


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_the_table_fits_and_ends_with_the_next_command(width: int) -> None:
    versions = {"versions": {"python": "3.11.7", "torch": "2.13.0"}}
    a = model(40, layers=8, header={"host": "here"})
    b = model(40, layers=8, slow={2: 2.0}, seed=2)
    a.__dict__.update(versions=versions["versions"], argv=["python", "train.py"])
    b.__dict__.update(
        versions={"python": "3.11.7", "torch": "2.14.0"}, argv=["python", "train.py", "--fast"]
    )
    lines = list(
        table.format_diff(
            compared([a], [b]),
            TableOptions(width, limit=2, sort="difference"),
            "autoinstr diff a b",
        )
    )
    assert lines[-1].startswith("next: autoinstr diff a b --format html")
    assert any(line.startswith("differs: ") and "torch 2.13.0 → 2.14.0" in line for line in lines)
    assert any("--fast" in line for line in lines)
    listed = [
        line
        for line in lines
        if not line.startswith(("A:", "B:", "differs", "  ", "a step", "*", "!", "next", "…"))
    ]
    assert max(map(len, listed)) <= max(width, 70)
    assert any(line.startswith("module") for line in lines)


def test_many_hosts_are_not_all_named() -> None:
    ranks = [
        model(6, pid=at, host=f"node{at}", roles=["Worker"], rank=at, world_size=40)
        for at in range(40)
    ]
    lines = list(
        table.format_diff(
            compared(ranks, [model(6, roles=["Worker"])]), TableOptions(100, sort="difference")
        )
    )
    named = [one for one in lines if "node0" in one]
    assert named and all("node39" not in one for one in lines)
    assert "…" in "".join(named)


def test_orders() -> None:
    found = compared([model(40)], [model(40, layers=6, seed=2)])
    assert [one.path for one in table.sort_lines(found.lines, "tree")] == [
        one.path for one in found.lines
    ]
    difference = table.sort_lines(found.lines, "difference")
    assert [abs(one.impact_ns) for one in difference] == sorted(
        (abs(one.impact_ns) for one in found.lines), reverse=True
    )
    totals = [
        max(one.a.total_ns if one.a else 0, one.b.total_ns if one.b else 0)
        for one in table.sort_lines(found.lines, "total")
    ]
    assert totals == sorted(totals, reverse=True)


def test_the_object_has_what_the_document_says() -> None:
    found = compared([model(40)], [model(40, layers=6, seed=2)])
    entry = build_contents(found, 0.05, judge(found, 0.05))
    assert entry["schema"] == "autoinstr.diff/1"
    assert list(entry) == [
        "schema",
        "a",
        "b",
        "differences",
        "time",
        "in_common",
        "steps",
        "rows",
        "entries",
        "findings",
        "remarks",
        "fail_above",
        "failed",
        "unjudged",
        "judged",
    ]
    assert entry["in_common"] is True
    assert [row["parent"] for row in entry["rows"]] == [-1, 0, 1]
    layers = entry["rows"][1]
    assert layers["a"]["path"] == "model.layers.[0-3]"
    assert layers["low"] < layers["ratio"] < layers["high"]
    assert layers["a"]["mean_ns"] == layers["a"]["total_ns"] / layers["a"]["calls"]
    assert entry["failed"] and "Model" in entry["failed"][0]
