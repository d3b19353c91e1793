"""`autoinstr doctor` on profiler parameters: it reads torch_npu's files and never imports them.

tests/npu/test_parameters.py has the real torch_npu."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoinstr.cli.doctor.profiler_lines import collect_profiler_facts, format_profiler
from autoinstr.config.config import load_config

PROFILER = """
class profile(_KinetoProfile):
    def __init__(self, *, activities: Optional[Iterable] = None, with_stack: bool = False,
        experimental_config=None, use_cuda=None): ...
"""
CONFIG = """
raise RuntimeError("imported")
class _ExperimentalConfig:
    def __init__(self, profiler_level: int = Constant.LEVEL0,
        aic_metrics: int = Constant.AicMetricsNone, l2_cache: bool = False,
                 msprof_tx: bool = False, data_simplification: bool = True, export_type: Union[str,
                     list] = ExportType.Text): ...
"""


@pytest.fixture
def torch_npu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a torch_npu that knows the older name only."""
    folder = tmp_path / "torch_npu" / "profiler"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "profiler.py").write_text(PROFILER)
    (folder / "experimental_config.py").write_text(CONFIG)
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def rows(**env: str) -> dict[str, tuple[str, str]]:
    told = collect_profiler_facts(load_config(env))
    assert told is not None
    return {
        row["name"]: (row["value"], row["source"].partition(",")[0]) for row in told["parameters"]
    }


def test_what_would_be_set(torch_npu: Path) -> None:
    found = rows(AUTOINSTR_PROFILER="level=2;with_stack=on;max_iterations=3")
    ours, default, pair = (
        "autoinstr's default for module_statistic",
        "torch_npu's default",
        "environment AUTOINSTR_PROFILER",
    )
    assert found == {
        "activities": ("the program's, and cpu", ours),
        "with_stack": ("on", pair),
        "max_iterations": ("3", pair),
        "profiler_level": ("Level2", pair),
        "aic_metrics": ("AiCoreNone", default),
        "l2_cache": ("off", default),
        "export_type": ("the program's, and db", ours),
        "data_simplification": ("on", default),
        "mstx": ("on", ours),
    }
    assert rows(AUTOINSTR_EMITTER="recorder")["export_type"] == ("text", default)


def test_files_that_cannot_be_read(torch_npu: Path) -> None:
    (torch_npu / "experimental_config.py").write_text("class (:")
    (torch_npu / "profiler.py").unlink()
    assert collect_profiler_facts(load_config({})) is None


def test_without_torch_npu_there_are_the_pairs_alone() -> None:
    assert collect_profiler_facts(load_config({})) is None
    told = collect_profiler_facts(
        load_config({"AUTOINSTR_PROFILER": "record_shapes=on;schedule=active:2;nonsense=1"})
    )
    assert told is not None and told["torch_npu"] is False and "nonsense" in told["problems"][0]
    assert format_profiler(told)[1:] == [
        "profiler",
        "  schedule       wait:0,warmup:0,active:2  (environment AUTOINSTR_PROFILER)",
        "  record_shapes  on                        (environment AUTOINSTR_PROFILER)",
    ]
