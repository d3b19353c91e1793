"""What a `Module` range of mstx adds to a module call, beyond the two bare calls of torch_npu that it is made of: ours and the guide's.

The real torch_npu on the simulated CANN (tests/npu), which takes the calls and writes nothing. Contenders in turn in one process, while the
profiler is off and while it runs. The guide's `custom_call` is the function that it tells its readers to write. Minimum and median of all
rounds. Run: make bench, or python benchmarks/mstx_call.py [ROUNDS]. Needs .venv-npu (make setup-npu) and gcc.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CALLS = range(240)


def start_again(rounds: int) -> int:
    """In torch_npu's environment, under the agent."""
    sys.path.insert(0, REPO)
    from tests.npu import simulated

    try:
        home = simulated.built()
    except simulated.Unavailable as missing:
        print(f"not run: {missing}")
        return 0
    environment = {**os.environ, **simulated.environment(home, "off"), "PYTHONPATH": os.path.join(REPO, "sitecustomize")}
    environment.update(AUTOINSTR="1", AUTOINSTR_WHEN="always", _MSTX_BENCHMARK="1")
    folder = tempfile.mkdtemp()
    try:
        return subprocess.call([str(simulated.PYTHON), os.path.abspath(__file__), str(rounds)], env=environment, cwd=folder)
    finally:
        shutil.rmtree(folder)


def main(rounds: int) -> None:
    import torch
    import torch_npu  # type: ignore[import-not-found]
    from torch import nn
    from torch_npu import profiler as P

    class Leaf(nn.Module):
        def forward(self, x: int) -> int:
            return x

    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.leaf = Leaf()

        def forward(self) -> float:
            leaf, clock = self.leaf, time.perf_counter_ns
            begin = clock()
            for _ in CALLS:
                leaf(1)
            return (clock() - begin) / len(CALLS)

    start, end = torch_npu._C._mstx._range_start_on_host, torch_npu._C._mstx._range_end
    ours: Callable[..., Any] = nn.Module.__call__
    torchs: Callable[..., Any] = nn.Module._wrapped_call_impl
    assert ours is not torchs, "the agent is off"

    def custom_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        module_name = self.__class__.__name__
        mstx_id = torch_npu.npu.mstx.range_start(module_name, domain="Module")
        tmp = torchs(self, *args, **kwargs)
        torch_npu.npu.mstx.range_end(mstx_id, domain="Module")
        return tmp

    def bare() -> float:
        clock = time.perf_counter_ns
        begin = clock()
        for _ in CALLS:
            end(start("Leaf", "Module"), "Module")
        return (clock() - begin) / len(CALLS)

    root = Root()
    torch.ones(1).npu()
    contenders = {"torch alone": torchs, "the guide's custom_call": custom_call, "autoinstr": ours}

    def measure() -> dict[str, list[float]]:
        found: dict[str, list[float]] = {"two bare calls": []}
        for _ in range(rounds):
            for name, function in contenders.items():
                nn.Module.__call__ = function  # type: ignore[method-assign]
                found.setdefault(name, []).append(root())
            nn.Module.__call__ = ours  # type: ignore[method-assign]
            found["two bare calls"].append(bare())
        return found

    config = P._ExperimentalConfig(mstx=True, export_type=["db"], profiler_level=P.ProfilerLevel.Level_none)
    root()
    table("profiler off", measure())
    with P.profile(activities=[P.ProfilerActivity.CPU, P.ProfilerActivity.NPU], experimental_config=config):
        root()
        table("profiler on", measure())


def table(title: str, found: dict[str, list[float]]) -> None:
    print(f"\n{title:<26}{'min ns':>9}{'median ns':>11}{'beyond both, min':>18}{'median':>9}")
    for name, values in found.items():
        line = f"{name:<26}{min(values):9.0f}{statistics.median(values):11.0f}"
        if name not in ("torch alone", "two bare calls"):
            for of, width in ((min, 18), (statistics.median, 9)):
                line += f"{of(values) - of(found['torch alone']) - of(found['two bare calls']):{width}.0f}"
        print(line)


if __name__ == "__main__":
    ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    if os.environ.get("_MSTX_BENCHMARK"):
        main(ROUNDS)
    else:
        sys.exit(start_again(ROUNDS))
