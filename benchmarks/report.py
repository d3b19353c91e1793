"""Measure the time and memory of each report: `python benchmarks/report.py [MILLIONS] [PROCESSES]`.

It writes recordings of a model of 24 layers with 10 modules each, 1 million ranges in 4 processes
by default. Every format, and `diff` of the run with itself, runs in a process of its own. For each
it prints CPU and wall seconds per million ranges, the peak resident memory, its growth beyond
Python and the modules, the mapped files at the end, and the size of the output. The line "read" is
the reader alone.

The same follows for a server: as many ranges (a million at most) in steps of 50. Each step has a
phase, request ids and parts in two processes, and every fourth step has a new request.

`10 8` is ten million ranges in eight processes, `10 1000` a thousand ranks of ten thousand.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import zlib

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPO)

LISTINGS = ("requests", "steps")
HEADING = f"{'':10}  CPU s/M  wall s/M  peak MB  grown MB  mapped MB  bytes/range  gzipped"


def read_memory(field: str) -> int:
    """Return kilobytes of VmHWM (the largest resident set) or RssFile (mapped files).

    ru_maxrss is not used: a child process inherits its parent's.
    """
    with open("/proc/self/status", encoding="ascii") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith(f"{field}:"))


def measure(directory: str, report: str) -> None:
    """Write one report in this process and print its figures."""
    from autoinstr.analysis.runs import find_run
    from autoinstr.diff import table as diff_table
    from autoinstr.diff.comparison import compare_runs
    from autoinstr.report.formats import FORMATS
    from autoinstr.report.options import TableOptions

    path = os.path.join(directory, f"out.{report}")
    start_memory = read_memory("VmHWM")
    wall, cpu = time.perf_counter(), time.process_time()
    run = find_run(directory)
    with open(path, "wb") as stream:
        if report == "read":
            for recording in run.recordings:
                for _ in recording.read_blocks():
                    pass
        elif report == "diff":
            comparison = compare_runs(run, find_run(directory), lambda count: None)
            options = TableOptions(width=100, sort="difference")
            for line in diff_table.format_diff(comparison, options):
                stream.write(f"{line}\n".encode())
        elif report == "ascend-db":  # it writes a folder for each process
            FORMATS[report].write(run, f"{path}.folders", TableOptions(), lambda count: None)
        else:
            name, table = ("csv", report) if report in LISTINGS else (report, "modules")
            limit = 0 if name == "csv" else 30
            options = TableOptions(table=table, limit=limit, screen_lines=46)
            FORMATS[name].write(run, stream, options, lambda count: None)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = read_memory("VmHWM")
    print(
        cpu,
        wall,
        peak / 1024,
        (peak - start_memory) / 1024,
        read_memory("RssFile") / 1024,
        measure_size(path) + measure_size(f"{path}.folders"),
    )


def measure_size(path: str) -> int:
    """Return the bytes of a file, or of all files in a folder; 0 if it does not exist."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(path)
        for name in names
    )


def main() -> None:
    from autoinstr.report.formats import FORMATS
    from benchmarks.report_data import write_model_run, write_served_run

    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    processes = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    reports = ("read", *FORMATS, "diff")
    with tempfile.TemporaryDirectory() as directory:
        ranges = write_model_run(directory, int(millions * 1e6), processes)
        print(f"{ranges:,} ranges, {processes} processes, Python {sys.version.split()[0]}")
        print_table(directory, ranges, reports)
    with tempfile.TemporaryDirectory() as directory:
        ranges, steps, requests = write_served_run(directory, int(min(millions, 1.0) * 1e6))
        print(f"\n{ranges:,} ranges, {steps:,} steps, {requests:,} requests")
        print_table(directory, ranges, (*reports, *LISTINGS))


def print_table(directory: str, ranges: int, reports: tuple[str, ...]) -> None:
    """Measure each report in a process of its own.

    Its output, which may be gigabytes, is deleted at once.
    """
    print(HEADING)
    for report in reports:
        process = subprocess.run(
            [sys.executable, __file__, "--one", directory, report],
            capture_output=True,
            text=True,
            check=True,
        )
        cpu, wall, peak, growth, mapped, size = map(float, process.stdout.split())
        path = os.path.join(directory, f"out.{report}")
        compressed = measure_compressed_size(path) / ranges
        os.unlink(path)
        shutil.rmtree(f"{path}.folders", ignore_errors=True)
        scale = 1e6 / ranges
        times = f"{cpu * scale:7.2f}  {wall * scale:8.2f}"
        memory = f"{peak:7.0f}  {growth:8.0f}  {mapped:9.0f}"
        print(
            f"{report:10}  {times}  {memory}  {size / ranges:11.2f}  {compressed:7.2f}", flush=True
        )


def measure_compressed_size(path: str) -> int:
    """Return the bytes that `gzip -1` makes of a file."""
    compressor, size = zlib.compressobj(1), 0
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            size += len(compressor.compress(chunk))
    return size + len(compressor.flush())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(sys.argv[2], sys.argv[3])
    else:
        main()
