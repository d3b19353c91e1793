"""The module table: folding, the choice of lines and columns, and what a terminal gets."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstr.analysis.stats_row import StatsRow
from autoinstr.analysis.tree import build_tree, fold_tree
from autoinstr.base import text
from autoinstr.base.text import format_number_ranges
from autoinstr.recording.range_name import RangeName
from autoinstr.report.options import TableOptions
from autoinstr.report.terminal import modules_table
from tests.support.report_fakes import Event, FakeRecording, run_of


def render(
    *recordings: FakeRecording, problems: tuple[str, ...] = (), **options: object
) -> list[str]:
    out = io.StringIO()
    modules_table.write_tables(run_of(*recordings, problems=problems), out, TableOptions(**options))  # type: ignore[arg-type]
    return out.getvalue().splitlines()


def words(line: str) -> str:
    return " ".join(line.split())


def modules(lines: list[str]) -> list[str]:
    """Return the first two columns of the first table."""
    start = next(at for at, line in enumerate(lines) if line.startswith("module "))
    end = next(at for at, line in enumerate(lines) if at > start and (not line or line[0] in "…~"))
    return [re.split(r"  +\d", line.rstrip())[0].rstrip() for line in lines[start + 1 : end]]


def calls(spec: list[tuple[str, str]]) -> list[Event]:
    """Return one call of each named module, all inside one call of the root."""
    return [
        Event(0, 1000 * len(spec) + 1000, "", "Root"),
        *(Event(1000 * at, 1000 * at + 500, path, cls) for at, (path, cls) in enumerate(spec, 1)),
    ]


def test_layers_built_alike_are_one_line_and_others_stand_apart() -> None:
    spec = []
    for layer in range(6):
        mlp = "Dense" if layer < 2 else "MoE"
        spec += [(f"layers.{layer}", "Layer"), (f"layers.{layer}.mlp", mlp)]
        if mlp == "MoE":
            spec += [
                (f"layers.{layer}.mlp.experts.{expert}", "Expert") for expert in (layer, layer + 3)
            ]
    lines = render(FakeRecording(calls(spec)))
    assert [re.sub(r"  +", "  ", line.strip()) for line in modules(lines)] == [
        "Model  Root",
        "layers.[0-1]  Layer",
        "mlp  Dense",
        "layers.[2-5]  Layer",
        "mlp  MoE",
        "experts.[2-8]  Expert",
    ]
    experts = next(line for line in lines if "Expert" in line)
    assert experts.split()[-5] == "8"  # 4 layers x 2 experts
    assert "4.000 µs" in experts


def test_roots_of_one_class_fold_too_and_different_ones_do_not() -> None:
    events = [Event(10 * n, 10 * n + 5, "", "Linear", root=f"Linear#{n}") for n in range(1, 9)]
    events += [
        Event(10 * n, 10 * n + 5, "", "Linear" if n % 2 else "Conv", root=f"Net#{n}")
        for n in range(11, 15)
    ]
    assert [line.split()[0] for line in modules(render(FakeRecording(events)))] == [
        "Linear#[1-8]",
        "Net#[11,13]",
        "Net#[12,14]",
    ]


def test_a_root_that_was_filtered_out_leaves_its_children_their_names() -> None:
    lines = render(
        FakeRecording([Event(0, 5, "model.layers.0.mlp", "MLP"), Event(6, 9, "lm_head", "Head")])
    )
    assert [line.split()[0] for line in modules(lines)] == ["model.layers.0.mlp", "lm_head"]


def test_the_limit_keeps_the_heaviest_with_the_lines_above_them_and_says_what_is_left_out() -> None:
    events = [Event(0, 100_000, "", "Root")]
    events += [Event(1000 * at, 1000 * at + 10 + at, f"small{at}", "S") for at in range(20)]
    events += [Event(50_000, 90_000, "big", "B"), Event(50_001, 89_000, "big.inner", "I")]
    lines = render(FakeRecording(events), limit=4)
    assert [line.split()[0] for line in modules(lines)] == ["Model", "small19", "big", "inner"]
    assert "… 19 more lines, each at most 0.0% (--limit 0 shows all)" in lines
    assert len(modules(render(FakeRecording(events), limit=0))) == 23


def test_a_heavy_module_that_is_mostly_called_on_its_own_keeps_its_light_parent() -> None:
    events = [
        Event(0, 10, "light", "L"),
        Event(1, 2, "light.heavy", "H"),
        Event(100, 9_000, "light.heavy", "H"),
    ]
    events += [
        Event(10_000 + 200 * at, 10_000 + 200 * at + 100, f"other{at}", "O") for at in range(5)
    ]
    assert [line.split()[0] for line in modules(render(FakeRecording(events), limit=2))] == [
        "light",
        "heavy",
    ]


@pytest.mark.parametrize(
    ("sort", "first"), [("total", "Model"), ("self", "a.b"), ("calls", "c"), ("mean", "Model")]
)
def test_other_orders_are_flat_lists(sort: str, first: str) -> None:
    events = [
        Event(0, 1000, "", "R"),
        Event(0, 700, "a", "A"),
        Event(0, 690, "a.b", "B"),
        *(Event(900 + t, 901 + t, "c", "C") for t in range(5)),
    ]
    assert modules(render(FakeRecording(events), sort=sort))[0].split()[0] == first


def test_trouble_is_stated_and_the_last_line_is_the_next_command() -> None:
    killed = FakeRecording(
        [Event(1000, None, "a", "A"), Event(2000, 5000, "b", "B"), Event(6000, None, "a.c", "C")],
        is_complete=False,
        roles=["Worker"],
        rank=1,
    )
    full = FakeRecording([Event(0, 10)], pid=5, dropped_count=1234)
    lines = render(FakeRecording([], pid=3), killed, full, problems=("x.airec: torn",))
    # 230 ns for each of the two, of 3,010 inside ranges
    assert lines[0] == "/runs/one: 3 processes, 2 ranges, 1,234 dropped, estimated overhead 15.3%"
    assert "recorded nothing: MainProcess, pid 3" in lines
    assert "! Worker rank 1, pid 77: the process was killed or still runs" in lines
    assert (
        "! Worker rank 1, pid 77, T1: still inside a.c:C (2 open ranges, the outermost for at "
        "least 5.000 µs)" in lines
    )
    assert (
        "! MainProcess, pid 5: 1,234 ranges dropped, because the recording was full (option max_mb)"
        in lines
    )
    assert "! x.airec: torn" in lines
    assert lines[-1] == (
        "next: autoinstr report /runs/one --format pftrace   # a timeline: what ran when it ended"
    )
    assert render(full)[-1].startswith("next: autoinstr report /runs/one --format html ")
    assert render(FakeRecording([]))[-1].startswith("next: autoinstr doctor")


def test_ranks_built_alike_share_a_table_and_keep_a_line_each() -> None:
    ranks = [
        FakeRecording(
            [Event(0, 10 + rank, "", "Root")],
            pid=100 + rank,
            rank=rank,
            world_size=3,
            roles=["Worker"],
        )
        for rank in range(3)
    ]
    lines = render(*ranks)
    assert sum(line.startswith("module ") for line in lines) == 1
    assert "Worker rank 2 of 3, pid 102: 1 range in 1 thread, 12 ns inside ranges" in lines
    assert "  Worker rank 0 of 3, pid 100: 1 range, 10 ns inside ranges" in lines


def test_function_ranges_are_listed_by_message_under_their_domain() -> None:
    events = [
        Event(0, 10, "", "", domain="vllm", root="", message="execute_model"),
        Event(1, 2, "", "", domain="vllm", root="", message="sample"),
    ]
    lines = render(FakeRecording(events))
    at = next(at for at, line in enumerate(lines) if line.startswith("vllm "))
    assert [line.split()[0] for line in lines[at + 1 : at + 3]] == ["execute_model", "sample"]


def phased(*phases: str | None) -> list[Event]:
    """Return a pass of a model in each of these phases. The n-th takes n times as long."""
    events: list[Event] = []
    for at, phase in enumerate(phases, 1):
        start = 100_000 * at
        if phase is not None:
            events.append(
                Event(
                    start,
                    start + 9_000 * at,
                    "",
                    "",
                    domain="vllm",
                    root="",
                    message="step",
                    fields={"phase": phase},
                )
            )
        events.append(Event(start + 1, start + 1 + 8_000 * at, "", "Net"))
        events.append(Event(start + 2, start + 2 + 2_000 * at, "layer", "Layer"))
    return events


def test_what_a_module_costs_in_each_phase_is_in_columns_beside_the_sums() -> None:
    lines = render(FakeRecording(phased("prefill", "decode", "decode", None)), width=160)
    at = next(at for at, line in enumerate(lines) if line.startswith("module "))
    assert (
        words(lines[at])
        == "module class total share calls mean self p50 first call prefill % decode "
        "% no phase %"
    )
    # 2, 4 + 6 and 8 µs; of 86 µs altogether, and of 9, 45 and 32 µs in the phases
    assert (
        words(lines[at + 2])
        == "layer Layer 20.00 µs 23.3% 4 5.000 µs 20.00 µs 4.000 µs 2.000 µs 2.000 µs 22 5.000 µs "
        "22 8.000 µs 25"
    )


def test_there_are_no_columns_of_phases_where_one_phase_is_all_there_is_or_was_asked_for() -> None:
    assert "decode" not in next(
        line
        for line in render(FakeRecording(phased("decode", "decode")))
        if line.startswith("module ")
    )
    both = FakeRecording(phased("prefill", "decode"))
    assert "decode" in next(line for line in render(both) if line.startswith("module "))
    assert "decode" not in next(
        line for line in render(both, phase="decode") if line.startswith("module ")
    )


def test_a_phase_with_next_to_no_time_has_no_column_and_many_phases_have_four() -> None:
    rare = phased("decode", "mixed")
    for event in phased("idle"):
        start = event.start + 10**7
        rare.append(event._replace(start=start, end=start + 50 * (event.cls == "Net")))
    heading = next(
        line for line in render(FakeRecording(rare), width=160) if line.startswith("module ")
    )
    assert "mixed" in heading and "decode" in heading and "idle" not in heading
    many = next(
        line
        for line in render(FakeRecording(phased(*"abcdef")), width=200)
        if line.startswith("module ")
    )
    assert many.split()[many.split().index("call") + 1 :: 2] == ["f", "e", "d", "c"]


def test_a_flat_list_gives_up_figures_for_paths() -> None:
    events = [
        event._replace(path=f"model.decoder.block.{event.path}" if event.path else "")
        for event in phased("prefill", "decode")
    ]
    tree = next(
        line for line in render(FakeRecording(events), width=88) if line.startswith("module ")
    )
    flat = render(FakeRecording(events), width=88, sort="self")
    assert "calls" in tree and "calls" in next(line for line in flat if line.startswith("module "))
    long = [
        event._replace(path=event.path.replace("block", "block.with_a_long_name"))
        for event in events
    ]
    for sort in ("self", "calls", "mean"):
        flat = render(FakeRecording(long), width=80, sort=sort)
        heading = words(next(line for line in flat if line.startswith("module ")))
        assert heading == f"module total share {sort} decode"
    assert any(line.startswith("model.decoder.block.with_a_long_name.layer ") for line in flat)


def test_functions_have_no_column_of_classes() -> None:
    lines = render(
        FakeRecording([Event(0, 10, "", "", domain="vllm", root="", message="sched.schedule")])
    )
    assert (
        words(next(line for line in lines if line.startswith("vllm")))
        == "vllm total share calls mean self p50 first call"
    )


def served(functions: int, layers: int) -> list[FakeRecording]:
    """Return three processes like those of a vLLM run. The heaviest function of each comes last."""
    rest = [
        FakeRecording(
            [
                Event(
                    1000 * n,
                    1000 * n + 100 + n,
                    "",
                    "",
                    domain="vllm",
                    root="",
                    message=f"{role}.{n}",
                )
                for n in range(functions)
            ],
            pid=pid,
            roles=[role],
        )
        for pid, role in enumerate(("MainProcess", "EngineCore"), 1)
    ]
    modules = [
        Event(1, 10**7, "", "Net"),
        *(Event(5_000 * n, 5_000 * n + 1_000, f"part{n}", "Part") for n in range(1, layers + 1)),
    ]
    worker = FakeRecording(
        [*modules, *(event._replace(end=event.start + 1) for event in rest[0].events)],
        pid=3,
        roles=["Worker"],
    )
    return [*rest, worker]


@pytest.mark.parametrize(("functions", "layers"), [(30, 100), (30, 8), (2, 200), (200, 3)])
def test_a_whole_run_fits_the_screen_modules_first(functions: int, layers: int) -> None:
    lines = render(*served(functions, layers), screen_lines=46)
    shown = sum(bool(re.search(r"\b(Part|Net)  +\d", line)) for line in lines)
    assert shown == layers + 1 or len(lines) == 46  # no room is left over while modules want it
    assert len(lines) <= 46
    assert next(line for line in lines if re.match(r"(module|vllm)\b", line)).startswith("module")
    assert any(line.startswith(f"EngineCore.{functions - 1} ") for line in lines)
    assert "vllm: " in "\n".join(lines)  # the Worker's functions take next to nothing: one line
    everything = render(*served(functions, layers), limit=0)
    assert (
        sum(line.startswith(("EngineCore.", "MainProcess.")) for line in everything)
        == 3 * functions
    )


@given(
    st.lists(
        st.tuples(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12)),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["utf-8", "ascii", "latin-1"]),
)
def test_no_name_can_move_the_cursor_or_break_the_encoding(
    names: list[tuple[str, str, str]], encoding: str
) -> None:
    events = [
        Event(10 * at, 10 * at + 5, path, cls, root=root, message=path)
        for at, (path, cls, root) in enumerate(names)
    ]
    lines = render(
        FakeRecording([*events, events[0]._replace(start=1000, end=None)]), encoding=encoding
    )
    assert all(line.isprintable() for line in lines)
    assert "\n".join(lines).encode(encoding)


@pytest.mark.parametrize("width", [45, 60, 80, 100, 140])
def test_the_table_fits_the_terminal(width: int) -> None:
    events = calls(
        [
            (
                f"model.layers.{layer}.a_rather_long_name.and_a_second_one",
                "AClassWithAVeryLongNameIndeed" * 2,
            )
            for layer in range(3)
        ]
    )
    lines = render(FakeRecording(events), width=width)
    start = next(at for at, line in enumerate(lines) if line.startswith("module "))
    assert all(text.measure_width(line) <= width for line in lines[start : start + 3])


@pytest.mark.parametrize(
    ("ns", "shown"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1000, "1.000 µs"),
        (99_990, "99.99 µs"),
        (123_456, "123.5 µs"),
        (1_234_567, "1.235 ms"),
        (65_432_100_000, "65.43 s"),
        (9_999_975, "10.00 ms"),
        (99_999, "100.0 µs"),
        (999_960, "1.000 ms"),
        (999_940, "999.9 µs"),
        (999.6, "1.000 µs"),
    ],
)
def test_durations(ns: float, shown: str) -> None:
    assert text.format_duration(ns) == shown


@given(
    st.lists(st.text("ab", min_size=1, max_size=30), min_size=1, max_size=8), st.integers(40, 120)
)
def test_pieces_are_packed_into_lines_that_fit(pieces: list[str], columns: int) -> None:
    lines = text.wrap_items("label", pieces, columns)
    assert all(len(line) <= columns for line in lines)
    assert [piece.strip() for piece in " ".join(lines).removeprefix("label:").split(";")] == pieces
    assert all(line.startswith("  ") for line in lines[1:])


def test_numbers_fold_into_runs() -> None:
    assert [format_number_ranges(n) for n in ([3], [0, 1, 2], [7, 0, 1, 9, 8], [4, 6])] == [
        "3",
        "[0-2]",
        "[0-1,7-9]",
        "[4,6]",
    ]


def test_a_path_of_a_thousand_dots_is_shown() -> None:
    assert any(
        "Deep" in line
        for line in render(FakeRecording([Event(0, 5, ".".join(["a"] * 3000), "Deep")]))
    )


def test_the_parameters_of_folded_layers_are_their_sum() -> None:
    """A row without a count, as that of a shared kernel, does not hide the count of another."""
    counts = {"layers.0": 10, "layers.1": 20, "layers.1.act": 0}
    rows = []
    for path, params in (*counts.items(), ("layers.1", None)):
        name = RangeName(1, "range", "Module", "m", "Net#1", path, "Layer", params=params)
        row = StatsRow(0, name)
        row.calls = 1
        rows.append(row)
    top = build_tree([row for row in rows if not row.name.path.endswith("act")])
    fold_tree(top)
    [net] = top.children.values()
    [layers] = net.children.values()
    [folded] = layers.children.values()
    assert (folded.name, folded.params, net.params) == ("[0-1]", 30, None)
