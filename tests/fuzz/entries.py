"""What is fuzzed: functions of bytes that may raise an AutoinstrError of one line, and nothing
else."""

from __future__ import annotations

import io
import json
import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from autoinstr.analysis.blocks import ignore_tick
from autoinstr.analysis.runs import find_run
from autoinstr.base.errors import AutoinstrError
from autoinstr.config import config
from autoinstr.config.filters import compile_filter
from autoinstr.config.options import OPTIONS
from autoinstr.merge.directory import merge_runs
from autoinstr.recording import format as f
from autoinstr.recording.block_writer import RecordingFull
from autoinstr.recording.writer import RecordingWriter
from autoinstr.report.formats import FORMATS
from autoinstr.report.options import TableOptions
from autoinstr.targets.custom_targets import parse_custom_targets
from tests.fuzz.seeds import PAIRS, sound, with_clock

T = TypeVar("T")
PATHS = (("", "Net"), ("layers.3.mlp", "MLP"), ("a" * 300, "Ü\n"), (".." * 60, ""))
CLOCKS = struct.Struct("<8Q")


def environment(data: bytes) -> None:
    """Options, the first line for AUTOINSTR, the others for the options in turn."""
    lines = data.decode("utf-8", "surrogateescape").replace("\0", "").split("\n")
    environ = {
        "AUTOINSTR": lines[0],
        **{
            f"AUTOINSTR_{option.name.upper()}": line
            for option, line in zip(OPTIONS, lines[1:])
            if line
        },
    }
    loaded = config.load_config(environ)
    compile_filter(loaded.include, loaded.exclude, loaded.sources)


def patterns(data: bytes) -> None:
    """Pieces of a filter, and what it decides."""
    pieces = data.decode("utf-8", "replace").split("\n")
    if any(piece.startswith("re:") for piece in pieces):
        return  # a user's own expression may take as long as it takes
    chosen = compile_filter(pieces[::2], pieces[1::2])
    for path, cls in PATHS:
        assert isinstance(chosen.decide(path, cls, path.count(".")).keep, bool)


def configuration_file(data: bytes) -> None:
    """A TOML file, its options and rows of the user's own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.toml")
        file.write_bytes(data)
        loaded = config.load_config({"AUTOINSTR": "1", "AUTOINSTR_CONFIG": str(file)})
        parse_custom_targets(loaded.custom_targets, str(file))


def recording(data: bytes) -> int:
    """A recording: every report of it, and a merge with a sound one of another host, which never
    fails for the one that is damaged."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "given").mkdir()
        Path(folder, "given", f"a{f.SUFFIX}").write_bytes(data)
        return report_and_merge(folder)


def definitions(data: bytes) -> int:
    """Lines of JSON as a recording's definitions and attributes (those that are lists), with right
    checksums, and ranges of each name."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "given", f"a{f.SUFFIX}")
        file.parent.mkdir()
        writer = RecordingWriter(str(file), {"host": "h"}, max_bytes=1 << 20)
        thread = writer.new_thread(1, "main")
        now = 100
        try:
            for line in data.decode("utf-8", "replace").split("\n")[:50]:
                try:
                    entry = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                writer._append(
                    writer._attributes if isinstance(entry, list) else writer._definitions, line
                )
            take, words = writer.allocate_slots(thread, 0)
            for name in (1, 2, 3, 1, 2):
                i, j, k = take()
                words[i], words[j], words[k] = name, now, now + 50 if name != 3 else 0
                now += 10
        except RecordingFull:
            pass
        writer.close()
        file.write_bytes(with_clock(file.read_bytes(), PAIRS))  # of the sound one's time
        return report_and_merge(folder)


def merge_inputs(data: bytes) -> int:
    """Two recordings: 64 bytes change the clock pairs of both (nothing, or zeros: they stay sound),
    the next says what they have in common, and every four more change one byte: in which of the two
    and where, and to what."""
    changes = CLOCKS.unpack(data[: CLOCKS.size].ljust(CLOCKS.size, b"\0"))
    shared = data[CLOCKS.size] if len(data) > CLOCKS.size else 0
    boot = "" if shared & 4 else "boot of one"
    host, other = (
        ("one" if shared & 1 else "two"),
        (boot if shared & 2 or not boot else "boot of two"),
    )
    inputs = [sound(boot=boot), sound(host, other, 1, 1000 if shared & 8 else 2000)]
    changed = [
        bytearray(with_clock(one, tuple(map(int.__xor__, PAIRS, changes[4 * at : 4 * at + 4]))))
        for at, one in enumerate(inputs)
    ]
    edits = data[CLOCKS.size + 1 :]
    for at in range(0, len(edits) - 3, 4):
        which = changed[edits[at] & 1]
        which[int.from_bytes(edits[at + 1 : at + 3], "little") % len(which)] = edits[at + 3]
    with tempfile.TemporaryDirectory() as folder:
        for name, one in zip(("given", "beside"), changed):
            Path(folder, name).mkdir()
            Path(folder, name, f"a{f.SUFFIX}").write_bytes(one)
        return merge_both(folder)


def report_and_merge(folder: str) -> int:
    """Every report of the run directory `given`, and a merge with a sound one; how many recordings
    were merged, at least one."""
    report_all(os.path.join(folder, "given"), os.path.join(folder, "databases"))
    Path(folder, "beside").mkdir()
    Path(folder, "beside", f"a{f.SUFFIX}").write_bytes(sound("sound", "boot of sound", 1))
    merged = merge_both(folder)
    assert merged, "a damaged recording keeps the sound one from being merged"
    return merged


def merge_both(folder: str) -> int:
    """Merge `given` and `beside`; how many recordings were. It is made whole or not at all, and
    every report of it can be made."""
    sources = [os.path.join(folder, name) for name in ("given", "beside")]
    out = os.path.join(folder, "merged")
    before = set(os.listdir(folder))
    done = answer(
        lambda: merge_runs(sources, out, latest=False, skip_unaligned=True, tick=ignore_tick)
    )
    assert set(os.listdir(folder)) - before == ({"merged"} if done else set()), os.listdir(folder)
    if done is None:
        return 0
    assert done.directory_count == 2
    given = {Path(source, f"a{f.SUFFIX}").read_bytes() for source in sources}
    copies = [file.read_bytes() for file in Path(out).iterdir()]
    assert len(copies) == len(done.sources) and given.issuperset(copies), (
        "something else than what was given"
    )
    assert len(find_run(out).recordings) == len(copies)
    report_all(out, os.path.join(folder, "merged databases"))
    return len(copies)


def report_all(path: str, databases: str) -> None:
    """Every format of report, also where another one could not be made."""
    run = answer(lambda: find_run(path))
    if run is None:
        return
    for row in FORMATS.values():
        target = databases if row.writes_folder else io.BytesIO()
        answer(lambda row=row, target=target: row.write(run, target, TableOptions(), ignore_tick))  # type: ignore[misc]


ENTRIES: dict[str, Callable[[bytes], int | None]] = {
    "environment": environment,
    "patterns": patterns,
    "configuration_file": configuration_file,
    "recording": recording,
    "definitions": definitions,
    "merge_inputs": merge_inputs,
}


def answer(work: Callable[[], T]) -> T | None:
    """What it returns, or None for an AutoinstrError. AssertionError where that is not of one
    line."""
    try:
        return work()
    except AutoinstrError as error:
        assert "\n" not in str(error).strip(), str(error)
        return None


def check(name: str, data: bytes) -> int | None:
    """AssertionError for anything but an answer or an AutoinstrError of one line. How many
    recordings were merged, if any were to be."""
    return answer(lambda: ENTRIES[name](data))
