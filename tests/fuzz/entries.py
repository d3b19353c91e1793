"""What is fuzzed: functions of bytes that may raise an AutoinstrError of one line, and nothing else."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from autoinstr import config
from autoinstr.errors import AutoinstrError
from autoinstr.filters import compile_filter
from autoinstr.options import OPTIONS
from autoinstr.recording import format as f
from autoinstr.recording.writer import RecordingFull, RecordingWriter
from autoinstr.report.formats import FORMATS
from autoinstr.report.merge.directory import merge
from autoinstr.report.runs import find
from autoinstr.report.table import Look
from autoinstr.targets.rows import custom

PATHS = (("", "Net"), ("layers.3.mlp", "MLP"), ("a" * 300, "Ü\n"), (".." * 60, ""))


def environment(data: bytes) -> None:
    """Options, the first line for AUTOINSTR, the others for the options in turn."""
    lines = data.decode("utf-8", "surrogateescape").replace("\0", "").split("\n")
    environ = {"AUTOINSTR": lines[0], **{f"AUTOINSTR_{option.name.upper()}": line for option, line in zip(OPTIONS, lines[1:]) if line}}
    loaded = config.load(environ)
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
        loaded = config.load({"AUTOINSTR": "1", "AUTOINSTR_CONFIG": str(file)})
        custom(loaded.custom_targets, str(file))


def recording(data: bytes) -> None:
    """A recording: every format of report, and merging it with itself."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, f"a{f.SUFFIX}").write_bytes(data)
        report_all(folder)


def definitions(data: bytes) -> None:
    """Lines of JSON as a recording's definitions and attributes (those that are lists), with right checksums, and ranges of each name."""
    with tempfile.TemporaryDirectory() as folder:
        writer = RecordingWriter(str(Path(folder, f"a{f.SUFFIX}")), {"host": "h"}, max_bytes=1 << 20)
        thread = writer.new_thread(1, "main")
        now = 100
        try:
            for line in data.decode("utf-8", "replace").split("\n")[:50]:
                try:
                    entry = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                writer._append(writer._attributes if isinstance(entry, list) else writer._definitions, line)
            take, words = writer.slots(thread, 0)
            for name in (1, 2, 3, 1, 2):
                i, j, k = take()
                words[i], words[j], words[k] = name, now, now + 50 if name != 3 else 0
                now += 10
        except RecordingFull:
            pass
        writer.close()
        report_all(folder)


def report_all(folder: str) -> None:
    """Every format of report, and a merge."""
    run = find(folder)
    for made in FORMATS.values():
        made.write(run, io.BytesIO(), Look(), lambda count: None)
    merge([folder], os.path.join(folder, "merged"), latest=False, skip_unaligned=True, tick=lambda count: None)


ENTRIES: dict[str, Callable[[bytes], None]] = {
    "environment": environment,
    "patterns": patterns,
    "configuration_file": configuration_file,
    "recording": recording,
    "definitions": definitions,
}


def check(name: str, data: bytes) -> None:
    """AssertionError for anything but an answer or an AutoinstrError of one line."""
    try:
        ENTRIES[name](data)
    except AutoinstrError as error:
        assert "\n" not in str(error).strip(), str(error)
