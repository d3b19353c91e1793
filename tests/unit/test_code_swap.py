"""Test functions with swapped code: identity, signature and results stay the same, and each call
has one begin and one end."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
import traceback
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from autoinstr.instrument.functions import code_swap
from autoinstr.targets.getters import NO_RESULT


class Ranges:
    """Has the attributes of FunctionRanges that swapped code uses, and records begins and ends.

    With `slots`, the thread has free records."""

    def __init__(self, slots: bool = False) -> None:
        self.active = True
        self.records: list[list[int]] = []
        self.told: list[tuple[Any, Any, Any]] = []
        self.names = {7: 1} if slots else {}
        self.local, self.recorder = SimpleNamespace(), SimpleNamespace(writer=None)
        self.words = [0] * 300
        if slots:
            self.local.slots = (
                [(n, n + 1, n + 2) for n in reversed(range(0, 300, 3))].pop,
                self.words,
            )

    def begin_record(self, target: int, args: Any, kwargs: Any) -> Any:
        assert target == 7
        self.records.append([0, 0, 0])
        return 1, self.records[-1], 0, 1, 2

    def finish(
        self, target: int, name: int, start: int, writer: None, args: Any, kwargs: Any, result: Any
    ) -> None:
        assert (target, name) == (7, 1)
        self.told.append((args, kwargs, result))

    @property
    def ended(self) -> int:
        """How many ranges there are; all have a name, a start and an end."""
        found = self.records or [
            self.words[at : at + 3] for at in range(0, 300, 3) if self.words[at]
        ]
        assert all(name == 1 and 0 < start <= end for name, start, end in found)
        return len(found)


def put(function: Any, ranges: Ranges, told: bool = True) -> None:
    found = code_swap.find_innermost(function)
    assert found is not None
    code_swap.swap_code(found, ranges, 7, has_attributes=told, traces_twin=found is not function)  # type: ignore[arg-type]


def every_shape(
    a: int, b: int = 2, /, c: int = 3, *rest: int, d: int, e: int = 5, **others: int
) -> list[Any]:
    """All kinds of parameters."""
    return [a, b, c, rest, d, e, others]


def named_only(*, x: int = 1) -> int:
    return x


def none() -> str:
    return "none"


class Loader:
    def fetch(self, count: int = 1) -> Any:
        return self, count

    def __next__(self) -> int:
        raise StopIteration


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return [function(*args, **kwargs)]

    return wrapper


@logged
def collective(tensor: str, group: str | None = None) -> str:
    return tensor


def warns(level: int) -> None:
    warnings.warn("old", stacklevel=level)


def fails(error: Exception) -> None:
    raise error


def test_every_shape_of_parameters_arrives_and_is_told() -> None:
    before = [
        str(inspect.signature(every_shape)),
        every_shape.__defaults__,
        every_shape.__kwdefaults__,
        inspect.getsource(every_shape),
    ]
    calls: list[Callable[[], Any]] = [
        lambda: every_shape(1, d=4),
        lambda: every_shape(1, 2, 3, 4, 5, d=6, e=7, f=8, a=9),
        lambda: every_shape(1, c=30, d=4, b=20),
        lambda: named_only(),
        lambda: named_only(x=2),
        lambda: none(),
    ]
    native = [call() for call in calls]
    ranges = Ranges()
    for function in (every_shape, named_only, none):
        put(function, ranges)
    assert [call() for call in calls] == native
    assert [result for *_, result in ranges.told] == native and ranges.ended == len(native)
    assert ranges.told[1][:2] == ((1, 2, 3, 4, 5), {"d": 6, "e": 7, "f": 8, "a": 9})
    assert ranges.told[3][:2] == ((), {"x": 1})
    assert before == [
        str(inspect.signature(every_shape)),
        every_shape.__defaults__,
        every_shape.__kwdefaults__,
        inspect.getsource(every_shape),
    ]
    assert every_shape.__code__.co_varnames[:7] == ("a", "b", "c", "d", "e", "rest", "others")
    assert (
        pickle.loads(pickle.dumps(every_shape)) is every_shape
        and copy.deepcopy(every_shape) is every_shape
    )
    ranges.active = False
    told = len(ranges.told)
    assert [call() for call in calls] == native and len(ranges.told) == told
    with pytest.raises(
        TypeError, match=r"every_shape\(\) missing 1 required keyword-only argument: 'd'"
    ):
        every_shape(1)


def test_a_method_has_its_instance_and_a_stop_stays_a_stop() -> None:
    ranges, other = Ranges(), Loader()
    early = other.fetch
    put(Loader.__dict__["fetch"], ranges)
    put(Loader.__dict__["__next__"], ranges)
    loader = Loader()
    assert loader.fetch(3) == (loader, 3) and early()[1] == 1, (
        "a method that was bound before is seen as well"
    )
    with pytest.raises(StopIteration):
        next(loader)  # type: ignore[call-overload]
    assert [(args, result is NO_RESULT) for args, _, result in ranges.told] == [
        ((loader, 3), False),
        ((other, 1), False),
        ((loader,), True),
    ]
    assert ranges.ended == 3


def test_decorators_stay_in_force_around_it() -> None:
    ranges, outer = Ranges(), collective
    put(collective, ranges)
    assert (
        collective is outer and collective("t") == ["t"] and ranges.told == [(("t", None), {}, "t")]
    )
    assert code_swap.has_swapped_code(collective.__wrapped__) and not code_swap.has_swapped_code(
        collective
    )
    found = code_swap.find_innermost(collective)
    assert found is not None and code_swap.has_swapped_code(found), (
        "a second look finds what has been done"
    )
    # Beneath a decorator torch.compile is shown the code that the function had.
    assert found.__dict__["_torchdynamo_inline"].__code__.co_filename == __file__
    assert inspect.unwrap(collective).__code__.co_name == "collective"


def test_a_warning_names_the_line_that_it_names_natively() -> None:
    def places() -> list[tuple[str, int]]:
        found = []
        for level in (1, 2, 3):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                warns(level)
            found.append((caught[0].filename, caught[0].lineno))
        return found

    found = []
    for ours in (False, True):
        if ours:
            put(warns, Ranges())
        found.append(places())
    assert found[0] == found[1] and len(set(found[0])) == 3


def test_an_exception_passes_and_ends_the_range() -> None:
    ranges, error = Ranges(), KeyError("x")
    put(fails, ranges)
    with pytest.raises(KeyError) as caught:
        fails(error)
    assert caught.value is error and ranges.ended == 1 and ranges.told[0][2] is NO_RESULT
    names = [one.name for one in traceback.extract_tb(error.__traceback__)]
    assert names[-2:] == ["fails", "fails"], "one frame more"


def test_what_cannot_be_given_other_code_is_left_alone() -> None:
    free = 1

    def closure() -> int:
        return free

    def generator() -> Any:
        yield 1

    async def coroutine() -> None: ...

    class Callable_:
        def __call__(self) -> None: ...

    loop = lambda: None  # noqa: E731
    loop.__dict__["__wrapped__"] = loop
    for one in (
        closure,
        generator,
        coroutine,
        len,
        Callable_(),
        functools.partial(none),
        Loader,
        loop,
    ):
        assert code_swap.find_innermost(one) is None or one is loop


def at_hand(x: int) -> int:
    return 2 * x


def test_a_thread_with_records_at_hand_asks_nobody() -> None:
    ranges = Ranges(slots=True)
    put(at_hand, ranges, told=False)
    assert [at_hand(number) for number in range(100)] == [2 * number for number in range(100)]
    assert ranges.ended == 100 and not ranges.records and not ranges.told
    assert at_hand(1) == 2 and len(ranges.records) == 1, "the block is full: begin() knows"
