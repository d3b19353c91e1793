"""AUTOINSTR_PROFILER over the arguments that a program gives to the real torch_npu's profiler.

The tests read torch_npu's own objects and what reaches the simulated CANN. They do not test a real
CANN."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from autoinstr.instrument.profilers.parameters import TABLE as PARAMETERS
from tests.npu.simulated import PYTHON, Ran, RunNpu, environment

# What follows PRELUDE in every program: what torch_npu has made of what it was given.
EFFECTIVE = """
import inspect, pickle, warnings
warnings.simplefilter("ignore")
METRICS = {value: name for name, value in vars(P.AiCMetrics).items() if not name.startswith("_")}
def config_of(config):
    found = {name.lstrip("_"): value for name, value in vars(config).items()}
    found["aic_metrics"] = METRICS[found["aic_metrics"]]
    found["export_type"] = sorted(found["export_type"])
    return found
def profile_of(profile):
    interface = profile.prof_if
    flags = ("record_shapes", "profile_memory", "with_stack", "with_flops", "with_modules")
    found = {name: getattr(interface, name) for name in flags}
    found["activities"] = sorted(activity.name for activity in interface.activities)
    found["schedule"] = getattr(profile.schedule, "__dict__", None) or None
    found["on_trace_ready"] = getattr(profile.on_trace_ready, "__qualname__", None)
    return found
"""
# The call that vllm-ascend makes, with its values (vllm_ascend/profiler/torch_npu_profiler.py; in
# 0.13 worker/worker.py).
VLLM_ASCEND = """
def vllm_ascend(folder=None):
    experimental = P._ExperimentalConfig(
        export_type=P.ExportType.Text, profiler_level=P.ProfilerLevel.Level1, msprof_tx=False,
        aic_metrics=P.AiCMetrics.PipeUtilization, l2_cache=False, op_attr=False,
        data_simplification=True, record_op_args=False, gc_detect_threshold=None)
    return P.profile(
        activities=[P.ProfilerActivity.CPU,
            P.ProfilerActivity.NPU], with_stack=False, profile_memory=False, with_modules=False,
        experimental_config=experimental,
        on_trace_ready=P.tensorboard_trace_handler(folder or "vllm", analyse_flag=False))
"""
MAKE = (
    EFFECTIVE
    + VLLM_ASCEND
    + """
CONFIG, PROFILE = inspect.signature(P._ExperimentalConfig), inspect.signature(P.profile)
plain, theirs = P.profile(), vllm_ascend()
config = theirs.prof_if.experimental_config
class Mine(P.profile):
    def __init__(self, **more):
        super().__init__(activities=[P.ProfilerActivity.NPU], **more)
mine = Mine(experimental_config=config)
give(plain={**profile_of(plain), **config_of(plain.prof_if.experimental_config)},
    theirs={**profile_of(theirs), **config_of(config)},
     mine=profile_of(mine), same=isinstance(config,
         P._ExperimentalConfig) and type(plain) is P.profile and isinstance(mine, Mine),
     copied=config_of(pickle.loads(pickle.dumps(config))) == config_of(config),
     signatures=[str(CONFIG), str(PROFILE)],
     kineto=config_of(P._KinetoProfile().prof_if.experimental_config))
try:
    P.profile(nonsense=1)
except TypeError as error:
    give(error=str(error))
"""
)
# pair -> what it makes of the profiler of vllm-ascend, beyond `theirs` without it.
TABLE: dict[str, dict[str, Any]] = {
    "activities=npu": {"activities": ["NPU"]},
    "activities=cpu": {"activities": ["CPU"]},
    "record_shapes=on": {"record_shapes": True},
    "profile_memory=on": {"profile_memory": True},
    "with_stack=on": {"with_stack": True},
    "with_modules=on": {"with_modules": True},
    "with_flops=on": {"with_flops": True},
    "schedule=wait:1,warmup:1,active:3,repeat:2,skip_first:4": {
        "schedule": {
            "wait": 1,
            "warmup": 1,
            "active": 3,
            "repeat": 2,
            "skip_first": 4,
            "skip_first_wait": 0,
        }
    },
    "export_type=text": {"export_type": ["text"]},
    "export_type=db": {"export_type": ["db"]},
    "mstx=off": {"mstx": False},
    "msprof_tx=off": {"mstx": False},
    "msprof_tx=on": {},
    "mstx_domain_include=Module,vllm": {"mstx_domain_include": ["Module", "vllm"]},
    "mstx_domain_exclude=communication": {"mstx_domain_exclude": ["communication"]},
    "level=Level0;aic_metrics=AiCoreNone": {
        "profiler_level": "Level0",
        "aic_metrics": "AiCoreNone",
    },
    "profiler_level=level2": {"profiler_level": "Level2"},
    "level=Level_none;aic_metrics=none": {
        "profiler_level": "Level_none",
        "aic_metrics": "AiCoreNone",
    },
    "aic_metrics=MemoryUB": {"aic_metrics": "MemoryUB"},
    "l2_cache=on": {"l2_cache": True},
    "op_attr=on": {"op_attr": True},
    "data_simplification=off": {"data_simplification": False},
    "record_op_args=on": {"record_op_args": True},
    "gc_detect_threshold=1.5": {"gc_detect_threshold": 1.5},
    "host_sys=cpu,mem": {"host_sys": ["cpu", "mem"]},
    "sys_io=on": {"sys_io": True},
    "sys_interconnection=on": {"sys_interconnection": True},
}


# Imports torch_npu once, then turns the agent on in a forked child for each case: the hooks find
# everything imported already.
CASES = """
def case(name, env, body):
    pid = os.fork()
    if pid == 0:
        out = os.open(name + ".txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        os.dup2(out, 1), os.dup2(out, 2)  # one order for torch_npu's warnings and ours
        try:
            if env is not None:
                os.environ.update(AUTOINSTR="1", **env)
                from autoinstr.agent import bootstrap
                bootstrap.activate()
            with open(name + ".json", "w") as file:
                json.dump(body(), file)
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
def theirs():
    made = vllm_ascend()
    return {**profile_of(made), **config_of(made.prof_if.experimental_config)}
def resets():
    A = P.ProfilerActivity
    def config(**asked):
        return config_of(P._ExperimentalConfig(**asked))
    found = dict(
        metrics=config(aic_metrics=P.AiCMetrics.Memory), attributes=config(op_attr=True),
        none=config(profiler_level=P.ProfilerLevel.Level_none),
        both=config(mstx_domain_include=["a"], mstx_domain_exclude=["Module"]),
        odd=config(export_type="odd", l2_cache=1, gc_detect_threshold=-1, host_sys=["odd"]))
    P.profile(activities=[A.NPU], experimental_config=P._ExperimentalConfig(gc_detect_threshold=1))
    P.profile(activities=[A.CPU])
    return found
"""
BAD = "level=Level9;aic_metric=Memory;export_type=text,dbb;l2_cache=on"


class Case(NamedTuple):
    """What one of them gave, and all that it wrote."""

    given: Any
    lines: list[str]

    @property
    def ours(self) -> list[str]:
        """The log lines of the agent."""
        return [line for line in self.lines if line.startswith("autoinstr:")]

    def not_taken(self) -> dict[str, str]:
        """What will not be taken: parameter -> the line."""
        return {
            line.split("parameter=")[1].split()[0]: line
            for line in self.ours
            if "will not take" in line
        }


@pytest.fixture(scope="module")
def cases(npu: RunNpu) -> dict[str, Case]:
    recorder = {"AUTOINSTR_EMITTER": "recorder"}
    wanted: dict[str, tuple[dict[str, str] | None, str]] = {
        "native": (None, "theirs"),
        "defaults": ({}, "theirs"),
        "recorder": (recorder, "theirs"),
        "recorder with a pair": (
            {**recorder, "AUTOINSTR_PROFILER": "level=Level2;mstx=on"},
            "theirs",
        ),
        "no msprof": ({"PATH": "/nowhere"}, "theirs"),
        "bad": ({"AUTOINSTR_PROFILER": BAD}, "theirs"),
        "resets": ({}, "resets"),
        "resets of pairs": (
            {"AUTOINSTR_PROFILER": "mstx=off;export_type=text;activities=npu"},
            "resets",
        ),
        "resets without us": (recorder, "resets"),
        **{
            f"pair {number}": ({"AUTOINSTR_PROFILER": pair}, "theirs")
            for number, pair in enumerate(TABLE)
        },
    }
    calls = "".join(f"case({name!r}, {env!r}, {body})\n" for name, (env, body) in wanted.items())
    ran = npu(EFFECTIVE + VLLM_ASCEND + CASES + calls)
    found = {}
    for name in wanted:
        text = (ran.folder / f"{name}.txt").read_text()
        assert (ran.folder / f"{name}.json").stat().st_size, text
        found[name] = Case(json.loads((ran.folder / f"{name}.json").read_text()), text.splitlines())
    return found


@pytest.fixture(scope="module")
def native(npu: RunNpu) -> Ran:
    return npu(MAKE)


@pytest.fixture(scope="module")
def defaults(npu: RunNpu) -> Ran:
    return npu(MAKE, agent=True)


def test_without_a_pair_vllm_ascends_profiler_has_what_module_statistic_needs(
    native: Ran, defaults: Ran, cases: dict[str, Case]
) -> None:
    before, after = native.given["theirs"], defaults.given["theirs"]
    assert (
        before["mstx"],
        before["msprof_tx"],
        before["export_type"],
        before["profiler_level"],
    ) == (False, False, ["text"], "Level1")
    assert after == {**before, "mstx": True, "export_type": ["db", "text"]}
    said = [line for line in defaults.stderr.splitlines() if line.startswith("autoinstr:")]
    assert (
        len(said) == 1
        and "no range was written: no profiler ran; start one (vLLM: /start_profile)" in said[0]
    ), said
    assert (cases["native"].given, cases["defaults"].given) == (
        before,
        after,
    )  # so a late activation does the same


def test_a_plain_profiler_has_it_too_and_nothing_else_changes(native: Ran, defaults: Ran) -> None:
    before, after = native.given["plain"], defaults.given["plain"]
    assert (
        after == {**before, "mstx": True, "export_type": ["db", "text"]}
        and after["profiler_level"] == "Level0"
    )
    assert defaults.given["kineto"]["mstx"] is True
    assert native.given["mine"]["activities"] == ["NPU"] and defaults.given["mine"][
        "activities"
    ] == ["CPU", "NPU"]


def test_the_classes_stay_what_they_are(native: Ran, defaults: Ran) -> None:
    for name in ("same", "copied", "signatures", "error"):
        assert defaults.given[name] == native.given[name], name
    assert native.given["same"] and native.given["copied"]


def test_another_emitter_changes_nothing_without_a_pair(cases: dict[str, Case]) -> None:
    assert cases["recorder"].given == cases["native"].given and cases["recorder"].ours == []
    assert cases["recorder with a pair"].given == {
        **cases["native"].given,
        "profiler_level": "Level2",
        "mstx": True,
    }


def test_without_msprof_the_programs_export_stays(cases: dict[str, Case]) -> None:
    """torch_npu's analysis ends at a database that it cannot export, before anything else is
    written."""
    assert cases["no msprof"].given == {**cases["defaults"].given, "export_type": ["text"]}
    assert (
        len(cases["no msprof"].ours) == 1 and "msprof is not on PATH" in cases["no msprof"].ours[0]
    )


@pytest.mark.parametrize(("number", "pair"), list(enumerate(TABLE)))
def test_every_parameter(cases: dict[str, Case], number: int, pair: str) -> None:
    found = dict(cases[f"pair {number}"].given)
    for name in ("mstx_domain_include", "host_sys"):
        found[name] = sorted(found[name])
    assert found == {**cases["defaults"].given, **TABLE[pair]}


def test_every_parameter_of_torch_npus_is_in_the_table() -> None:
    tested = {pair.partition("=")[0] for pairs in TABLE for pair in pairs.split(";")}
    not_of_torch_npu = {
        "acc_events",
        "post_processing_timeout_s",
        "on_trace_ready",
    }  # the last: below
    assert {
        one.name for one in PARAMETERS if one.owner in ("torch", "torch_npu")
    } - not_of_torch_npu == tested


# -- what torch_npu will not take ------------------------------------------------------------------


def test_what_torch_npu_will_not_take_is_said_before(cases: dict[str, Case]) -> None:
    given, lines = cases["resets of pairs"]
    lines = [line for line in lines if line.startswith("autoinstr:") or "[WARNING]" in line]
    assert (
        given["metrics"]["aic_metrics"] == "AiCoreNone" and given["attributes"]["op_attr"] is False
    )
    assert (
        given["none"]["mstx"] is True
        and given["both"]["mstx_domain_include"] == given["both"]["mstx_domain_exclude"] == []
    )
    for theirs, parameter in {
        "reset aic metrics to None": "aic_metrics",
        "op_attr switch is invalid": "op_attr",
        "are valid when msprof_tx or mstx is True": "mstx_domain_include",
        "must be True if profiler_level is set": "mstx",
        "Invalid parameter l2_cache": "l2_cache",
        "gc_detect_threshold can not be negative": "gc_detect_threshold",
        "Invalid parameter host_sys": "host_sys",
        "GC detect will not take effect": "gc_detect_threshold",
    }.items():
        at = next(index for index, line in enumerate(lines) if theirs in line)
        assert any(
            f"will not take a profiler parameter parameter={parameter} " in line
            for line in lines[:at]
        ), (parameter, lines)
    ours = cases["resets of pairs"].ours
    assert len(ours) == len(set(ours))


def test_with_ranges_the_rules_are_others(cases: dict[str, Case]) -> None:
    given, lines = cases["resets"].given, cases["resets"].not_taken()
    assert given["attributes"]["op_attr"] is True and "op_attr" not in lines  # db is there
    assert (
        given["both"]["mstx_domain_include"] == ["a"] and given["both"]["mstx_domain_exclude"] == []
    )
    assert "mstx_domain_include is set" in lines["mstx_domain_exclude"]
    assert given["odd"]["export_type"] == ["db", "text"] and "export_type" not in lines
    assert given["none"]["mstx"] is True and "mstx" not in lines
    filtered = [
        line for line in cases["resets"].ours if "a domain filter leaves module ranges out" in line
    ]
    assert len(filtered) == 1 and "parameter=mstx_domain_include" in filtered[0]


def test_the_programs_own_mistakes_are_its_own_affair(cases: dict[str, Case]) -> None:
    assert cases["resets without us"].ours == []


def test_bad_pairs_cost_themselves_only_and_name_the_nearest(cases: dict[str, Case]) -> None:
    assert cases["bad"].given == {**cases["defaults"].given, "l2_cache": True}
    assert len(cases["bad"].ours) == 3
    for near in (
        "did you mean level=Level",
        "did you mean aic_metrics=Memory?",
        "did you mean export_type=text,db?",
    ):
        assert any(near in line for line in cases["bad"].ours), (near, cases["bad"].ours)


# -- what reaches CANN -----------------------------------------------------------------------------

RUN = (
    EFFECTIVE
    + VLLM_ASCEND
    + """
net = torch.nn.Sequential(torch.nn.Linear(8, 4)).to("npu")
x = torch.ones(2, 8, device="npu")
net(x)
with vllm_ascend("out"):
    net(x)
[information] = glob.glob(os.environ.get("FOLDER", "out") + "/*_ascend_pt/profiler_info.json")
config = json.load(open(information))["config"]
give(written=config["experimental_config"], common=config["common_config"])
"""
)


def asked(ran: Ran) -> dict[str, str]:
    """The configuration that aclprof was given."""
    [text] = {call.message for call in ran.of("acl") if call.domain == "aclprofCreateConfig"}
    return dict(word.split("=") for word in text.split())


@pytest.fixture(scope="module")
def reached(npu: RunNpu) -> dict[str, Ran]:
    more = "level=Level2;aic_metrics=MemoryUB;l2_cache=on;profile_memory=on;on_trace_ready=there"
    pairs = {"native": None, "defaults": "", "off": "mstx=off", "more": more}
    return {
        name: npu(
            RUN,
            agent=text is not None,
            env={"AUTOINSTR_PROFILER": text, "FOLDER": "there" if text == more else "out"}
            if text
            else {},
        )
        for name, text in pairs.items()
    }


MSPROFTX, L2CACHE, TASK_MEMORY, RUNTIME_API = (
    0x80,
    0x10,
    0x2000,
    0x40,
)  # acl_prof.h: ACL_PROF_MSPROFTX and others


def test_the_session_of_cann_is_asked_for_ranges(reached: dict[str, Ran]) -> None:
    types = {name: int(asked(ran)["types"], 16) for name, ran in reached.items()}
    assert types["off"] == types["native"] and not types["native"] & MSPROFTX
    assert types["defaults"] == types["native"] | MSPROFTX
    assert types["more"] & types["defaults"] == types["defaults"]
    assert (
        asked(reached["defaults"])["metrics"]
        == asked(reached["native"])["metrics"]
        != asked(reached["more"])["metrics"]
    )
    assert types["more"] & L2CACHE and not types["defaults"] & L2CACHE


def test_ranges_are_made_with_the_default_and_not_without(reached: dict[str, Ran]) -> None:
    assert [start.message for start, _ in reached["defaults"].pairs("Module")] == [
        "Sequential",
        "Linear",
    ]
    assert not reached["off"].of("start") and not reached["native"].of("start", domain="Module")


def test_what_torch_npu_writes_down_for_the_analysis(reached: dict[str, Ran]) -> None:
    written = reached["defaults"].given["written"]
    assert sorted(written["_export_type"]) == ["db", "text"] and written["_mstx"] is True
    assert set(written) == set(reached["native"].given["written"])  # nothing of ours in it
    ran = reached["more"]  # on_trace_ready: its folder, and not the program's
    assert [path.name for path in ran.folder.iterdir() if list(path.glob("*_ascend_pt"))] == [
        "there"
    ]


def test_the_second_session_has_its_own_domain_filter(npu: RunNpu) -> None:
    """torch_npu takes a filter over only when some call has seen the profiler off since the last
    session; ours make none then."""
    ran = npu(
        """
net = torch.nn.Sequential(torch.nn.Linear(8, 4)).to("npu")
x = torch.ones(2, 8, device="npu")
net(x)
for domain in ("Module", "other", "Module"):
    with profile(mstx_domain_include=[domain]):
        net(x)
""",
        agent=True,
    )
    sessions: list[int] = []
    for call in ran.calls:
        if call.call == "acl" and call.domain == "aclprofStart":
            sessions.append(0)
        elif call.call == "start" and call.domain == "Module":
            sessions[-1] += 1
    assert sessions == [2, 0, 2]


# -- the doctor ------------------------------------------------------------------------------------


def doctor(cann: Path, folder: Path, *args: str, **env: str) -> dict[str, Any]:
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AUTOINSTR", "PYTHON"))
    }
    environ.update(environment(cann, "off"), **env)
    done = subprocess.run(
        [str(PYTHON), "-m", "autoinstr", "doctor", "--json", *args],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def rows(found: list[dict[str, str]]) -> dict[str, tuple[str, str]]:
    return {row["name"]: (row["value"], row["source"]) for row in found}


def test_the_doctor_says_what_set_each_value_in_a_process(cann: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import torch_npu.profiler as P\n"
        "config = P._ExperimentalConfig(export_type='text', msprof_tx=False,\n"
        "    aic_metrics=P.AiCMetrics.Memory, l2_cache=True)\n"
        "for _ in range(3):\n"
        "    P.profile(activities=[P.ProfilerActivity.NPU], experimental_config=config,\n"
        "        with_stack=True)\n"
    )
    env = {"AUTOINSTR_PROFILER": "record_shapes=on;with_stack=off"}
    told = doctor(cann, tmp_path, "--", str(PYTHON), "program.py", **env)
    [made] = told["processes"][0]["details"]["profilers"]
    found = rows(made["parameters"])
    ours, pair = "autoinstr's default for module_statistic", "environment AUTOINSTR_PROFILER"
    assert made["profiler"] == "torch_npu.profiler.profiler.profile"
    assert {name: found[name] for name in ("mstx", "export_type", "activities")} == {
        "mstx": ("on", ours),
        "export_type": ("db,text", ours),
        "activities": ("cpu,npu", ours),
    }
    assert found["record_shapes"] == ("on", pair) and found["with_stack"] == ("off", pair)
    assert found["l2_cache"] == ("on", "program") and found["with_modules"] == (
        "off",
        "torch_npu's default",
    )
    assert found["aic_metrics"] == ("AiCoreNone", "program, reset by torch_npu")
    assert found["profiler_level"] == ("Level0", "torch_npu's default")


def test_the_doctor_says_what_would_be_set_here(cann: Path, tmp_path: Path) -> None:
    told = doctor(cann, tmp_path, AUTOINSTR_PROFILER="level=2;host_sys=cpu;nonsense=1")["profiler"]
    found = rows(told["parameters"])
    assert told["torch_npu"] is True and "nonsense" in told["problems"][0]
    assert (
        found["profiler_level"] == ("Level2", "environment AUTOINSTR_PROFILER")
        and found["host_sys"][0] == "cpu"
    )
    assert found["mstx"] == ("on", "autoinstr's default for module_statistic")
    assert found["aic_metrics"][0] == "PipeUtilization" and "default" in found["aic_metrics"][1]
    assert "msprof_tx" not in found and "experimental_config" not in found


def test_the_doctor_with_another_emitter(cann: Path, tmp_path: Path) -> None:
    found = rows(doctor(cann, tmp_path, AUTOINSTR_EMITTER="recorder")["profiler"]["parameters"])
    assert (
        found["mstx"][0] == "off"
        and found["export_type"][0] == "text"
        and found["activities"][0] == "off"
    )
