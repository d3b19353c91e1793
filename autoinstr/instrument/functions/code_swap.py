"""Ranges for functions of torch's that must stay the very objects that they are.

torch._dynamo knows its collectives by identity, libraries re-export and compare `torch.save`,
pickle refuses a function that is not what its name finds. So no object is replaced: the function
keeps its name, defaults, signature and place in every module, decorator and table, and gets other
code, which calls a twin of it that has the code it had. It works as well for whoever imported the
function before us."""

from __future__ import annotations

import inspect
import keyword
import time
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from autoinstr.instrument.frames import IMPORT_SYSTEM
from autoinstr.targets.getters import NOTHING

if TYPE_CHECKING:
    from autoinstr.instrument.functions.ranges import FunctionRanges

# As in direct.py: three stores into the recording, and what is not at hand comes from begin().
_TEXT = """\
def {name}({parameters}):
    _autoinstr = 'place'
    if not _autoinstr.ranges.active:
        return _autoinstr.twin({arguments})
    try:
        _autoinstr_name = _autoinstr.names[_autoinstr.number]
        _autoinstr_next, _autoinstr_words = _autoinstr.local.slots
        _autoinstr_i, _autoinstr_j, _autoinstr_k = _autoinstr_next()
    except _autoinstr.error:
        _autoinstr_name, _autoinstr_words, _autoinstr_i, _autoinstr_j, _autoinstr_k = _autoinstr.begin(
            _autoinstr.number, ({rest}), {{{keywords}}}
        )
    _autoinstr_writer, _autoinstr_result = _autoinstr.recorder.writer, _autoinstr.nothing
    _autoinstr_words[_autoinstr_i] = _autoinstr_name
    _autoinstr_words[_autoinstr_j] = _autoinstr_start = _autoinstr.clock()
    try:
        _autoinstr_result = _autoinstr.twin({arguments})
        return _autoinstr_result
    finally:
        _autoinstr_words[_autoinstr_k] = _autoinstr.clock()
        if _autoinstr.told:
            _autoinstr.finish(
                _autoinstr.number, _autoinstr_name, _autoinstr_start, _autoinstr_writer, ({rest}), {{{keywords}}}, _autoinstr_result
            )
"""


class _Place:
    """What the code of a function in place needs: it is a constant of that code, which has no
    closure and torch's globals."""

    __slots__ = (
        "begin",
        "clock",
        "error",
        "finish",
        "local",
        "names",
        "nothing",
        "number",
        "ranges",
        "recorder",
        "told",
        "twin",
    )

    def __init__(self, ranges: FunctionRanges, number: int, twin: FunctionType, told: bool) -> None:
        self.ranges, self.number, self.twin, self.told = ranges, number, twin, told
        self.names, self.local, self.recorder = ranges.names, ranges.local, ranges.recorder
        self.begin, self.finish = ranges.begin_record, ranges.finish
        self.clock, self.error, self.nothing = (
            time.perf_counter_ns,
            (KeyError, AttributeError, IndexError),
            NOTHING,
        )


def innermost(function: Any) -> FunctionType | None:
    """The function beneath the decorators of `function`, if it can be given other code; the
    decorators stay in force around it."""
    seen = set()
    while (
        id(function) not in seen
        and "__wrapped__" in getattr(function, "__dict__", ())
        and not is_ours(function)
    ):
        seen.add(id(function))
        function = function.__dict__["__wrapped__"]
    if type(function) is not FunctionType or function.__closure__:
        return None
    code = function.__code__
    plain = not code.co_flags & (
        inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
    )
    return (
        function
        if plain
        and all(name.isidentifier() and not keyword.iskeyword(name) for name in code.co_varnames)
        else None
    )


def is_ours(function: Any) -> bool:
    """The function has been given other code here."""
    code = getattr(function, "__code__", None)
    return isinstance(code, CodeType) and any(type(one) is _Place for one in code.co_consts)


def put(
    function: FunctionType, ranges: FunctionRanges, number: int, told: bool, traced: bool
) -> None:
    """Give `function`, which `innermost` has found, code that records its calls as target `number`.

    `told`: `ranges.finish` is told of arguments and result. `traced`: where torch.compile comes to
    this very function it is to trace the code that the function had; else it finds what its rules
    say of the function itself, or of code that is not the program's: none of it in the graph.
    """
    code = function.__code__
    # The twin is an equal function, with the code that `function` had.
    twin = FunctionType(code, function.__globals__, function.__name__, function.__defaults__)
    twin.__kwdefaults__ = function.__kwdefaults__
    twin.__module__, twin.__qualname__, twin.__doc__ = (
        function.__module__,
        function.__qualname__,
        function.__doc__,
    )
    for lazy in (
        "__annotate__",
        "__annotations__",
    ):  # from Python 3.14 on annotations are made when they are asked for
        if hasattr(function, lazy):
            setattr(twin, lazy, getattr(function, lazy))
            break
    twin.__dict__.update(function.__dict__)
    ours = _code(code, _Place(ranges, number, twin, told))
    function.__dict__["__wrapped__"] = (
        twin  # inspect.getsource follows it; the signature is in the code itself
    )
    if traced:
        function.__dict__["_torchdynamo_inline"] = twin
    function.__code__ = ours


def _code(code: CodeType, place: _Place) -> CodeType:
    """Code with the parameters of `code` that does what `_TEXT` says."""
    names, at = list(code.co_varnames), code.co_argcount
    positional, named = names[:at], names[at : at + code.co_kwonlyargcount]
    at += code.co_kwonlyargcount
    rest = f"*{names[at]}" if code.co_flags & inspect.CO_VARARGS else ""
    others = f"**{names[at + bool(rest)]}" if code.co_flags & inspect.CO_VARKEYWORDS else ""
    split = code.co_posonlyargcount
    parameters = [
        *positional[:split],
        *(["/"] if split else []),
        *positional[split:],
        rest or ("*" if named else ""),
        *named,
        others,
    ]
    keywords = [f"{name}={name}" for name in named]
    text = _TEXT.format(
        name=code.co_name,
        parameters=", ".join(filter(None, parameters)),
        arguments=", ".join(filter(None, [*positional, rest, *keywords, others])),
        rest="".join(f"{name}, " for name in [*positional, rest] if name),
        keywords=", ".join(filter(None, [*(f"'{name}': {name}" for name in named), others])),
    )
    space: dict[str, Any] = {}
    exec(compile(text, IMPORT_SYSTEM, "exec", dont_inherit=True), space)
    made: CodeType = space[code.co_name].__code__
    fields: dict[str, Any] = {"co_firstlineno": code.co_firstlineno}
    fields["co_consts"] = tuple(place if one == "place" else one for one in made.co_consts)
    if hasattr(code, "co_qualname"):
        fields["co_qualname"] = code.co_qualname
    return made.replace(**fields)
