"""Start unedited vLLM programs on the real vllm-ascend over the simulated CANN.

They run with the agent or without it. Every wait has a limit.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conftest import GATE, REPO, clean_environment
from tests.npu.simulated import Call, Ran, environment, read_log, require
from tests.vllm.engines import ending_all

if TYPE_CHECKING:
    from collections.abc import Sequence

VENV = REPO / ".venv-ascend"
# an engine takes 30 s on an idle machine; one that is shared was seen to take six times as long
LIMIT_S = 400
LAYERS = 2

# The guide's script, without its instrumentation: greedy, in float32 and with few tokens, so that
# the answers can be compared.
OFFLINE = """
import json
import os
import sys
from vllm import LLM, SamplingParams

# enable torch profiler, can also be set on cmd line
os.environ["VLLM_TORCH_PROFILER_DIR"] = "./vllm_profile"

prompts = [
    "Hello, my name is",
    "The president of the United States is",
    "The capital of France is",
    "The future of AI is",
]

# Create a sampling params object.
sampling_params = SamplingParams(temperature=0, max_tokens=6, ignore_eos=True)
# Create an LLM.
settings = json.loads(sys.argv[2])
llm = LLM(model=sys.argv[1], dtype="float32", max_model_len=256, max_num_seqs=8, **settings)
profile = "profile" in sys.argv
if profile:
    llm.start_profile()
# Generate texts from the prompts.
outputs = llm.generate(prompts, sampling_params)
if profile:
    llm.stop_profile()
print(json.dumps({"tokens": [list(output.outputs[0].token_ids) for output in outputs]}))
"""
# The model, and what it answers in another program, on a CPU.
MODEL = """
import functools, json, sys
import torch, transformers
sys.path.insert(0, sys.argv[1])
import tiny_model
config = transformers.Qwen2Config
transformers.Qwen2Config = functools.partial(config, initializer_range=0.2)
tiny_model.LAYERS = int(sys.argv[2])
tiny_model.make(sys.argv[3])
transformers.Qwen2Config = config
tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[3])
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[3], dtype=torch.float32)
answers = []
for prompt in json.loads(sys.argv[4]):
    given = tokenizer(prompt, return_tensors="pt")
    answer = model.generate(**given, max_new_tokens=6, min_new_tokens=6, do_sample=False)
    answers.append(answer[0, given.input_ids.shape[1] :].tolist())
with open(sys.argv[3] + "/answers.json", "w") as stream:
    json.dump(answers, stream)
"""
PROMPTS = [
    "Hello, my name is",
    "The president of the United States is",
    "The capital of France is",
    "The future of AI is",
]


class Program:
    """A program that runs, or has ended, in a folder of its own.

    `log.jsonl` has its mstx calls, `out` and `err` its output.
    """

    def __init__(
        self,
        home: Path,
        folder: Path,
        *arguments: str | Path,
        agent: bool = False,
        devices: int = 1,
        venv: Path = VENV,
        **env: str,
    ) -> None:
        folder.mkdir(parents=True)
        self.folder, self.began = folder, time.monotonic()
        path = [
            *([GATE] if agent else []),
            home / "python" / "site-packages",
        ]  # the second as CANN's set_env.sh does
        environ = clean_environment(
            **environment(home, folder / "log.jsonl", devices),
            PYTHONPATH=os.pathsep.join(map(str, path)),
            # the key-value cache takes what there is, and is filled with zeros
            CANNSIM_MEM_MB="512",
            HF_HUB_OFFLINE="1",
            VLLM_NO_USAGE_STATS="1",
            VLLM_CACHE_ROOT=str(
                REPO / ".cache" / "vllm-ascend"
            ),  # what vLLM finds out about model classes takes ten seconds
            OMP_NUM_THREADS="1",
            **({"AUTOINSTR": "1"} if agent else {}),
            **env,
        )
        with open(folder / "out", "w") as out, open(folder / "err", "w") as err:
            command = [str(venv / "bin" / "python"), *map(str, arguments)]
            self.process: subprocess.Popen[str] = subprocess.Popen(
                command,
                env=environ,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                text=True,
            )

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text(encoding="utf-8", errors="replace")

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text(encoding="utf-8", errors="replace")

    def said(self) -> list[str]:
        """Return the agent's log lines."""
        return [
            line for line in self.err.splitlines() if "autoinstr" in line and ".venv" not in line
        ]

    def end_of_log(self) -> str:
        """Return the end of the log, for a message."""
        return "\n".join([*self.out.splitlines()[-40:], *self.err.splitlines()[-40:]])

    def calls(self) -> list[Call]:
        return read_log(self.folder / "log.jsonl")

    def wait(self, until: float) -> Ran:
        """Wait for the program and return its outcome; `given` is the JSON that it printed.

        Raise AssertionError if it fails or uses something that is not simulated.
        """
        status = self.process.wait(timeout=max(1.0, until - time.monotonic()))
        assert status == 0, self.end_of_log()
        assert "not simulated" not in self.err + self.out, self.end_of_log()
        given: dict[str, Any] = json.loads(
            next(line for line in self.out.splitlines() if line.startswith('{"tokens"'))
        )
        return Ran(self.folder, given, self.calls(), self.out, self.err)


def make_model(folder: Path) -> Path:
    """Create a tiny random Qwen2 whose answers depend on the full prompt.

    With the usual small weights they hardly do.
    """
    command = [
        str(REPO / ".venv/bin/python"),
        "-c",
        MODEL,
        str(REPO / "examples"),
        str(LAYERS),
        str(folder),
        json.dumps(PROMPTS),
    ]
    environ = clean_environment(HF_HUB_OFFLINE="1")
    made = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, env=environ)
    assert made.returncode == 0, made.stderr
    return folder


def reference(model: Path) -> list[list[int]]:
    """Return the answers of transformers to PROMPTS."""
    answers: list[list[int]] = json.loads((model / "answers.json").read_text())
    return answers


def run_all(programs: Sequence[Program]) -> list[Ran]:
    """Wait for programs that run at the same time; end all processes in any case."""
    with ending_all([program.process for program in programs]):
        until = time.monotonic() + LIMIT_S
        return [program.wait(until) for program in programs]


def require_ascend(venv: Path = VENV) -> None:
    """Raise Unavailable if vllm-ascend is not installed."""
    require(venv / "bin" / "python")
