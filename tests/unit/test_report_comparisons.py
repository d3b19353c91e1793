"""Groups of processes with the same module tree and their findings, compared with a slow
computation, on files of the real writer."""

from __future__ import annotations

import random
import tempfile
import unittest.mock
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.analysis.alike import group_processes, list_domain_groups
from autoinstr.analysis.findings import collect_findings
from autoinstr.analysis.processes import Process, collect_into, read_processes
from autoinstr.analysis.runs import find_run
from autoinstr.analysis.serving import ServingCollector
from tests.support.annotated import Entry, write
from tests.support.examples import scale_examples
from tests.support.slow_recording import read
from tests.support.slow_report import Call, FoldedLine, SlowTimes, calls_of, folded, sum_pieces


def model(choose: random.Random, layers: int, dense: int) -> list[Entry]:
    """Return some passes of a model in phases. A call takes about 1,000 ns, 500 ns of it in a part
    below it; some layers and passes take much longer."""
    usual = choose.choice([0, 0, 100, 900])
    slow = {layer: choose.randrange(5_000) for layer in range(layers) if choose.random() < 0.2}
    scale = choose.choice([1, 1, 1, 1, 2])
    entries: list[Entry] = []
    now = 1_000
    for _ in range(choose.randrange(1, 4)):
        phase, begun = choose.choice(["prefill", "decode", None]), now
        passed: list[Entry] = []
        for layer in range(layers):
            start = now = now + 10
            now += scale * (400 + choose.randrange(usual + 1))
            below = now
            now += scale * (500 + (slow.get(layer, 0) if choose.random() < 0.9 else 0))
            passed.append(
                Entry(
                    below,
                    now,
                    "",
                    None,
                    0,
                    "Module",
                    "range",
                    f"layers.{layer}.{'mlp' if layer < dense else 'moe'}",
                    "Part",
                )
            )
            passed.append(
                Entry(start, now + 100, "", None, 0, "Module", "range", f"layers.{layer}", "Layer")
            )
            now += 100
        entries += [Entry(begun + 1, now + 1, "", None, 0, "Module", "range", "", "Model"), *passed]
        if phase is not None:
            entries.append(Entry(begun, now + 2, "step", {"phase": phase}))
        now += 100
    return entries


def path_of(labels: tuple[str, ...]) -> str:
    """Return the path as the table shows it: "Model" for the only root."""
    return ".".join(labels[1:]) or labels[0].partition("#")[0]


def folded_by_domain(calls: list[Call]) -> dict[str, dict[str, FoldedLine]]:
    domains = {one.name.domain for one in calls}
    return {
        domain: {
            path_of(at): line
            for at, line in folded([one for one in calls if one.name.domain == domain])
        }
        for domain in domains
    }


def unlike(
    means: dict[Any, float], others: dict[Any, float], times: float, spread: float
) -> dict[Any, float]:
    """Return the time beyond the median of `means`, of the entries (and of the others) that are
    outliers."""
    usual = min(means.values()) if len(means) == 2 else median(means.values())
    distance = 0 if len(means) == 2 else median(abs(mean - usual) for mean in means.values())
    both = {**means, **others}
    return {
        key: mean - usual
        for key, mean in both.items()
        if usual and mean >= times * usual and mean - usual >= spread * distance
    }


def slow_outliers(lines: dict[str, FoldedLine], inside: int) -> dict[str, float]:
    """Map the path of each list with outliers to the time beyond the usual."""
    found: dict[str, float] = defaultdict(float)
    for path, line in lines.items():
        if not path.endswith("]"):
            continue
        head = path.rpartition(".")[0]
        apart = {
            other: one
            for other, one in lines.items()
            if other.rpartition(".")[0] == head
            and other.rpartition(".")[2].isdecimal()
            and one.classes == line.classes
        }
        for phase in line.phases:
            members = {number: by[phase] for number, by in line.members.items() if phase in by}
            others = {
                other: one.phases[phase] for other, one in apart.items() if phase in one.phases
            }
            if len(members) < 4:
                continue
            means = {number: total / calls for number, (calls, total, _) in members.items()}
            more = unlike(
                means,
                {other: total / calls for other, (calls, total, _) in others.items()},
                1.25,
                5,
            )
            for key, excess in more.items():
                if excess * {**members, **others}[key][0] >= 0.005 * inside:
                    found[path] += excess * {**members, **others}[key][0]
    return dict(found)


@settings(max_examples=scale_examples(120))
@given(
    st.integers(0, 1 << 40),
    st.integers(1, 6),
    st.one_of(st.integers(2, 9), st.integers(40, 70)),
    st.integers(0, 2),
)
def test_groups_and_findings(seed: int, ranks: int, layers: int, dense: int) -> None:
    choose = random.Random(seed)
    # The noise test has a test of its own: tests/unit/test_mean_test.py.
    without_noise_test = unittest.mock.patch(
        "autoinstr.analysis.outliers.is_slower", lambda *arguments: True
    )
    with without_noise_test, tempfile.TemporaryDirectory() as directory:
        for rank in range(ranks):
            built = layers + 1 if choose.random() < 0.15 else layers
            write(
                directory,
                model(choose, built, dense),
                pid=rank + 1,
                header={"rank": rank, "world_size": ranks},
            )
        run = find_run(directory)
        processes: list[Process] = []
        groups = group_processes(
            collect_into(read_processes(run, ServingCollector(run)), processes)
        )
        truth = {
            one.index: calls_of(read(Path(one.recording.file).read_bytes())) for one in processes
        }
        trees = {index: folded_by_domain(calls) for index, calls in truth.items()}
        busy = {
            index: sum_pieces(*SlowTimes(calls).busy({call.phase for call in calls}).values())
            for index, calls in truth.items()
        }

        kinds: dict[Any, list[int]] = defaultdict(list)
        for index, tree in trees.items():
            kinds[
                frozenset(
                    (domain, path, line.classes)
                    for domain, lines in tree.items()
                    for path, line in lines.items()
                )
            ].append(index)
        assert sorted([one.index for one in group.processes] for group in groups) == sorted(
            kinds.values()
        )
        busiest = sorted(
            (max(busy[index] for index in group) for group in kinds.values()), reverse=True
        )
        assert [group.busiest.busy_ns for group in groups] == busiest

        expected: dict[tuple[str, int, str, str], float] = defaultdict(float)
        for group in groups:
            index = group.busiest.index
            assert busy[index] == max(busy[one.index] for one in group.processes)
            for domain, lines in group.lines.items():
                assert {line.path for line in lines} == set(trees[index][domain])
                inside = sum(one.own for one in truth[index] if one.name.domain == domain)
                for path, excess in slow_outliers(trees[index][domain], inside).items():
                    expected["outlier", index, domain, path] = excess

        # Ranks are compared by domain: one that differs in another domain is still one of them.
        built: dict[Any, list[int]] = defaultdict(list)
        for index, tree in trees.items():
            for domain, its in tree.items():
                built[domain, frozenset((path, line.classes) for path, line in its.items())].append(
                    index
                )
        assert sorted(
            (one.domain, [process.index for process in one.processes])
            for one in list_domain_groups(groups)
        ) == sorted((domain, indices) for (domain, _), indices in built.items())
        for alike in list_domain_groups(groups):
            for at, line in enumerate(alike.lines):
                of_each = [
                    trees[one.index][alike.domain][line.path].phases for one in alike.processes
                ]
                for phase in {phase for phases in of_each for phase in phases}:
                    figures = [phases.get(phase, (0, 0, 0)) for phases in of_each]
                    assert list(zip(alike.calls[at, phase], alike.total_ns[at, phase])) == [
                        one[:2] for one in figures
                    ]
                    means = {
                        place: total / calls
                        for place, (calls, total, _) in enumerate(figures)
                        if calls
                    }
                    if line.depth or len(means) < 2 or phase not in line.node.phases:
                        continue
                    for place, excess in unlike(means, {}, 1.1, 3).items():
                        one = alike.processes[place]
                        more = excess * figures[place][0]
                        if more >= 0.005 * busy[one.index]:
                            expected["rank", -1, alike.domain, line.path] += more
        found = collect_findings(groups, processes)
        assert [one.excess_ns for one in found] == sorted(
            (one.excess_ns for one in found), reverse=True
        )
        seen: dict[tuple[str, int, str, str], float] = defaultdict(float)
        for one in found:
            if one.kind != "overhead":  # 230 ns a range of calls that take a microsecond
                seen[one.kind, -1 if one.kind == "rank" else one.process, one.domain, one.path] += (
                    one.excess_ns
                )
        assert {key: round(excess, 3) for key, excess in seen.items()} == {
            key: round(excess, 3) for key, excess in expected.items()
        }
