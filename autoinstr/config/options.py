"""The one table of options.

From it come the environment names, the keys of TOML files, the flags of `autoinstr run`,
docs/configuration.md and the near-miss suggestions. What is not in it is not an option.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from autoinstr.config.value_types import (
    Choice,
    Flag,
    Kind,
    List,
    Megabytes,
    Mode,
    Pairs,
    Path,
    Text,
    Window,
)

EMITTERS = ("auto", "mstx", "nvtx", "torch", "recorder", "none")


class Option(NamedTuple):
    """One option. `default` None with a `shown` text means: not set, decided where it is used, as
    `shown` says."""

    name: str
    group: str
    kind: Kind
    default: Any
    shown: str
    help: str
    in_toml: bool = True

    @property
    def environment(self) -> str:
        """Its environment name."""
        return f"AUTOINSTR_{self.name.upper()}"

    @property
    def flag(self) -> str:
        """Its flag of `autoinstr run`."""
        return f"--{self.name.replace('_', '-')}"


RECORDED = "what is recorded"
STORED = "where it is stored"
ASCEND = "profilers and Ascend"
SAID = "log and configuration file"
GROUPS = (RECORDED, STORED, ASCEND, SAID)

OPTIONS = (
    Option(
        "out",
        STORED,
        Path(),
        None,
        "./autoinstr-runs/<UTC seconds>-<host>-<pid>-<8 hex>",
        "the run directory: one folder for all processes of a run; made absolute and exported by the first process, created 0700 at the"
        " first recording; where it cannot be written, $TMPDIR is used and one log line says so",
    ),
    Option(
        "emitter",
        RECORDED,
        List("auto, mstx, nvtx, torch, recorder, none, or a comma list", EMITTERS, alone=("none",)),
        ("auto",),
        "auto",
        "where ranges go; auto is mstx where torch_npu is loaded, nvtx under nsys, else the recorder",
    ),
    Option(
        "when",
        RECORDED,
        Choice("always", "profiling", "manual"),
        None,
        "profiling for mstx, nvtx and torch, always for recorder",
        "when ranges are written: always, only while a profiler runs, or between `autoinstr ctl on` and `off`",
    ),
    Option(
        "window",
        RECORDED,
        Window(),
        None,
        "all",
        "which steps, counted from each activation: `10:5` leaves out ten steps and takes five; `10:` takes all from the eleventh."
        " A step is a model-runner step with scheduled tokens, else an Optimizer.step, else an outermost call; dummy runs never count",
    ),
    Option(
        "name",
        RECORDED,
        Choice("class", "path", "path:class"),
        None,
        "class for mstx, nvtx and torch, path:class for recorder",
        "what a module's range is called: its class, its dotted path, or both",
    ),
    Option(
        "include",
        RECORDED,
        List("comma-separated globs"),
        (),
        "all",
        "the modules to keep: with a dot a whole path, bare a whole path or a class; `class:`, `path:`, `re:` (a regular expression, sought"
        " in the path), `depth:N` (at most N; the root is 0), `depth:A-B`, `depth:A-`; `*` spans dots too",
    ),
    Option(
        "exclude",
        RECORDED,
        List("comma-separated globs"),
        (),
        "nothing",
        "the modules to leave out, written as for include; exclude wins",
    ),
    Option(
        "targets",
        RECORDED,
        List("default, all, none, or globs of target names", alone=("all", "none")),
        ("default",),
        "default",
        "which functions get ranges of their own, beside modules; own rows are TOML tables `[[autoinstr.custom_target]]`",
    ),
    Option(
        "streams",
        ASCEND,
        Choice("off", "steps", "on"),
        None,
        "steps for mstx, off for the others",
        "which ranges carry a device stream: none, step-level targets, or modules too (domain `ModuleDevice`)",
    ),
    Option(
        "domain",
        ASCEND,
        Text(),
        "Module",
        "Module",
        "the domain of module ranges; module_statistic looks for `Module`",
    ),
    Option(
        "attributes", ASCEND, Flag(), False, "off", "append attributes to mstx and nvtx messages"
    ),
    Option(
        "profiler",
        ASCEND,
        Pairs(),
        {},
        "what the program sets, with mstx on and db exported where mstx is the emitter",
        "profiler parameters to set over the program's own: level, aic_metrics, l2_cache, export_type, record_shapes, with_stack,"
        " with_modules, … (docs/profiler.md)",
    ),
    Option(
        "capture",
        ASCEND,
        Choice("off", "only", "through"),
        "off",
        "off",
        "profile graph capture: not at all, in a session of its own, or in one session that stays open until the profiler stops",
    ),
    Option(
        "mspti",
        ASCEND,
        Flag(),
        True,
        "on",
        "off keeps ranges out of MSPTI, the kill switch for a profiler that reads them",
    ),
    Option(
        "durability",
        STORED,
        Choice("step", "range"),
        "step",
        "step",
        "what a SIGKILL may cost: both are the same by now, since the format loses no range that had begun (docs/internals/recording-format.md)",
    ),
    Option(
        "max_mb",
        STORED,
        Megabytes(),
        512,
        "512",
        "the size that the recording of one process never exceeds, in MB of 2^20 bytes",
    ),
    Option(
        "full",
        STORED,
        Choice("stop", "ring"),
        "stop",
        "stop",
        "what a full recording does: keep the first ranges, or the last",
    ),
    Option(
        "mode",
        STORED,
        Mode(),
        0o600,
        "0600",
        "the file mode of recordings; who may read them may enter the run directory",
    ),
    Option(
        "log",
        SAID,
        Choice("debug", "info", "warning", "error"),
        "warning",
        "warning",
        "the least serious log line that is written",
    ),
    Option(
        "log_format",
        SAID,
        Choice("console", "json"),
        "console",
        "console",
        "the shape of log lines: readable, or one JSON object a line",
    ),
    Option(
        "log_file",
        SAID,
        Path(),
        None,
        "stderr",
        "the file to append log lines to; created 0600; a link is refused, and a file of another user",
    ),
    Option(
        "config",
        SAID,
        Path(),
        None,
        "none",
        "a TOML file with the options under `[autoinstr]`",
        in_toml=False,
    ),
)

BY_NAME = {option.name: option for option in OPTIONS}

_QUIET = {"when": "profiling", "name": "class", "streams": "off"}
# What `when`, `name` and `streams` are for an emitter as long as the user has not said.
PER_EMITTER: dict[str, dict[str, str]] = {
    "mstx": {**_QUIET, "streams": "steps"},
    "nvtx": _QUIET,
    "torch": _QUIET,
    "recorder": {"when": "always", "name": "path:class", "streams": "off"},
}
