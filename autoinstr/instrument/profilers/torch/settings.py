"""Sets parameters of torch.profiler.profile over those that the program gives, in its `__init__`:
the class stays the class it is."""

from __future__ import annotations

import inspect
import os
import shutil
import sys
import weakref
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base import log
from autoinstr.base.guard import contained, failed
from autoinstr.instrument.frames import no_frame
from autoinstr.instrument.profilers.replace import replace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

Build = Callable[[Any, Any], Any]  # (our value, what the program gave or None) -> the argument
_ACTIVITY = {
    "cpu": "CPU",
    "cuda": "CUDA",
    "xpu": "XPU",
    "npu": "PrivateUse1",
    "mtia": "MTIA",
    "hpu": "HPU",
}
# These build profilers whose steps they count themselves: a schedule of ours would never leave its
# first phase there. What `schedule` is for vLLM stands in enable.py.
_OWN_SCHEDULE = ("vllm.", "vllm_ascend.")


def apply(
    module: ModuleType, torch_values: Mapping[str, Any], experimental_values: Mapping[str, Any]
) -> None:
    """`module` is torch.profiler.profiler. Without a parameter nothing is patched."""
    values = dict(torch_values)
    saved = _Saved(module)
    if "on_trace_ready" in values:
        saved.apply()
    builds: dict[str, Build] = {
        "activities": lambda wanted, _: _activities(module, wanted),
        "schedule": lambda numbers, _: module.schedule(**numbers),
        "on_trace_ready": lambda folder, _: saved.handler(folder),
    }
    if experimental_values:
        values["experimental_config"] = dict(experimental_values)
        builds["experimental_config"] = _experimental
    if values:
        rewrite(module.profile, values, builds)


def rewrite(cls: type, values: Mapping[str, Any], builds: Mapping[str, Build]) -> None:
    """Wrap `cls.__init__` so that `values` win over the arguments of the caller; `builds` makes
    arguments of those that need it.

    A value that this version's `__init__` does not take, or that cannot be built, is one log line;
    the others are set."""

    def make(original: Any) -> Any:
        signature = inspect.signature(original)

        def arguments(self: Any, args: Any, kwargs: Any, caller: str) -> tuple[Any, Any]:
            try:
                bound = signature.bind(self, *args, **kwargs)
            except TypeError:  # the caller's mistake: let the original say it
                return (self, *args), kwargs
            for name, value in values.items():
                if name == "schedule" and caller.startswith(_OWN_SCHEDULE):
                    continue
                if name not in signature.parameters:
                    log.once(
                        f"no {name}",
                        "warning",
                        "this profiler has no such parameter",
                        parameter=name,
                        profiler=cls.__qualname__,
                    )
                    continue
                try:
                    build = builds.get(name)
                    bound.arguments[name] = (
                        build(value, bound.arguments.get(name)) if build else value
                    )
                except _Unusable:
                    pass
                except Exception as error:
                    failed(f"setting the profiler parameter {name}", error)
            return bound.args, bound.kwargs

        @no_frame
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            try:
                args, kwargs = arguments(
                    self, args, kwargs, str(sys._getframe(1).f_globals.get("__name__"))
                )
            except Exception as error:
                failed("setting profiler parameters", error)
                args = (self, *args)
            original(*args, **kwargs)

        return init

    replace(cls, "__init__", make)


class _Saved:
    """Where our handler has saved a trace: Kineto saves each once, and a program that exports it as
    well would get an error that it does not get without us. It gets a copy; what it asks for more
    often than Kineto lets it stays an error."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._saving: set[Any] = set()  # profilers of torch.autograd that our handler is at
        # By such a profiler: which results (each cycle of a schedule has its own), and the file.
        # Nothing is kept alive by it.
        self._files: weakref.WeakKeyDictionary[Any, tuple[weakref.ref[Any], str]] = (
            weakref.WeakKeyDictionary()
        )

    def handler(self, folder: str) -> Callable[[Any], None]:
        """What is called with each profile that is ready. It writes a file of its own into the
        folder."""
        write = self._module.tensorboard_trace_handler(folder)

        @contained("writing a trace (on_trace_ready)")
        def ready(profiler: Any) -> None:
            self._saving.add(profiler.profiler)
            try:
                write(profiler)
            finally:
                self._saving.discard(profiler.profiler)

        return ready

    def apply(self) -> None:
        """See every trace being saved: torch.profiler's classes, and what packs files, save through
        this one."""

        def make(original: Any) -> Any:
            @no_frame
            def export_chrome_trace(self_: Any, path: Any, *args: Any, **kwargs: Any) -> object:
                by_python = kwargs.get(
                    "use_python_export", args[1:2] == (True,)
                )  # that writes as often as it is asked
                if not by_python and isinstance(path, str) and self._copied(self_, path):
                    return None
                result = original(self_, path, *args, **kwargs)
                self._note(self_, path)
                return result

            return export_chrome_trace

        replace(self._module.prof.profile, "export_chrome_trace", make)

    def _note(self, profiler: Any, path: str) -> None:
        if profiler in self._saving and profiler.kineto_results is not None:
            self._files[profiler] = weakref.ref(profiler.kineto_results), path

    @contained("copying a trace (on_trace_ready)")
    def _copied(self, profiler: Any, path: str) -> bool:
        """Whether these results are in a file of ours. A copy that fails is a line, as Kineto's own
        export is where it cannot write."""
        if profiler in self._saving:
            return False
        results, file = self._files.pop(profiler, (None, ""))
        if results is None or results() is None or results() is not profiler.kineto_results:
            return False
        try:
            shutil.copyfile(file, f"{path}.tmp")
            os.replace(f"{path}.tmp", path)
        except OSError as error:
            failed(f"copying {file} to {path}", error)
        return True


class _Unusable(Exception):
    """The program's own value stays; a log line has said why."""


def _activities(module: ModuleType, wanted: list[str]) -> Any:
    kinds = module.ProfilerActivity
    able = module.supported_activities()
    found = [getattr(kinds, _ACTIVITY[word], None) for word in wanted]
    missing = [word for word, kind in zip(wanted, found) if kind is None or kind not in able]
    if missing:
        log.once(
            f"activities {missing}",
            "warning",
            "this torch cannot profile an activity that is asked for",
            activities=missing,
        )
    usable = [kind for kind in found if kind is not None and kind in able]
    if not usable:
        raise _Unusable
    return usable


def _experimental(fields: dict[str, Any], given: Any) -> Any:
    from torch._C._profiler import _ExperimentalConfig

    names = _fields_of(_ExperimentalConfig)
    merged = {}
    if given is not None:
        if not isinstance(given, _ExperimentalConfig):
            raise TypeError(f"the program gives a {type(given).__name__}")
        state: Any = given.__getstate__()  # type: ignore[attr-defined]
        if len(state) != len(names):
            raise TypeError("this torch does not show what the program has set")
        merged = {name: _text(value) for name, value in zip(names, state)}
    for name, value in fields.items():
        if name in names:
            merged[name] = value
        else:
            log.once(
                f"no {name}", "warning", "this torch has no such profiler parameter", parameter=name
            )
    if not merged:
        raise _Unusable
    return _ExperimentalConfig(**merged)


def _fields_of(cls: Any) -> list[str]:
    """The arguments of a pybind11 class, which are its state as well, in this order: its docstring
    is all that names them."""
    import re

    return re.findall(r"[(,] ?(\w+): ", (cls.__init__.__doc__ or "").partition("\n")[0])[1:]


def _text(value: Any) -> Any:
    """pybind11 pickles a C++ string in a list as bytes."""
    return (
        [item.decode() if isinstance(item, bytes) else item for item in value]
        if isinstance(value, list)
        else value
    )
