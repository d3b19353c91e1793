"""The mstx emitter on the `npu/mstx.py` of every minor of torch_npu, over a stub of its C layer
that takes what that version's takes.

The files are those that `make compat` fetches. Nothing is shown of what a C layer does.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from autoinstr.emitters import mstx
from tests.conftest import REPO

_LINES = (REPO / "tools" / "compat_releases.txt").read_text().splitlines()
RELEASES = next(line.split()[1:] for line in _LINES if line.startswith("torch_npu:"))
WITHOUT_DOMAINS = ("2.4.0", "2.5.1")
BY_POINTER = (*WITHOUT_DOMAINS, "2.1.0.post17", "2.6.0", "2.7.1", "2.8.0", "2.9.0", "2.10.0")


class Layer:
    """torch_npu._C._mstx, with the parameters of the version."""

    def __init__(self, release: str) -> None:
        self.calls: list[tuple[Any, ...]] = []
        domain = 0 if release in WITHOUT_DOMAINS else 1
        stream = 1 if release in BY_POINTER else 3
        functions = {
            "_range_start_on_host": 1 + domain,
            "_range_start": 1 + stream + domain,
            "_range_end": 1 + domain,
        }
        if domain:
            functions.update(_mark_on_host=2, _mark=2 + stream)
        for name, number in functions.items():
            setattr(self, name, self._function(name, number))

    def _function(self, name: str, number: int) -> Any:
        def call(*arguments: Any) -> int:
            if len(arguments) != number:
                raise TypeError(f"{name} takes {number} arguments, not {len(arguments)}")
            self.calls.append((name, *arguments))
            return 7

        return call


@pytest.fixture
def torch_npu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    release: str = request.param
    file = REPO / ".cache" / "compat" / f"torch_npu-{release}" / "torch_npu" / "npu" / "mstx.py"
    if not file.is_file():
        pytest.skip(f"the files of torch_npu {release} are not there: `make compat` fetches them")

    class Stream:
        stream_id, device_index, device_type, npu_stream = 3, 0, 20, 4096

    package: Any = ModuleType("torch_npu")
    package.release = release
    package._C = ModuleType("torch_npu._C")
    package._C._mstx = layer = Layer(release)
    package._C._mark = layer._function("_mark", 1)
    package._C._npu_getDevice, package._C._npu_getCurrentStream = (
        (lambda: 0),
        (lambda device: (3, 0, 20)),
    )
    streams = SimpleNamespace(Stream=Stream)
    package.npu = SimpleNamespace(
        streams=streams, current_stream=Stream, is_initialized=lambda: True, Stream=Stream
    )
    log: Any = ModuleType("torch_npu.utils.utils")
    log._print_error_log = log.print_error_log = pytest.fail
    for name, module in {
        "torch_npu": package,
        "torch_npu._C": package._C,
        "torch_npu.utils": ModuleType("u"),
        log.__name__: log,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("mstx_of_a_release", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    package.npu.mstx = module.mstx
    return package


@pytest.mark.long
@pytest.mark.parametrize("torch_npu", RELEASES, indirect=True)
def test_ranges_and_marks_are_what_the_version_takes(torch_npu: Any) -> None:
    emitter, calls, release = mstx.make(torch_npu), torch_npu._C._mstx.calls, torch_npu.release
    domain: tuple[str, ...] = () if release in WITHOUT_DOMAINS else ("Module",)
    stream = (4096,) if release in BY_POINTER else (3, 0, 20)
    assert emitter.has_domains == bool(domain)
    assert emitter.start_on_stream is not None
    emitter.end(emitter.start("Linear", "Module"), "Module")
    emitter.end(emitter.start_on_stream("Linear", "Module"), "Module")
    assert calls == [
        ("_range_start_on_host", "Linear", *domain),
        ("_range_end", 7, *domain),
        ("_range_start", "Linear", *stream, *domain),
        ("_range_end", 7, *domain),
    ]
    calls.clear()
    emitter.mark("here", "Module")
    assert calls == ([("_mark_on_host", "here", "Module")] if domain else [("_mark", "here")])
    calls.clear()
    assert emitter.mark_on_stream is not None
    emitter.mark_on_stream("there", "Module")
    assert calls == ([("_mark", "there", *stream, "Module")] if domain else [("_mark", "there")])


@pytest.mark.long
@pytest.mark.parametrize("torch_npu", RELEASES[-1:], indirect=True)
def test_one_without_ranges_is_unusable(torch_npu: Any) -> None:
    del torch_npu.npu.mstx
    with pytest.raises(mstx.EmitterUnavailable, match="no mstx ranges"):
        mstx.make(torch_npu)
