"""Test the source of each option's value, and the errors for invalid values."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstr.base.errors import ConfigError
from autoinstr.config.config import Config, load_config, read_log_settings
from autoinstr.config.environment import choose_default_out, find_activation
from autoinstr.config.options import BY_NAME, OPTIONS

ON = {"AUTOINSTR": "1"}


def toml(folder: Path, text: str, mode: int = 0o644) -> str:
    file = folder / "a.toml"
    file.write_text(text)
    file.chmod(mode)
    return str(file)


def test_every_option_has_an_annotated_attribute() -> None:
    """mypy reads the annotations and users the table. Both must have the same names."""
    assert {*BY_NAME, "sources", "warnings", "custom_targets"} == set(Config.__annotations__)


def test_defaults() -> None:
    config = load_config(ON)
    for option in OPTIONS:
        if option.name != "out":
            assert getattr(config, option.name) == option.default, option.name
        assert config.sources[option.name] == "default"
    assert config.warnings == []
    assert config.custom_targets == []


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        load_config(ON).when = "manual"


@pytest.mark.parametrize(
    ("emitter", "when", "name", "streams"),
    [
        ("mstx", "profiling", "class", "steps"),
        ("nvtx", "profiling", "class", "off"),
        ("torch", "profiling", "class", "off"),
        ("recorder", "always", "path:class", "off"),
    ],
)
def test_what_is_not_set_follows_the_emitter(
    emitter: str, when: str, name: str, streams: str
) -> None:
    config = load_config(ON)
    assert (config.get_when(emitter), config.get_name(emitter), config.get_streams(emitter)) == (
        when,
        name,
        streams,
    )
    chosen = load_config(
        {**ON, "AUTOINSTR_WHEN": "manual", "AUTOINSTR_NAME": "path", "AUTOINSTR_STREAMS": "on"}
    )
    assert (chosen.get_when(emitter), chosen.get_name(emitter), chosen.get_streams(emitter)) == (
        "manual",
        "path",
        "on",
    )


def test_precedence_and_sources(tmp_path: Path) -> None:
    """The order is: flag, -X or AUTOINSTR, variable, file, default. Each value has its source."""
    file = toml(
        tmp_path, '[autoinstr]\nwhen = "always"\ndomain = "file"\nmax_mb = 7\nfull = "ring"\n'
    )
    environ = {
        "AUTOINSTR": "when=manual,domain=piece",
        "AUTOINSTR_DOMAIN": "variable",
        "AUTOINSTR_MAX_MB": "8",
        "AUTOINSTR_CONFIG": file,
    }
    config = load_config(environ, flags={"when": "profiling"})
    assert (config.when, config.domain, config.max_mb, config.full, config.mspti) == (
        "profiling",
        "piece",
        8,
        "ring",
        True,
    )
    assert [
        config.sources[name] for name in ("when", "domain", "max_mb", "full", "mspti", "config")
    ] == [
        "--when",
        "environment AUTOINSTR",
        "environment AUTOINSTR_MAX_MB",
        f"file {file}",
        "default",
        "environment AUTOINSTR_CONFIG",
    ]


def test_an_x_value_replaces_the_environment_and_a_bare_one_does_not() -> None:
    assert load_config({"AUTOINSTR": "when=manual"}, "domain=a").when is None
    assert load_config({"AUTOINSTR": "when=manual"}, "domain=a").sources["domain"] == "-X autoinstr"
    assert load_config({"AUTOINSTR": "when=manual"}, True).when == "manual"


@pytest.mark.parametrize(
    ("value", "xvalue", "on"),
    [
        (None, None, False),
        ("", None, False),
        ("0", None, False),
        ("Off", None, False),
        ("no", None, False),
        ("false", None, False),
        ("0,when=manual", None, False),
        ("1", None, True),
        ("when=manual", None, True),
        ("1", "0", False),
        ("0", True, True),
        (None, True, True),
        ("0", "when=manual", True),
    ],
)
def test_activation(value: str | None, xvalue: str | bool | None, on: bool) -> None:
    environ = {} if value is None else {"AUTOINSTR": value}
    assert (find_activation(environ, xvalue)[0] is not None) is on


@pytest.mark.parametrize("value", ["1", "on", "yes", "true", "True", " 1 ", ""])
def test_plain_on_sets_nothing(value: str) -> None:
    assert set(load_config({"AUTOINSTR": value}).sources.values()) == {"default"}


@pytest.mark.parametrize(
    ("value", "include", "when"),
    [
        ("include=a,b,when=manual", ("a", "b"), "manual"),
        ("when=manual,include=a,b", ("a", "b"), "manual"),
        (r"include=a\,when=manual", ("a,when=manual",), None),
        (r"include=re:x{1\,2},b", ("re:x{1,2}", "b"), None),
        ("include=a,include=b", ("a", "b"), None),
        ("when=always,when=manual", (), "manual"),
        ("1,when=manual", (), "manual"),
        (" when = manual , include = a , b ", ("a", "b"), "manual"),
    ],
)
def test_the_grammar_of_the_value(value: str, include: tuple[str, ...], when: str | None) -> None:
    config = load_config({"AUTOINSTR": value})
    assert (config.include, config.when) == (include, when)
    assert config.warnings == []


def test_a_literal_comma_in_a_path() -> None:
    assert load_config({"AUTOINSTR": r"out=/a\,b,c,when=manual"}).out == "/a,b,c"


def test_an_option_mistyped_inside_a_list_is_warned_of() -> None:
    """The syntax makes it an item of the list, which is rarely intended."""
    config = load_config({"AUTOINSTR": "include=a,emiter=recorder"})
    assert config.include == ("a", "emiter=recorder")
    assert len(config.warnings) == 1
    assert "emitter=" in config.warnings[0]


NAMES = (
    "include",
    "exclude",
    "emitter",
    "when",
    "domain",
    "max_mb",
    "window",
    "mode",
    "out",
    "profiler",
)
WORDS = st.text("abcXYZ019.*_", min_size=1, max_size=8)
VALUES = {
    "include": st.lists(WORDS, min_size=1, unique=True).map(tuple),
    "exclude": st.lists(WORDS, min_size=1, unique=True).map(tuple),
    "emitter": st.lists(
        st.sampled_from(("mstx", "nvtx", "torch", "recorder")), min_size=1, unique=True
    ).map(tuple),
    "when": st.sampled_from(("always", "profiling", "manual")),
    "domain": st.text("ab, c", min_size=1).map(str.strip).filter(bool),
    "max_mb": st.integers(1, 1 << 20),
    "window": st.tuples(st.integers(0, 99), st.none() | st.integers(1, 99)),
    "mode": st.integers(0, 0o777).map(lambda bits: bits | 0o600),
    "out": st.text("ab,./", max_size=8).map(lambda tail: os.path.abspath("/r" + tail)),
    "profiler": st.dictionaries(
        st.sampled_from(("level", "with_stack")), st.text("ab,", max_size=4), min_size=1
    ),
}
SETTINGS = st.fixed_dictionaries({}, optional=VALUES)


@given(SETTINGS)
def test_any_settings_survive_the_value_grammar(settings: dict[str, object]) -> None:
    """Every setting can be written into one value of AUTOINSTR."""
    pieces = []
    for name, value in settings.items():
        kind = BY_NAME[name].value_type
        text = kind.dump(value)
        pieces.append(f"{name}={text if kind.is_list else text.replace(',', chr(92) + ',')}")
    config = load_config({"AUTOINSTR": ",".join(pieces) or "1"})
    assert {name: getattr(config, name) for name in settings} == settings


@given(SETTINGS)
def test_children_get_the_same_configuration(settings: dict[str, object]) -> None:
    """A child that loads the result of to_environ has the same values, including out."""
    environ = {
        "AUTOINSTR": "1",
        **{
            BY_NAME[name].environment: BY_NAME[name].value_type.dump(value)
            for name, value in settings.items()
        },
    }
    parent = load_config(environ)
    child = load_config(parent.to_environ())
    for option in OPTIONS:
        assert getattr(child, option.name) == getattr(parent, option.name), option.name


def test_children_elsewhere_get_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = load_config({"AUTOINSTR": "out=runs,log_file=a.log"}).to_environ()
    monkeypatch.chdir("/")
    child = load_config(environ)
    assert (child.out, child.log_file) == (str(tmp_path / "runs"), str(tmp_path / "a.log"))


def test_the_default_run_directory_is_the_first_processs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_config({**ON, "_AUTOINSTR_DEFAULT_OUT": "/x/y"}).out == "/x/y"
    monkeypatch.chdir(tmp_path)
    out = choose_default_out({"_AUTOINSTR_DEFAULT_OUT": "relative"})
    assert re.fullmatch(rf"{tmp_path}/autoinstr-runs/\d+-[\w.-]+-{os.getpid()}-[0-9a-f]{{8}}", out)


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        (
            {"AUTOINSTR_WHEN": "profilling"},
            (
                "when='profilling' (environment AUTOINSTR_WHEN): must be one of always, "
                "profiling, manual; did you mean 'profiling'?"
            ),
        ),
        (
            {"AUTOINSTR": "wehn=manual"},
            (
                "wehn='manual' (environment AUTOINSTR): there is no such option; did you mean "
                "'when=manual'?"
            ),
        ),
        (
            {"AUTOINSTR": "when=manual,ful=ring"},
            (
                "ful='ring' (environment AUTOINSTR): there is no such option; did you mean "
                "'full=ring'?"
            ),
        ),
        (
            {"AUTOINSTR": "manual"},
            (
                "autoinstr='manual' (environment AUTOINSTR): is not on, off, a .toml file or "
                "option=value; did you mean 'when=manual'?"
            ),
        ),
        (
            {"AUTOINSTR": "include"},
            (
                "autoinstr='include' (environment AUTOINSTR): is not on, off, a .toml file or "
                "option=value; did you mean 'include='?"
            ),
        ),
    ],
)
def test_errors_name_value_source_and_nearest(environ: dict[str, str], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config({**ON, **environ})
    assert str(caught.value) == line
    assert caught.value.exit_status == 2


def test_a_run_directory_that_is_a_file(tmp_path: Path) -> None:
    """The error comes before the program starts, also for a file further up.

    An existing or missing directory is valid."""
    file = tmp_path / "file"
    file.write_text("")
    for out, said in ((file, "is a file"), (file / "a" / "b", f"{str(file)!r} is a file")):
        with pytest.raises(ConfigError) as caught:
            load_config({**ON, "AUTOINSTR_OUT": str(out)})
        line = (
            f"out={str(out)!r} (environment AUTOINSTR_OUT): {said}, and must be a directory; did "
            f"you mean '{file}-runs'?"
        )
        assert str(caught.value) == line
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError):
        load_config({**ON, "AUTOINSTR_OUT": str(tmp_path / "dangling")})
    for fine in (tmp_path, tmp_path / "new" / "er"):
        assert load_config({**ON, "AUTOINSTR_OUT": str(fine)}).out == str(fine)


def test_unknown_variables_are_one_warning() -> None:
    config = load_config({**ON, "AUTOINSTR_WEHN": "x", "AUTOINSTR_ZZZZZ": "y"})
    assert config.warnings == [
        (
            "ignored, because there is no such option: AUTOINSTR_WEHN (did you mean "
            "AUTOINSTR_WHEN?), AUTOINSTR_ZZZZZ"
        )
    ]


def test_children_do_not_repeat_a_warning() -> None:
    """vLLM starts three processes and more. Only the one that starts them logs the warning."""
    assert load_config({**ON, "AUTOINSTR_WEHN": "x", "_AUTOINSTR_WARNED": "1"}).warnings == []


@pytest.mark.parametrize(
    "variable",
    [
        "AUTOINSTR_PORT",
        "AUTOINSTR_SERVICE_HOST",
        "AUTOINSTR_SERVICE_PORT",
        "AUTOINSTR_SERVICE_PORT_HTTP",
        "AUTOINSTR_PORT_80_TCP",
        "AUTOINSTR_PORT_80_TCP_ADDR",
        "AUTOINSTR_PORT_80_TCP_PORT",
        "AUTOINSTR_PORT_80_TCP_PROTO",
        "AUTOINSTR_COLLECTOR_SERVICE_HOST",
        "AUTOINSTR_COLLECTOR_PORT_4317_TCP_ADDR",
    ],
)
def test_variables_of_kubernetes_services_are_silent(variable: str) -> None:
    assert load_config({**ON, variable: "tcp://10.0.0.1:80"}).warnings == []


def test_an_empty_variable_is_not_set() -> None:
    assert load_config({**ON, "AUTOINSTR_WHEN": ""}).sources["when"] == "default"


def test_log_settings_survive_a_broken_configuration() -> None:
    """They determine where the error is logged, so an error must not change them."""
    broken = {
        "AUTOINSTR": "wehn=x",
        "AUTOINSTR_LOG": "debug",
        "AUTOINSTR_LOG_FORMAT": "yaml",
        "AUTOINSTR_LOG_FILE": "/x",
    }
    assert read_log_settings(broken) == ("debug", "console", "/x")
    assert read_log_settings({"AUTOINSTR": "log=info"}) == ("info", "console", None)
