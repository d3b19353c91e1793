"""The table: folding, what is chosen, what a terminal gets."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstr.report import table, text
from autoinstr.report.folding import ranges_of
from tests.report_fakes import Event, FakeRecording, run_of


def render(*recordings: FakeRecording, problems: tuple[str, ...] = (), **look: object) -> list[str]:
    out = io.StringIO()
    table.write(run_of(*recordings, problems=problems), out, table.Look(**look))  # type: ignore[arg-type]
    return out.getvalue().splitlines()


def modules(lines: list[str]) -> list[str]:
    """First two columns of the first table."""
    start = next(at for at, line in enumerate(lines) if line.startswith("module "))
    end = next(at for at, line in enumerate(lines) if at > start and (not line or line[0] in "…~"))
    return [re.split(r"  +\d", line.rstrip())[0].rstrip() for line in lines[start + 1 : end]]


def calls(spec: list[tuple[str, str]]) -> list[Event]:
    """The named modules, each called once, all inside one call of the root."""
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
            spec += [(f"layers.{layer}.mlp.experts.{expert}", "Expert") for expert in (layer, layer + 3)]
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
    events += [Event(10 * n, 10 * n + 5, "", "Linear" if n % 2 else "Conv", root=f"Net#{n}") for n in range(11, 15)]
    assert [line.split()[0] for line in modules(render(FakeRecording(events)))] == ["Linear#[1-8]", "Net#[11,13]", "Net#[12,14]"]


def test_a_root_that_was_filtered_out_leaves_its_children_their_names() -> None:
    lines = render(FakeRecording([Event(0, 5, "model.layers.0.mlp", "MLP"), Event(6, 9, "lm_head", "Head")]))
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
    events = [Event(0, 10, "light", "L"), Event(1, 2, "light.heavy", "H"), Event(100, 9_000, "light.heavy", "H")]
    events += [Event(10_000 + 200 * at, 10_000 + 200 * at + 100, f"other{at}", "O") for at in range(5)]
    assert [line.split()[0] for line in modules(render(FakeRecording(events), limit=2))] == ["light", "heavy"]


@pytest.mark.parametrize(("sort", "first"), [("total", "Model"), ("self", "a.b"), ("calls", "c"), ("mean", "Model")])
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
        [Event(1000, None, "a", "A"), Event(2000, 5000, "b", "B"), Event(6000, None, "a.c", "C")], complete=False, roles=["Worker"], rank=1
    )
    full = FakeRecording([Event(0, 10)], pid=5, dropped=1234)
    lines = render(FakeRecording([], pid=3), killed, full, problems=("x.airec: torn",))
    # 230 ns for each of the two, of 3,010 inside ranges
    assert lines[0] == "/runs/one: 3 processes, 2 ranges, 1,234 dropped, estimated overhead 15.3%"
    assert "recorded nothing: MainProcess, pid 3" in lines
    assert "! Worker rank 1, pid 77: the process was killed or still runs" in lines
    assert "! Worker rank 1, pid 77, T1: still inside a.c:C (2 open ranges, the outermost for at least 5.000 µs)" in lines
    assert "! MainProcess, pid 5: 1,234 ranges dropped, the recording was full (option max_mb)" in lines
    assert "! x.airec: torn" in lines
    assert lines[-1].startswith("next: autoinstr report /runs/one --format pftrace -o trace.pftrace")
    assert render(FakeRecording([]))[-1].startswith("next: autoinstr doctor")


def test_ranks_built_alike_share_a_table_and_keep_a_line_each() -> None:
    ranks = [
        FakeRecording([Event(0, 10 + rank, "", "Root")], pid=100 + rank, rank=rank, world_size=3, roles=["Worker"]) for rank in range(3)
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


@given(
    st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12)), min_size=1, max_size=6),
    st.sampled_from(["utf-8", "ascii", "latin-1"]),
)
def test_no_name_can_move_the_cursor_or_break_the_encoding(names: list[tuple[str, str, str]], encoding: str) -> None:
    events = [Event(10 * at, 10 * at + 5, path, cls, root=root, message=path) for at, (path, cls, root) in enumerate(names)]
    lines = render(FakeRecording([*events, events[0]._replace(start=1000, end=None)]), encoding=encoding)
    assert all(line.isprintable() for line in lines)
    assert "\n".join(lines).encode(encoding)


@pytest.mark.parametrize("width", [45, 60, 80, 100, 140])
def test_the_table_fits_the_terminal(width: int) -> None:
    events = calls(
        [(f"model.layers.{layer}.a_rather_long_name.and_a_second_one", "AClassWithAVeryLongNameIndeed" * 2) for layer in range(3)]
    )
    lines = render(FakeRecording(events), width=width)
    start = next(at for at, line in enumerate(lines) if line.startswith("module "))
    assert all(text.width(line) <= width for line in lines[start : start + 3])


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
    ],
)
def test_durations(ns: int, shown: str) -> None:
    assert text.duration(ns) == shown


@given(st.lists(st.text("ab", min_size=1, max_size=30), min_size=1, max_size=8), st.integers(40, 120))
def test_pieces_are_packed_into_lines_that_fit(pieces: list[str], columns: int) -> None:
    lines = text.packed("label", pieces, columns)
    assert all(len(line) <= columns for line in lines)
    assert [piece.strip() for piece in " ".join(lines).removeprefix("label:").split(";")] == pieces
    assert all(line.startswith("  ") for line in lines[1:])


def test_numbers_fold_into_runs() -> None:
    assert [ranges_of(n) for n in ([3], [0, 1, 2], [7, 0, 1, 9, 8], [4, 6])] == ["3", "[0-2]", "[0-1,7-9]", "[4,6]"]


def test_a_path_of_a_thousand_dots_is_shown() -> None:
    assert any("Deep" in line for line in render(FakeRecording([Event(0, 5, ".".join(["a"] * 3000), "Deep")])))
