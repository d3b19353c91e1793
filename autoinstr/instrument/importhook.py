"""A finder on sys.meta_path that calls back when a named module has been imported. The import does
not notice it.

All errors are contained. Whatever fails here or in a callback, the program's import gives the same
result and the same traceback as without the agent. A callback gets the finished module:

- after each execution of the module: the first import, a reload, an import after `del
  sys.modules[name]`, an import that succeeds after one that raised;
- when a module loaded through `importlib.util.LazyLoader` is first used;
- at once from `register`, if the module is already imported;
- after the next execution of any other module, in three cases: the module was only partly imported
  at `register`, it is a namespace package (nothing is executed for it), or its loader has only the
  old `load_module`.

This file runs before torch in every instrumented process. It imports only built-in modules, not
even `__future__`."""

import sys

# base/own_thread.py takes the unused ones here, because a program may replace those of `_thread`.
from _thread import RLock as RLock
from _thread import allocate_lock as allocate_lock
from _thread import get_ident
from _thread import start_new_thread as start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType
    from typing import Any

    Callback = Callable[[ModuleType], object]

_callbacks: "dict[str, list[Callback]]" = {}
# Names of modules that no loader of this file announces. They are checked after each execution.
_pending_names: "set[str]" = set()


def register(name: str, callback: "Callback") -> None:
    """Call `callback(module)` each time the module `name` has been executed, and now if it is
    already imported.

    name: dotted and absolute. A second registration of the same callback has no effect. An
    exception of the callback costs one line on stderr."""
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
        _pending_names.add(name)


def install() -> None:
    """Put the finder first on sys.meta_path, unless it is on it."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """Remove the finder and forget every callback. For tests."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not _finder]
    _callbacks.clear()
    _pending_names.clear()


class _Finder:
    """Asks the finders behind it, and gives the spec a loader that reports the execution."""

    def __init__(self) -> None:
        self._searching: "set[tuple[str, int]]" = set()  # (module name, thread)

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name not in _callbacks and not _pending_names:
            return None
        key = (name, get_ident())
        # A finder behind this one may search sys.meta_path from the start, as wrapt's does.
        if key in self._searching:
            return None
        self._searching.add(key)
        try:
            return self._ask_finders_behind(name, path, target)
        finally:
            self._searching.discard(key)

    def _ask_finders_behind(
        self, name: str, path: "Sequence[str] | None", target: "ModuleType | None"
    ) -> "ModuleSpec | None":
        # importlib.util.find_spec would import the parent package and wait for its lock. That
        # deadlocks a package that joins a thread which imports one of its submodules.
        finders = list(sys.meta_path)
        finders_behind = finders[finders.index(self) + 1 :] if self in finders else []
        for finder in finders_behind:
            find_spec = getattr(finder, "find_spec", None)
            if find_spec is None:
                # Python before 3.12 asks its find_module. Leave this import to Python.
                _pending_names.add(name)
                return None
            spec: "ModuleSpec | None" = find_spec(name, path, target)
            if spec is not None:
                _replace_loader(spec, name)
                return spec
        return None


class _Loader:
    """Replaces a spec's loader until the module is executed, then restores the original.

    A spec that is only read (`importlib.util.find_spec`) keeps it, so it resembles the original as
    closely as possible."""

    def __init__(self, inner: "Any", name: str) -> None:
        self._autoinstr_inner = inner
        self._autoinstr_name = name

    def __getattr__(self, attribute: str) -> "Any":
        return getattr(self._autoinstr_inner, attribute)

    @property  # type: ignore[misc]
    def __class__(self) -> "Any":
        return type(self._autoinstr_inner)

    def exec_module(self, module: "ModuleType") -> None:
        self._autoinstr_restore(module)
        try:
            self._autoinstr_inner.exec_module(module)
        finally:
            # Again, because wrapt's loader stores what it wraps, which is this loader.
            self._autoinstr_restore(module)
        # Not in find_spec: its caller holds the import lock, and imports of a callback could
        # deadlock under it.
        _announce(self._autoinstr_name, module)
        for name in list(_pending_names):
            pending_module = sys.modules.get(name)
            if pending_module is not None and is_complete(pending_module):
                _announce(name, pending_module)

    def _autoinstr_restore(self, module: "ModuleType") -> None:
        try:
            # A plain getattr would load a lazy module.
            attributes = object.__getattribute__(module, "__dict__")
            spec = attributes.get("__spec__")
            if spec is not None and spec.loader is self:
                spec.loader = self._autoinstr_inner
            if attributes.get("__loader__") is self:
                attributes["__loader__"] = self._autoinstr_inner
        except Exception as error:
            _complain(self._autoinstr_name, error)


def _replace_loader(spec: "ModuleSpec", name: str) -> None:
    try:
        loader: "Any" = spec.loader
        if type(loader) is _Loader:
            return
        if not hasattr(loader, "exec_module"):  # no loader at all: a namespace package
            _pending_names.add(name)
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
    _pending_names.discard(name)
    # A module may have replaced itself by another object.
    module = sys.modules.get(name) or module
    # A callback may register more callbacks for this module, which are called here too. To
    # `register`, the module is not complete yet.
    for callback in _callbacks.get(name, ()):
        _call(callback, name, module)
    _pending_names.discard(name)


def is_complete(module: "ModuleType") -> bool:
    """Return whether the module has been executed completely.

    A lazy module that has not been used yet stays unloaded, and is not complete."""
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
        from autoinstr.base.system import write_to_stderr

        write_to_stderr(f"autoinstr: not active on {name}: {type(error).__name__}: {text}\n")
    except Exception:  # stderr may be None, closed or full
        pass


def _move_to_import_system(code: "CodeType") -> "CodeType":
    """Return the code under the file name of Python's import system.

    Python removes frames with that name from the traceback of a failing import."""
    return code.replace(co_filename="<frozen importlib._bootstrap>")


for _function in (_Finder.find_spec, _Finder._ask_finders_behind, _Loader.exec_module):
    _function.__code__ = _move_to_import_system(_function.__code__)

_finder: "Any" = _Finder()
