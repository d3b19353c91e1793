"""Test the wrappers of module calls on a stand-in for torch's Module.
integration/test_modules_behaviour.py tests them on torch's own."""

from __future__ import annotations

import _thread
import copy
import gc
import pickle
import threading
import weakref
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from autoinstr.emitters.emitter import Emitter
from autoinstr.emitters.recorder import UNRECORDED
from autoinstr.emitters.tool_output import ToolOutput
from autoinstr.instrument.modules.class_versions import ClassStates, dict_versions
from autoinstr.instrument.modules.hot_call import make_recording_call
from autoinstr.instrument.modules.hot_emitting_call import make_emitting_call
from autoinstr.instrument.modules.module_refs import MessageRef, ModuleRef, NumberRef, add_ref
from autoinstr.instrument.modules.traced_calls import make_traced_recording_call

TABLES = ("_backward_hooks", "_backward_pre_hooks", "_forward_hooks", "_forward_pre_hooks")
ARGUMENTS = [
    (args, kwargs)
    for args in (("a", None, ..., 0, "b")[:number] for number in range(6))
    for kwargs in ({}, {"x": 1}, {"y": None, "z": 2, "args": 3, "kwargs": 4})
]


class Module:
    """A stand-in whose calls report the path by which `forward` was reached."""

    _compiled_call_impl: Any = None

    def __init__(self) -> None:
        self.__dict__.update((name, {}) for name in TABLES)

    def _wrapped_call_impl(self) -> None:
        """Gives the wrapper its name."""

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        return "torch's way", self.forward(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs


class Other(Module):
    pass


class Calls:
    """A wrapper and a record of its calls."""

    ref_class: type[ModuleRef]

    def __init__(self) -> None:
        self.torch = ModuleType("torch.nn.modules.module")
        self.torch.__dict__.update(
            {f"_global{name}": {} for name in TABLES},
            Module=Module,
            __file__="module.py",
            torch=SimpleNamespace(_C=SimpleNamespace(_get_tracing_state=print)),
        )
        self.tracing: Any = ModuleType("torch.jit._trace")
        self.tracing._trace_module_map = None
        self.refs: dict[int, Any] = {}
        self.class_states = ClassStates()
        self.begun: list[Any] = []
        self.ranges: list[Any] = []  # [name, ended], as they began
        self.call: Callable[..., Any]

    def begin(self, module: Any) -> Any:
        self.begun.append(module)
        return 0, [0, 0, 0], 0, 1, 2

    def add_ref(self, module: Any, name: Any, plain: bool = True) -> None:
        ref = add_ref(self.ref_class, self.refs, module, name)
        if plain:
            cls = type(module)
            _, ref.class_version = self.class_states.store(cls, self.class_states.read_version(cls))

    def takes_the_short_path(self, module: Any) -> bool:
        self.begun.clear()
        result = self.call(module, 1)
        short = result == ((1,), {})
        assert short or result == ("torch's way", ((1,), {}))
        assert self.begun == ([] if short else [module])
        return short


class Recording(Calls):
    ref_class = NumberRef

    def __init__(self) -> None:
        super().__init__()
        self.words = [0] * 3000
        self.local = SimpleNamespace(
            slots=([(i, i + 1, i + 2) for i in reversed(range(0, 3000, 3))].pop, self.words)
        )
        self.call = make_recording_call(
            self.torch, self.tracing, 1, self.class_states, self.refs, self.local, self.begin
        )

    def written(self) -> list[Any]:
        return [
            (name, 0 < start <= end) for name, start, end in zip(*[iter(self.words)] * 3) if start
        ]


class Emitting(Calls):
    ref_class = MessageRef

    def __init__(self) -> None:
        super().__init__()
        emitter = Emitter(
            "tool",
            self._start,
            self._end,
            self._start,
            self._end,
            print,
            None,
            None,
            True,
            False,
            lambda: None,
        )
        live = ToolOutput(emitter, lambda name: name.cls, "Module", "off", False, self._failed)
        self.call = make_emitting_call(
            self.torch,
            self.tracing,
            1,
            self.class_states,
            self.refs,
            self.begin,
            live,
            self._failed,
        )
        live.set_owner(_thread.get_ident())

    def _start(self, message: str, domain: str) -> list[Any]:
        self.ranges.append([message, False])
        return self.ranges[-1]

    def _end(self, token: list[Any], domain: str) -> None:
        assert not token[1]
        token[1] = True

    def _failed(self, error: BaseException) -> None:
        raise AssertionError from error

    def written(self) -> list[Any]:
        return [tuple(one) for one in self.ranges]


@pytest.fixture(params=[Recording, Emitting])
def calls(request: pytest.FixtureRequest) -> Any:
    return request.param()


@pytest.mark.parametrize(("args", "kwargs"), ARGUMENTS)
def test_arguments_arrive_as_they_were_given(calls: Any, args: Any, kwargs: Any) -> None:
    module = Module()
    assert calls.call(module, *args, **kwargs) == ("torch's way", (args, kwargs))
    assert calls.written() == []
    calls.add_ref(module, 0)
    assert calls.call(module, *args, **kwargs) == (args, kwargs)
    assert calls.written() == [], "the filter has dropped it"
    calls.add_ref(module, 7)
    assert calls.call(module, *args, **kwargs) == (args, kwargs)
    assert calls.written() == [(7, True)]
    assert calls.begun == [module]


@pytest.mark.parametrize("kept", [True, False])
def test_an_exception_ends_the_range_and_is_passed_on(calls: Any, kept: bool) -> None:
    class Raises(Module):
        def forward(self, error: BaseException) -> None:
            raise error

    module, error = (
        Raises(),
        IndexError("theirs"),
    )  # of a kind that the wrapper catches when it is its own
    calls.add_ref(module, 7 if kept else 0)
    with pytest.raises(IndexError) as caught:
        calls.call(module, error)
    assert caught.value is error and error.__context__ is None
    assert calls.written() == ([(7, True)] if kept else [])
    assert not calls.begun


def _set(name: str, value: Any) -> Callable[[Any, Module], None]:
    return lambda calls, module: module.__dict__.update({name: value})


def _reached(*args: Any, **kwargs: Any) -> Any:
    return "torch's way", (args, kwargs)


GUARDED: dict[str, Callable[[Any, Module], object]] = {
    **{name: _set(name, {1: print}) for name in TABLES},
    **{
        f"_global{name}": lambda calls, module, name=name: calls.torch.__dict__[
            f"_global{name}"
        ].update({1: print})
        for name in TABLES
    },
    "no table, as before __init__": lambda calls, module: module.__dict__.pop("_forward_hooks"),
    "compiled": _set("_compiled_call_impl", _reached),
    "_call_impl of its own": _set("_call_impl", _reached),
    "traced by torch.jit": lambda calls, module: setattr(calls.tracing, "_trace_module_map", {}),
    "another class": lambda calls, module: setattr(module, "__class__", Other),
    "not a plain class": lambda calls, module: calls.add_ref(module, 7, plain=False),
    "a changed class": lambda calls, module: setattr(Module, "attribute", module),
    "another tracing": lambda calls, module: setattr(
        calls.torch.torch._C, "_get_tracing_state", len
    ),
    "no tie": lambda calls, module: calls.refs.clear(),
}


@pytest.mark.parametrize("what", GUARDED)
@pytest.mark.parametrize("kept", [True, False])
def test_all_else_goes_torchs_way(calls: Any, what: str, kept: bool) -> None:
    module = Module()
    calls.add_ref(module, 7 if kept else 0)
    assert calls.takes_the_short_path(module)
    GUARDED[what](calls, module)
    assert not calls.takes_the_short_path(module)


def test_changed_children_go_torchs_way(calls: Any) -> None:
    module = Module()
    module.__dict__["_modules"] = children = {"a": Module()}
    calls.add_ref(module, 7)
    module.__weakref__.children_version = dict_versions[id(children) >> 3]
    assert calls.takes_the_short_path(module)
    children["a"] = Module()
    assert not calls.takes_the_short_path(module)


def test_a_forward_of_the_instance_is_called(calls: Any) -> None:
    module = Module()
    calls.add_ref(module, 7)
    module.__dict__["forward"] = lambda *args, **kwargs: ("mine", args)
    assert calls.call(module, 1) == ("mine", (1,))
    assert calls.written() == [(7, True)]


def test_a_thread_without_records_and_a_full_block_ask_for_more() -> None:
    calls, module = Recording(), Module()
    calls.add_ref(module, 7)
    for _ in range(1000):
        assert calls.takes_the_short_path(module)
    assert not calls.takes_the_short_path(module)
    assert calls.written() == [(7, True)] * 1000
    del calls.local.slots
    assert not calls.takes_the_short_path(module)


def test_a_thread_that_does_not_have_the_domain_asks_for_one() -> None:
    calls, module, found = Emitting(), Module(), []
    calls.add_ref(module, "message")
    thread = threading.Thread(target=lambda: found.append(calls.takes_the_short_path(module)))
    thread.start()
    thread.join()
    assert found == [False]
    assert calls.takes_the_short_path(module)


class Named(Module):
    name, cls = 9, Module  # what a proxy would answer for it


class OtherRef(ModuleRef):
    __slots__ = ()


BEFORE: dict[str, Callable[[Module], Any]] = {
    "a reference": weakref.ref,
    "a proxy": weakref.proxy,
    "a reference and a proxy": lambda module: (weakref.ref(module), weakref.proxy(module)),
    "a later one with a callback": lambda module: weakref.ref(module, print),
    "a key of a dictionary": lambda module: weakref.WeakKeyDictionary({module: 1}),
    "a tie of another kind": lambda module: add_ref(OtherRef, {}, module, "other"),
}


@pytest.mark.parametrize("what", BEFORE)
@pytest.mark.parametrize("first", [True, False])
def test_weak_references_of_others(calls: Any, what: str, first: bool) -> None:
    module = Named()
    theirs = BEFORE[what](module) if first else None
    calls.add_ref(module, 7)
    theirs = theirs or BEFORE[what](module)
    assert calls.takes_the_short_path(module)
    assert calls.written() == [(7, True)]
    del theirs


def test_a_tie_goes_with_its_module_or_for_a_later_one(calls: Any) -> None:
    module = Module()
    calls.add_ref(module, 7)
    calls.add_ref(module, 8)
    assert weakref.getweakrefs(module) == [calls.refs[id(module)]]
    assert calls.takes_the_short_path(module)
    assert calls.written() == [(8, True)]
    del module
    calls.begun.clear()
    gc.collect()
    assert calls.refs == {}


def test_nothing_of_ours_is_on_a_module(calls: Any) -> None:
    module, bare = Module(), Module()
    calls.add_ref(module, 7)
    assert vars(module) == vars(bare)
    assert vars(copy.copy(module)) == vars(bare)
    assert copy.copy(module).__weakref__ is None
    assert pickle.dumps(module) == pickle.dumps(bare)


def test_a_traced_call_counts_the_range_without_a_name() -> None:
    calls, module = Recording(), Module()

    def torch_call(self: Any, *args: Any) -> Any:
        return args

    traced = make_traced_recording_call(torch_call, calls.refs, calls.local, calls.begin)  # type: ignore[arg-type]
    for name, place_is_known, begun in (
        (7, True, 0),
        (0, True, 0),
        (7, False, 1),
        (UNRECORDED, True, 1),
    ):
        calls.add_ref(module, name)
        calls.refs[id(module)].is_place_known = place_is_known
        calls.begun.clear()
        assert traced(module, 1) == (1,)
        assert len(calls.begun) == begun, name
    assert calls.written() == [(7, True)]
