"""The table of options.

Environment variables, TOML keys, flags of `autoinstr run`, docs/reference/options.md and the
suggestions for wrong names are made from it. emitter_texts.py has what depends on the emitters.
"""

from __future__ import annotations

from autoinstr.config.emitter_texts import (
    EmitterList,
    describe_emitter_choice,
    describe_name,
    describe_streams,
    describe_when,
)
from autoinstr.config.list_types import ListType, PairsType
from autoinstr.config.option import (
    LOG_AND_FILE,
    METRICS,
    PROFILERS_AND_ASCEND,
    WHAT_IS_RECORDED,
    WHERE_IT_IS_STORED,
    WITHOUT_EFFECT,
    Option,
)
from autoinstr.config.value_types import (
    AddressType,
    ChoiceType,
    FlagType,
    MegabytesType,
    ModeType,
    PathType,
    TextType,
    WindowType,
)

OPTIONS = (
    Option(
        "out",
        WHERE_IT_IS_STORED,
        PathType(),
        None,
        "./autoinstr-runs/<UTC seconds>-<host>-<pid>-<8 hex>",
        "the run directory, one folder for all processes of a run. The first process makes the "
        "path absolute and exports it. The first recording creates the folder with mode 0700. If "
        "it cannot be written, a folder in $TMPDIR replaces it, and one log line says so",
    ),
    Option("emitter", WHAT_IS_RECORDED, EmitterList(), ("auto",), "auto", describe_emitter_choice),
    Option(
        "when",
        WHAT_IS_RECORDED,
        ChoiceType("always", "profiling", "manual"),
        None,
        describe_when,
        "when ranges are written: always, only while a profiler runs, or between `autoinstr ctl "
        "on` and `off`",
    ),
    Option(
        "window",
        WHAT_IS_RECORDED,
        WindowType(),
        None,
        "all",
        "which steps to record, counted from each activation: `10:5` skips ten steps and records "
        "five, `10:` records all from the eleventh. A step is a model-runner step with scheduled "
        "tokens; without these, an Optimizer.step; without these, an outermost call. Dummy runs "
        "never count",
    ),
    Option(
        "name",
        WHAT_IS_RECORDED,
        ChoiceType("class", "path", "path:class"),
        None,
        describe_name,
        "the message of a module's range: its class, its dotted path, or both",
    ),
    Option(
        "include",
        WHAT_IS_RECORDED,
        ListType("comma-separated globs"),
        (),
        "all",
        "the modules to keep. A glob with a dot matches a whole path, one without a dot a whole "
        "path or a class. Other forms: `class:`, `path:`, `re:` (a regular expression, searched "
        "in the path), `depth:N` (at most N; the root is 0), `depth:A-B`, `depth:A-`. `*` matches "
        "dots too",
    ),
    Option(
        "exclude",
        WHAT_IS_RECORDED,
        ListType("comma-separated globs"),
        (),
        "nothing",
        "the modules to exclude, written as for include; exclude has priority",
    ),
    Option(
        "targets",
        WHAT_IS_RECORDED,
        ListType("default, all, none, or globs of target names", alone=("all", "none")),
        ("default",),
        "default",
        "which functions get ranges of their own, in addition to modules. Add targets with TOML "
        "tables `[[autoinstr.custom_target]]`",
    ),
    Option(
        "compiled",
        WHAT_IS_RECORDED,
        ChoiceType("modules", "again", "off"),
        "modules",
        "modules, where the installed torch is known",
        "ranges inside code that torch.compile made: `again` compiles anew, without the caches",
    ),
    Option(
        "streams",
        PROFILERS_AND_ASCEND,
        ChoiceType("off", "steps", "on"),
        None,
        describe_streams,
        "which ranges carry a device stream: none, step-level targets, or modules too (domain "
        "`device:Module`)",
    ),
    Option(
        "domain",
        PROFILERS_AND_ASCEND,
        TextType(),
        "Module",
        "Module",
        "the domain of module ranges; module_statistic reads `Module`",
    ),
    Option(
        "attributes",
        PROFILERS_AND_ASCEND,
        FlagType(),
        False,
        "off",
        "append attributes to messages of emitters that take them (mstx, nvtx, …)",
    ),
    Option(
        "profiler",
        PROFILERS_AND_ASCEND,
        PairsType(),
        {},
        "what the program sets, with mstx on and db exported where mstx is the emitter",
        "profiler parameters that replace those of the program: level, aic_metrics, l2_cache, "
        "export_type, record_shapes, with_stack, with_modules, … "
        "(docs/reference/emitters-and-profilers.md)",
    ),
    Option(
        "capture",
        PROFILERS_AND_ASCEND,
        ChoiceType("off", "only", "through"),
        "off",
        "off",
        "profile graph capture: not at all, in a session of its own, or in one session that stays "
        "open until the profiler stops",
    ),
    Option(
        "mspti",
        PROFILERS_AND_ASCEND,
        FlagType(),
        True,
        "on",
        "off hides ranges from MSPTI, for a profiler that fails on them",
    ),
    Option(
        "metrics",
        METRICS,
        ChoiceType("off", "prometheus", "otlp"),
        "off",
        "off",
        "live figures: for Prometheus (on vLLM's own /metrics, else a port), or an OTLP endpoint",
    ),
    Option(
        "metrics_address",
        METRICS,
        AddressType(),
        ("127.0.0.1", 9464),
        "127.0.0.1:9464",
        "where the port for Prometheus listens: only on loopback, unless you say otherwise",
    ),
    Option(
        "max_mb",
        WHERE_IT_IS_STORED,
        MegabytesType(),
        512,
        "512",
        "the maximum size of one process's recording, in MB of 2^20 bytes",
    ),
    Option(
        "full",
        WHERE_IT_IS_STORED,
        ChoiceType("stop", "ring"),
        "stop",
        "stop",
        "what a full recording keeps: the first ranges (stop), or the last ones (ring)",
    ),
    Option(
        "mode",
        WHERE_IT_IS_STORED,
        ModeType(),
        0o600,
        "0600",
        "the file mode of recordings. Users who may read them may enter the run directory",
    ),
    Option(
        "log",
        LOG_AND_FILE,
        ChoiceType("debug", "info", "warning", "error"),
        "warning",
        "warning",
        "the lowest level of log lines that are written",
    ),
    Option(
        "log_format",
        LOG_AND_FILE,
        ChoiceType("console", "json"),
        "console",
        "console",
        "the format of log lines: readable text, or one JSON object for each line",
    ),
    Option(
        "log_file",
        LOG_AND_FILE,
        PathType(),
        None,
        "stderr",
        "the file that log lines are appended to, created with mode 0600. A link, or a file of "
        "another user, is refused",
    ),
    Option(
        "config",
        LOG_AND_FILE,
        PathType(),
        None,
        "none",
        "a TOML file with the options in the table `[autoinstr]`",
        in_toml=False,
    ),
    Option(
        "durability",
        WITHOUT_EFFECT,
        ChoiceType("step", "range"),
        "step",
        "step",
        "nothing: with both values, a SIGKILL loses no range that had begun. The option is "
        "accepted because existing configurations set it",
    ),
)

BY_NAME = {option.name: option for option in OPTIONS}
