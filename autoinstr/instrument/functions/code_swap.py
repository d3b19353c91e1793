"""Ranges for functions of torch that must stay the same objects.

torch._dynamo knows its collectives by identity. Libraries re-export and compare `torch.save`.
pickle refuses a function that its name does not lead to. So no object is replaced. The function
keeps its name, defaults, signature and place in every module, decorator and table. It gets new
code, which calls a twin: an equal function with the original code. This also covers programs that
imported the function before the agent started."""

from __future__ import annotations

import inspect
import keyword
from types import CodeType, FunctionType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from autoinstr.base.system import clocks
from autoinstr.instrument.frames import IMPORT_SYSTEM_FILE
from autoinstr.targets.getters import NO_RESULT

if TYPE_CHECKING:
    from typing import Callable

    from autoinstr.instrument.functions.ranges import FunctionRanges

_PLACEHOLDER = "autoinstr constants"  # stands for the _Constants of the function
# As in closure.py: three stores into the recording. begin() supplies what the thread does not have.
_TEMPLATE = """\
def {name}({parameters}):
    _autoinstr = 'autoinstr constants'
    if not _autoinstr.ranges.active{exception}:
        return _autoinstr.twin({arguments})
    try:
        _autoinstr_name = _autoinstr.names[_autoinstr.target]
        _autoinstr_next, _autoinstr_words = _autoinstr.local.slots
        _autoinstr_i, _autoinstr_j, _autoinstr_k = _autoinstr_next()
    except _autoinstr.errors:
        (
            _autoinstr_name, _autoinstr_words, _autoinstr_i, _autoinstr_j, _autoinstr_k
        ) = _autoinstr.begin(_autoinstr.target, ({positional}), {{{keywords}}})
    _autoinstr_writer, _autoinstr_result = _autoinstr.recorder.writer, _autoinstr.no_result
    _autoinstr_words[_autoinstr_i] = _autoinstr_name
    _autoinstr_words[_autoinstr_j] = _autoinstr_start = _autoinstr.clock()
    try:
        _autoinstr_result = _autoinstr.twin({arguments})
        return _autoinstr_result
    finally:
        _autoinstr_words[_autoinstr_k] = _autoinstr.clock()
        if _autoinstr.has_attributes:
            _autoinstr.finish(
                _autoinstr.target, _autoinstr_name, _autoinstr_start, _autoinstr_writer,
                ({positional}), {{{keywords}}}, _autoinstr_result
            )
"""


class _Constants:
    """What the new code of a function needs. It is a constant of that code, which has torch's
    globals and no closure."""

    __slots__ = (
        "begin",
        "clock",
        "errors",
        "finish",
        "has_attributes",
        "local",
        "names",
        "no_result",
        "ranges",
        "recorder",
        "skips_call",
        "target",
        "twin",
    )

    def __init__(
        self,
        ranges: FunctionRanges,
        target: int,
        twin: FunctionType,
        has_attributes: bool,
        skips_call: Callable[[], bool] | None,
    ) -> None:
        self.skips_call = skips_call
        self.ranges, self.target, self.twin = ranges, target, twin
        self.has_attributes = has_attributes
        self.names, self.local, self.recorder = ranges.names, ranges.local, ranges.recorder
        self.begin, self.finish = ranges.begin_record, ranges.finish
        self.clock, self.no_result = clocks.perf_counter_ns, NO_RESULT
        self.errors = (KeyError, AttributeError, IndexError)

    def __reduce__(self) -> tuple[Any, ...]:
        # A function that is pickled by value only calls its twin, and needs no package.
        inactive = SimpleNamespace(active=False)
        return SimpleNamespace, (), {"ranges": inactive, "twin": self.twin}


def find_innermost(function: Any) -> FunctionType | None:
    """Return the function below the decorators of `function`; None if its code cannot be swapped.

    The decorators stay in force around it."""
    visited = set()
    while (
        id(function) not in visited
        and "__wrapped__" in getattr(function, "__dict__", ())
        and not has_swapped_code(function)
    ):
        visited.add(id(function))
        function = function.__dict__["__wrapped__"]
    if type(function) is not FunctionType or function.__closure__:
        return None
    code = function.__code__
    is_plain = not code.co_flags & (
        inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
    )
    has_valid_names = all(
        name.isidentifier() and not keyword.iskeyword(name) for name in code.co_varnames
    )
    return function if is_plain and has_valid_names else None


def has_swapped_code(function: Any) -> bool:
    """Return whether `swap_code` gave the function its code."""
    code = getattr(function, "__code__", None)
    return isinstance(code, CodeType) and any(
        type(constant) is _Constants for constant in code.co_consts
    )


def swap_code(
    function: FunctionType,
    ranges: FunctionRanges,
    target: int,
    has_attributes: bool,
    traces_twin: bool,
    skips_call: Callable[[], bool] | None = None,
) -> None:
    """Give `function` new code that records its calls as the target with this number.

    `function` comes from `find_innermost`. With `has_attributes`, `ranges.finish` gets arguments
    and result. With `traces_twin`, torch.compile traces the original code where it meets this
    function. Otherwise it follows its own rules for the function, or for code that is not the
    program's: the new code is never part of the graph. A call for which `skips_call()` is true
    has no range."""
    code = function.__code__
    twin = FunctionType(code, function.__globals__, function.__name__, function.__defaults__)
    twin.__kwdefaults__ = function.__kwdefaults__
    twin.__module__, twin.__qualname__ = function.__module__, function.__qualname__
    twin.__doc__ = function.__doc__
    # Python 3.14 and later compute annotations at the first access.
    for attribute in ("__annotate__", "__annotations__"):
        if hasattr(function, attribute):
            setattr(twin, attribute, getattr(function, attribute))
            break
    twin.__dict__.update(function.__dict__)
    new_code = _compile_code(code, _Constants(ranges, target, twin, has_attributes, skips_call))
    # inspect.getsource follows it. The signature comes from the code itself.
    function.__dict__["__wrapped__"] = twin
    if traces_twin:
        function.__dict__["_torchdynamo_inline"] = twin
    function.__code__ = new_code


def _compile_code(code: CodeType, constants: _Constants) -> CodeType:
    """Return the code of `_TEMPLATE` with the parameters of `code`."""
    names = list(code.co_varnames)
    positional_count, keyword_count = code.co_argcount, code.co_kwonlyargcount
    positional = names[:positional_count]
    keyword_only = names[positional_count : positional_count + keyword_count]
    variadic = names[positional_count + keyword_count :]
    star_args = f"*{variadic[0]}" if code.co_flags & inspect.CO_VARARGS else ""
    star_kwargs = f"**{variadic[bool(star_args)]}" if code.co_flags & inspect.CO_VARKEYWORDS else ""
    positional_only_count = code.co_posonlyargcount
    parameters = [
        *positional[:positional_only_count],
        *(["/"] if positional_only_count else []),
        *positional[positional_only_count:],
        star_args or ("*" if keyword_only else ""),
        *keyword_only,
        star_kwargs,
    ]
    keywords = [f"{name}={name}" for name in keyword_only]
    keyword_items = [f"'{name}': {name}" for name in keyword_only]
    text = _TEMPLATE.format(
        name=code.co_name,
        exception=" or _autoinstr.skips_call()" if constants.skips_call is not None else "",
        parameters=", ".join(filter(None, parameters)),
        arguments=", ".join(filter(None, [*positional, star_args, *keywords, star_kwargs])),
        positional="".join(f"{name}, " for name in [*positional, star_args] if name),
        keywords=", ".join(filter(None, [*keyword_items, star_kwargs])),
    )
    namespace: dict[str, Any] = {}
    exec(compile(text, IMPORT_SYSTEM_FILE, "exec", dont_inherit=True), namespace)
    template_code: CodeType = namespace[code.co_name].__code__
    fields: dict[str, Any] = {"co_firstlineno": code.co_firstlineno}
    fields["co_consts"] = tuple(
        constants if constant == _PLACEHOLDER else constant for constant in template_code.co_consts
    )
    if hasattr(code, "co_qualname"):
        fields["co_qualname"] = code.co_qualname
    return template_code.replace(**fields)
