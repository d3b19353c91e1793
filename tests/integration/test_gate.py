"""Test when the gate switches the agent on, what it passes to children, and which processes it
leaves alone. All tests use real processes."""

from __future__ import annotations

import json
import os
import re
import sys
import zipapp
from pathlib import Path

import pytest

from tests.conftest import GATE, REPO, Python

ON = "autoinstr.instrument.importhook"
SHOW = (
    f"import json, os, sys; print(json.dumps([{ON!r} in sys.modules, {{k: v for k, "
    f"v in os.environ.items() if 'AUTOINSTR' in k}}]))"
)


def show(python: Python, *flags: str, **more: object) -> tuple[bool, dict[str, str]]:
    run = python.run(*flags, "-c", SHOW, **more)  # type: ignore[arg-type]
    assert (run.returncode, run.stderr) == (0, "")
    on, environ = json.loads(run.stdout)
    return on, environ


@pytest.mark.parametrize(
    "value", ["1", "on", "yes", "true", "emitter=recorder", "1,emitter=none", " 1 "]
)
def test_values_that_mean_on(bare: Python, value: str) -> None:
    assert show(bare, on=value)[0]
    assert show(bare, "-X", f"autoinstr={value}", on=None)[0]


@pytest.mark.parametrize(
    "value", ["", "0", "off", "no", "false", "OFF", "False", " no ", "0,emitter=recorder"]
)
def test_values_that_mean_off(bare: Python, value: str) -> None:
    on, environ = show(bare, on=value)
    assert not on and environ == {"AUTOINSTR": value}
    assert not show(bare, "-X", f"autoinstr={value}", on="1")[0], "-X must win over the environment"
    assert show(bare, "-X", f"autoinstr={value}", on="1")[1]["AUTOINSTR"] == value, (
        "children would be on"
    )


def test_not_asked_for(bare: Python) -> None:
    assert show(bare, on=None) == (False, {})


def test_x_alone_is_exported_for_children(bare: Python) -> None:
    on, environ = show(bare, "-X", "autoinstr", on=None)
    assert on and environ["AUTOINSTR"] == "1"
    on, environ = show(bare, "-X", "autoinstr=emitter=recorder,when=manual", on="1")
    assert on and environ["AUTOINSTR"] == "emitter=recorder,when=manual"
    child = (
        f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', "
        f"{SHOW!r}]).returncode)"
    )
    assert json.loads(bare.run("-X", "autoinstr", "-c", child, on=None).stdout)[0]


def test_the_default_run_directory(bare: Python) -> None:
    _, environ = show(bare)
    folder, name = os.path.split(environ["_AUTOINSTR_DEFAULT_OUT"])
    assert folder == str(bare.cwd / "autoinstr-runs")
    assert re.fullmatch(r"\d{10}-[A-Za-z0-9_][A-Za-z0-9._-]*-\d+-[0-9a-f]{8}", name)
    assert (
        show(bare, env={"_AUTOINSTR_DEFAULT_OUT": "/elsewhere"})[1]["_AUTOINSTR_DEFAULT_OUT"]
        == "/elsewhere"
    )
    assert not list(bare.cwd.iterdir()), "the gate creates nothing"


def test_children_in_another_directory_agree_on_every_path(bare: Python, tmp_path: Path) -> None:
    other = tmp_path / "a,b"
    other.mkdir()
    program = (
        f"import os, subprocess, sys; os.chdir({str(other)!r}); subprocess.run([sys.executable, "
        f"'-c', {SHOW!r}])"
    )
    value = r"out=runs/x\,y,include=a.*,b.*,config=own.toml,log_file=log.txt"
    for flags, on in (((), value), (("-X", f"autoinstr={value}"), None)):
        environ = json.loads(bare.run(*flags, "-c", program, on=on).stdout)[1]
        cwd = str(bare.cwd)
        assert (
            environ["AUTOINSTR"]
            == rf"out={cwd}/runs/x\,y,include=a.*,b.*,config={cwd}/own.toml,log_file={cwd}/log.txt"
        )
        assert environ["AUTOINSTR_OUT"] == f"{cwd}/runs/x,y"
    environ = json.loads(
        bare.run(
            "-c", program, env={"AUTOINSTR_OUT": "../runs", "AUTOINSTR_CONFIG": "c.toml"}
        ).stdout
    )[1]
    assert (environ["AUTOINSTR_OUT"], environ["AUTOINSTR_CONFIG"]) == (
        str(tmp_path / "runs"),
        f"{cwd}/c.toml",
    )
    environ = json.loads(bare.run("-c", program, on="own.toml").stdout)[1]
    assert environ["AUTOINSTR"] == f"{cwd}/own.toml"
    assert show(bare, on="out=x", cwd=other)[1]["AUTOINSTR"] == "out=" + str(other / "x").replace(
        ",", "\\,"
    )


def test_config_reads_the_value_that_the_gate_wrote(bare: Python, tmp_path: Path) -> None:
    program = (
        "import os, sys; os.chdir('/')\nfrom autoinstr.config import config\n"
        "loaded = config.load_config(os.environ, sys._xoptions.get('autoinstr'))\n"
        "print(loaded.out, loaded.include)"
    )
    run = bare.run("-X", r"autoinstr=out=r\,s,include=a.*,b.*", "-c", program, on=None)
    assert run.stdout == f"{bare.cwd}/r,s ('a.*', 'b.*')\n", run.stderr
    run = bare.run("-c", program, path=(GATE,))
    assert run.stdout.startswith(f"{bare.cwd}/autoinstr-runs/")


def test_a_working_directory_that_was_removed(bare: Python) -> None:
    shell = Python("/bin/sh", bare.cwd)
    run = shell.run("-c", f'mkdir gone; cd gone; rmdir ../gone; "{bare.executable}" -c "{SHOW}"')
    on, environ = json.loads(run.stdout)
    assert on and "_AUTOINSTR_DEFAULT_OUT" not in environ and run.stderr == ""


def test_sys_path_is_as_without_us(bare: Python) -> None:
    program = "import sys; print(sys.path)"
    assert bare.run("-c", program).stdout == bare.run("-c", program, path=(), on=None).stdout


@pytest.mark.parametrize("flags", [("-E",), ("-I",), ("-S",)], ids=" ".join)
def test_flags_that_ask_python_to_ignore_the_path(bare: Python, flags: tuple[str, ...]) -> None:
    assert not show(bare, *flags)[0]


def test_an_empty_environment_is_off(bare: Python) -> None:
    program = (
        f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {SHOW!r}], "
        f"env={{}}).returncode)"
    )
    run = bare.run("-c", program)
    assert json.loads(run.stdout) == [False, {}] and run.stderr == ""


def test_a_zipapp(bare: Python, tmp_path: Path) -> None:
    source = tmp_path / "app"
    source.mkdir()
    (source / "__main__.py").write_text(SHOW)
    zipapp.create_archive(source, tmp_path / "app.pyz")
    assert json.loads(bare.run(tmp_path / "app.pyz").stdout)[0]


def test_stdin_and_interactive_programs(bare: Python) -> None:
    assert json.loads(bare.run(input=SHOW).stdout)[0]
    assert json.loads(bare.run("-", "x", input=SHOW).stdout)[0]


# -- Processes that are left alone -----------------------------------------------------------------


def verdicts(
    python: Python, *args: str | os.PathLike[str], **more: object
) -> dict[str, tuple[str, str]]:
    """Command line -> (on or off, reason) of every Python process that the command started, as the
    gates themselves reported."""
    file = python.cwd / "verdicts"
    file.unlink(missing_ok=True)
    python.run(*args, env={"_AUTOINSTR_VERDICTS": str(file)}, **more)  # type: ignore[arg-type]
    rows = [line.split("\t") for line in file.read_text().splitlines()]
    return {row[4].replace("\x1f", " "): (row[2], row[3]) for row in rows}


@pytest.mark.parametrize(
    "args",
    [
        ("-m", "pip", "--version"),
        ("-mpip", "--version"),
        ("-sm", "pip", "--version"),
        ("-W", "ignore", "-X", "dev", "-m", "pip", "--version"),
        ("-Wignore", "-Bum", "py_compile"),
        ("-m", "compileall", "-q", "."),
        ("-m", "venv", "--help"),
        ("-m", "ensurepip", "--version"),
        ("--check-hash-based-pycs", "never", "-m", "py_compile"),
    ],
    ids=" ".join,
)
def test_tools_are_left_alone(bare: Python, args: tuple[str, ...]) -> None:
    found = verdicts(bare, *args)
    assert found and {on for on, _ in found.values()} == {"off"}, found
    assert "not a program of the user" in next(iter(found.values()))[1]


def test_pip_started_by_ensurepip_and_by_its_script(bare: Python) -> None:
    """ensurepip, and so venv, starts pip through -c."""
    found = verdicts(bare, "-c", "import ensurepip; ensurepip._run_pip(['--version'], [])")
    assert [on for line, (on, _) in found.items() if "run_module" in line] == ["off"], found
    script = bare.cwd / "pip3.11"
    script.write_text("from pip._internal.cli.main import main\nmain(['--version'])\n")
    assert [on for on, _ in verdicts(bare, script).values()] == ["off"]


@pytest.mark.parametrize(
    "args",
    [
        ("-c", "print('-m pip')"),
        ("-c", "import runpy"),
        ("-m", "this"),
        ("-m", "piper_model"),
        ("pip_benchmark.py",),
        ("train.py", "-m", "pip"),
        ("-X", "dev", "train.py"),
        ("-c", "0", "-m", "pip"),
    ],
    ids=" ".join,
)
def test_programs_that_only_look_like_tools_are_wanted(bare: Python, args: tuple[str, ...]) -> None:
    for name in ("pip_benchmark.py", "train.py", "piper_model.py"):
        (bare.cwd / name).write_text("")
    assert [on for on, _ in verdicts(bare, *args).values()] == ["on"]


def test_multiprocessing_helpers(bare: Python) -> None:
    """The resource tracker is left alone; the forkserver is not: user code runs in its children,
    where no sitecustomize runs."""
    script = bare.cwd / "job.py"
    script.write_text(
        "import multiprocessing, sys\ndef work(x):\n    return 'autoinstr' in sys.modules\n"
        "if __name__ == '__main__':\n    with "
        "multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:\n"
        "        print(pool.map(work, [1]))\n"
    )
    seen = {}
    for method in ("spawn", "forkserver"):
        for line, (on, _) in verdicts(bare, script, method).items():
            seen[
                next(
                    (
                        word
                        for word in (
                            "resource_tracker",
                            "forkserver import",
                            "spawn_main",
                            "job.py",
                        )
                        if word in line
                    ),
                    line,
                )
            ] = on
    assert seen == {
        "job.py": "on",
        "resource_tracker": "off",
        "spawn_main": "on",
        "forkserver import": "on",
    }


def test_inductor_and_vllm_helpers(bare: Python, tmp_path: Path) -> None:
    """Their files, at their places, started as torch and vLLM start them."""
    site = tmp_path / "site"
    scripts = (
        "torch/_inductor/compile_worker/__main__.py",
        "torch/_inductor/__autotune_main__.py",
        "vllm/model_executor/models/registry.py",
    )
    for name in scripts:
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text("")
        for folder in list((site / name).parents)[: len(Path(name).parents) - 1]:
            (folder / "__init__.py").write_text("")  # else the installed torch would be found
    path = (GATE, site)
    for args in (
        (site / scripts[0], "--kind=fork"),
        (site / scripts[1],),
        ("-m", "vllm.model_executor.models.registry"),
    ):
        assert [on for on, _ in verdicts(bare, *args, path=path).values()] == ["off"]
    for args in (
        ("-m", "torch._inductor.compile_worker"),
        ("-m", "torch._inductor.__autotune_main__"),
    ):
        assert [on for on, _ in verdicts(bare, *args, path=path).values()] == ["off"]
    assert [
        on for on, _ in verdicts(bare, "-m", "vllm.model_executor.models", path=path).values()
    ] == ["on"]


def test_the_helpers_are_still_started_that_way() -> None:
    """The lists in the gate go stale silently, so they are compared with the torch and vLLM that
    are installed."""
    import importlib.util

    torch, vllm = importlib.util.find_spec("torch"), importlib.util.find_spec("vllm")
    if torch is None or torch.origin is None:
        pytest.skip("torch is not installed")
    inductor = Path(torch.origin).parent / "_inductor"
    assert (inductor / "compile_worker" / "__main__.py").is_file() and (
        inductor / "__autotune_main__.py"
    ).is_file()
    if vllm is not None and vllm.origin is not None:
        registry = Path(vllm.origin).parent / "model_executor" / "models" / "registry.py"
        assert '"-m", "vllm.model_executor.models.registry"' in registry.read_text()


def test_left_alone_means_untouched(bare: Python) -> None:
    probe = bare.cwd / "pip"
    probe.write_text(SHOW)
    assert json.loads(bare.run(probe).stdout) == [False, {"AUTOINSTR": "1"}]
    assert sys.version_info >= (3, 9) and REPO.is_dir()
