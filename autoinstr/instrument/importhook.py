"""A finder on sys.meta_path that calls back when a named module has been imported, without the
import noticing.

Everything is contained: whatever goes wrong in here or in a callback, the host's import gives the
result and the traceback it would have given anyway. A callback is called with the finished module:

- after each execution of it: the first import, a reload, an import after `del sys.modules[name]`,
one that succeeds after one that raised;
- when a module loaded through `importlib.util.LazyLoader` is first used;
- at once by `register`, if the module is imported already;
- after the next execution of any other module, if it was only half imported when `register` was
called, if it is a namespace package
  (nothing is executed for it), or if its loader has only the old `load_module`.

This file runs before torch in every instrumented process: it imports nothing but built-in modules,
not even `__future__`."""

import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType
    from typing import Any

    Callback = Callable[[ModuleType], object]

_callbacks: "dict[str, list[Callback]]" = {}
_waiting: "set[str]" = (
    set()
)  # names of modules that no loader of ours will announce: looked for after each execution


def register(name: str, callback: "Callback") -> None:
    """Calls `callback(module)` each time the module `name` has been executed, and now if it is
    imported already.

    name: dotted, absolute. Registering the same callback twice is the same as once. An exception
    from it costs one line on stderr."""
    callbacks = _callbacks.setdefault(name, [])
    if callback in callbacks:
        return
    callbacks.append(callback)
    module = sys.modules.get(name)
    if module is None:
        return
    if is_complete(module):
        _call(callback, name, module)
    else:
        _waiting.add(name)


def install() -> None:
    """Puts the finder first on sys.meta_path, unless it is on it."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """Takes the finder away and forgets every callback. For tests."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not _finder]
    _callbacks.clear()
    _waiting.clear()


class _Finder:
    """Asks the finders behind it, and lends the spec a loader that tells when the module has been
    executed."""

    def __init__(self) -> None:
        self._searching: "set[tuple[str, int]]" = set()

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name not in _callbacks and not _waiting:
            return None
        key = (name, get_ident())
        if (
            key in self._searching
        ):  # a finder behind us searches sys.meta_path from the start, as wrapt's does
            return None
        self._searching.add(key)
        try:
            return self._find_behind(name, path, target)
        finally:
            self._searching.discard(key)

    def _find_behind(
        self, name: str, path: "Sequence[str] | None", target: "ModuleType | None"
    ) -> "ModuleSpec | None":
        # Not importlib.util.find_spec: that imports the parent package and so waits for its lock,
        # which deadlocks a package that joins a thread importing one of its own submodules.
        finders = list(sys.meta_path)
        behind = finders[finders.index(self) + 1 :] if self in finders else []
        for finder in behind:
            find_spec = getattr(finder, "find_spec", None)
            if (
                find_spec is None
            ):  # Python < 3.12 would ask its find_module: leave this import to Python
                _waiting.add(name)
                return None
            spec: "ModuleSpec | None" = find_spec(name, path, target)
            if spec is not None:
                _lend_loader(spec, name)
                return spec
        return None


class _Loader:
    """Stands in for a spec's loader until the module is executed, and puts the real one back before
    that.

    A spec that is only looked at (`importlib.util.find_spec`) keeps it, so it passes for the real
    loader as well as it can."""

    def __init__(self, inner: "Any", name: str) -> None:
        self._autoinstr_inner = inner
        self._autoinstr_name = name

    def __getattr__(self, attribute: str) -> "Any":
        return getattr(self._autoinstr_inner, attribute)

    @property  # type: ignore[misc]
    def __class__(self) -> "Any":
        return type(self._autoinstr_inner)

    def exec_module(self, module: "ModuleType") -> None:
        self._autoinstr_give_back(module)
        try:
            self._autoinstr_inner.exec_module(module)
        finally:
            self._autoinstr_give_back(
                module
            )  # again: wrapt's loader puts in what it wraps, which is us
        # Here, not in find_spec: there the caller holds the import lock, under which a callback's
        # own imports could deadlock.
        _announce(self._autoinstr_name, module)
        for name in list(_waiting):
            waited_for = sys.modules.get(name)
            if waited_for is not None and is_complete(waited_for):
                _announce(name, waited_for)

    def _autoinstr_give_back(self, module: "ModuleType") -> None:
        try:
            attributes = object.__getattribute__(
                module, "__dict__"
            )  # a plain getattr would wake a lazy module
            spec = attributes.get("__spec__")
            if spec is not None and spec.loader is self:
                spec.loader = self._autoinstr_inner
            if attributes.get("__loader__") is self:
                attributes["__loader__"] = self._autoinstr_inner
        except Exception as error:
            _complain(self._autoinstr_name, error)


def _lend_loader(spec: "ModuleSpec", name: str) -> None:
    try:
        loader: "Any" = spec.loader
        if type(loader) is _Loader:
            return
        if not hasattr(loader, "exec_module"):  # no loader at all: a namespace package
            _waiting.add(name)
            return
        lazy = getattr(sys.modules.get("importlib.util"), "LazyLoader", None)
        if lazy is not None and isinstance(loader, lazy):
            if type(loader.loader) is not _Loader:
                loader.loader = _Loader(loader.loader, name)
        else:
            spec.loader = _Loader(loader, name)  # type: ignore[assignment]
    except Exception as error:
        _complain(name, error)


def _announce(name: str, module: "ModuleType") -> None:
    _waiting.discard(name)
    module = (
        sys.modules.get(name) or module
    )  # a module may have put another object in its own place
    for callback in list(_callbacks.get(name, ())):
        _call(callback, name, module)


def is_complete(module: "ModuleType") -> bool:
    """The module has been executed, whole; one that is loaded lazily, and not yet, is left
    asleep."""
    try:
        spec = object.__getattribute__(module, "__dict__").get("__spec__")
    except AttributeError:
        spec = None
    lazy = getattr(sys.modules.get("importlib.util"), "_LazyModule", None)
    return not getattr(spec, "_initializing", False) and (
        lazy is None or object.__getattribute__(module, "__class__") is not lazy
    )


def _call(callback: "Callback", name: str, module: "ModuleType") -> None:
    try:
        callback(module)
    except Exception as error:
        _complain(name, error)


def _complain(name: str, error: Exception) -> None:
    try:
        text = " ".join(str(error).split())
        sys.stderr.write(f"autoinstr: not active on {name}: {type(error).__name__}: {text}\n")
    except Exception:  # stderr may be None, closed or full
        pass


def _as_import_machinery(code: "CodeType") -> "CodeType":
    """The same code under the file name of Python's import system, which takes frames of that name
    out of a failing import's traceback."""
    return code.replace(co_filename="<frozen importlib._bootstrap>")


for _function in (_Finder.find_spec, _Finder._find_behind, _Loader.exec_module):
    _function.__code__ = _as_import_machinery(_function.__code__)

_finder: "Any" = _Finder()
