"""The real torch_npu wheel on the simulated CANN: everything here is marked `npu`, and skipped
where it cannot run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.npu import ascend, simulated
from tests.vllm.engines import make_once

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before `-m` is applied
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.npu)


@pytest.fixture(scope="session")
def cann() -> Path:
    """The folder of the simulated CANN."""
    try:
        return simulated.built()
    except simulated.Unavailable as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that vllm-ascend runs."""
    try:
        ascend.require_ascend()
    except simulated.Unavailable as missing:
        pytest.skip(str(missing))
    return make_once(tmp_path_factory, "ascend_model", ascend.make_model)


@pytest.fixture(scope="module")
def npu(cann: Path, tmp_path_factory: pytest.TempPathFactory) -> simulated.RunNpu:
    """Runs a program on the simulated device, in a folder of its own."""

    def run(source: str, devices: int = 1, **more: object) -> simulated.Ran:
        return simulated.run(cann, tmp_path_factory.mktemp("npu") / "run", source, devices, **more)

    return run
