"""A run with everything that a report reads: ranks, a server, a training loop, a killed process, a
damaged file, and a profile of a device."""

from __future__ import annotations

from pathlib import Path

from benchmarks.report_data import generate_steps
from tests.support.annotated import Entry, mark, step_of, work_of, write
from tests.support.kineto import Trace
from tests.support.recordings import make_recording, set_clock

CLOCK = 5_000_000
DOMAIN = "torch"


def write_mixed_run(folder: Path, ranks: int = 3) -> Path:
    """Write the recordings; return the folder."""
    directory = str(folder)
    for rank in range(ranks):
        header = {"roles": ["Worker"], "rank": rank, "world_size": ranks}
        calls = [
            (*call[:3], *(time * (3 if rank == 1 else 2) for time in call[3:]))
            for call in generate_steps(3)
        ]
        make_recording(directory, calls, pid=1000 + rank, header=header)
    _write_server(directory)
    loop: list[Entry] = []
    for start in range(1_000, 9_000, 1_000):
        loop += [
            Entry(start, start + 90, "data.fetch", None, domain=DOMAIN),
            Entry(start + 100, start + 400, "", None, 0, "Module", path="", cls="Net"),
            Entry(start + 400, start + 700, "backward", None, domain=DOMAIN),
            Entry(start + 700, start + 850, "optim.step", {"phase": "optimizer"}, domain=DOMAIN),
            mark(start + 900, "step")._replace(domain=DOMAIN, fields=None),
        ]
    write(directory, loop, pid=3000)
    write(
        directory,
        [Entry(100, None, "outer"), Entry(200, 300, "inner"), Entry(400, None, "last")],
        pid=3001,
        close=False,
    )
    damaged = Path(make_recording(directory, generate_steps(30), pid=3002))
    damaged.write_bytes(damaged.read_bytes()[:150_000])
    # this damage shows only while a report reads attributes
    unreadable = Path(write(directory, work_of(9_000, "b@0", "decode"), pid=3003))
    unreadable.write_bytes(unreadable.read_bytes().replace(b'"decode"', b'"dec de"'))
    return folder


def _write_server(directory: str) -> None:
    front = [mark(300, "request.arrived", request="a", prompt_tokens=7)]
    front.append(mark(1_200, "request.first_output", request="a"))
    front.append(mark(5_000, "request.completed", request="a", reason="stop", output_tokens=3))
    write(directory, front, pid=2000, header={"roles": ["APIServer"]})
    engine: list[Entry] = [mark(400, "request.queued", request="a")]
    worker: list[Entry] = []
    for start, step, phase in ((1_000, "a@0", "prefill"), (2_000, "a@7", "decode")):
        engine += step_of(start, step, phase, 1, 2)
        worker += work_of(start + 20, step, phase)
    write(directory, engine, pid=2001, header={"roles": ["EngineCore"]})
    write(directory, worker, pid=2002, header={"roles": ["Worker"]})


def add_profile(folder: Path) -> None:
    """Add a process with a profile of its kernels, which reports find below the folder."""
    trace, step_ns = Trace(pid=4000), 1_000_000
    trace.operator("aten::add", 1_000, 2_000)
    calls = []
    for step in range(3):
        begin = (step + 1) * step_ns
        calls.append((0, "", "Net", CLOCK + begin + 10_000, CLOCK + begin + 400_000))
        calls.append((0, "first", "Linear", CLOCK + begin + 20_000, CLOCK + begin + 70_000))
        launch = trace.launch(None, begin + 30_000)
        trace.kernel("gemm", launch, begin + 100_000, 30_000)
        trace.kernel("adam", trace.launch(None, begin + 500_000), begin + 600_000, 40_000)
    file = make_recording(str(folder), calls, pid=trace.pid, root="Net#1")
    set_clock(file, trace.base, CLOCK)
    trace.write(folder / "rank0.pt.trace.json")


def list_report_arguments() -> list[list[str]]:
    """Return the options of every report that `--on` works with."""
    return [
        ["--format", "json"],
        ["--format", "json", "--phase", "decode"],
        ["--format", "csv"],
        ["--format", "csv", "--limit", "5"],
        ["--format", "csv", "--sort", "mean", "--limit", "9"],
        ["--format", "csv", "--table", "requests"],
        ["--format", "csv", "--table", "steps"],
        ["--format", "html", "-o", "-"],
        ["--format", "table"],
        ["--format", "table", "--limit", "0", "--process", "Worker"],
        ["--format", "table", "--phase", "prefill"],
        ["--format", "table", "--table", "requests"],
        ["--format", "table", "--table", "steps"],
        ["--format", "table", "--table", "steps", "--process", "3000"],
    ]
