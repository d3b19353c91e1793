"""Test the import hook in normal imports, and where wrapt's fails: callbacks that break imports,
half-imported modules, a deadlock."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from autoinstr.instrument import importhook

Write = Callable[..., None]


class Seen(list):  # type: ignore[type-arg]
    """A callback that notes the modules it is called with, and whether each had its last name by
    then."""

    def __call__(self, module: ModuleType) -> None:
        self.append((module, hasattr(module, "last")))


def test_fires_once_with_the_finished_module(write_modules: Write) -> None:
    seen = Seen()
    write_modules(hooked="import sys\nlast = 1\n")
    importhook.register("hooked", seen)
    importhook.register("hooked", seen)
    module = importlib.import_module("hooked")
    importlib.import_module("hooked")
    assert seen == [(module, True)]


def test_a_callback_registers_another_for_its_module(write_modules: Write) -> None:
    """The other is called before the import ends, and only once: a program may import no more."""
    seen = Seen()
    write_modules(hooked="last = 1\n", later="")
    importhook.register("hooked", lambda module: importhook.register("hooked", seen))
    module = importlib.import_module("hooked")
    assert seen == [(module, True)]
    importlib.import_module("later")
    assert seen == [(module, True)]


def test_the_module_looks_as_it_would_without_us(write_modules: Write) -> None:
    from importlib.machinery import SourceFileLoader

    write_modules(hooked="inside = (__spec__.loader, __loader__, type(__loader__))\nlast = 1\n")
    importhook.register("hooked", Seen())
    module = importlib.import_module("hooked")
    loader = module.__spec__.loader
    assert type(loader) is SourceFileLoader is module.inside[2]
    assert module.inside[0] is module.inside[1] is module.__loader__ is loader


def test_deep_submodules(write_modules: Write) -> None:
    outer, inner = Seen(), Seen()
    write_modules(
        hooked__init="from hooked.sub import last\n",
        hooked__sub__init="from . import deep\nlast = 1\n",
        hooked__sub__deep="last = 2\n",
    )
    importhook.register("hooked.sub.deep", inner)
    importhook.register("hooked", outer)
    module = importlib.import_module("hooked")
    assert inner == [(sys.modules["hooked.sub.deep"], True)]
    assert outer == [(module, True)]


def test_already_imported_fires_at_once(write_modules: Write) -> None:
    write_modules(hooked="last = 1\n")
    module = importlib.import_module("hooked")
    seen = Seen()
    importhook.register("hooked", seen)
    assert seen == [(module, True)]


def test_half_imported_is_deferred_until_finished(write_modules: Write) -> None:
    write_modules(
        hooked="from autoinstr.instrument import importhook\nimport hooked_seen\n"
        "importhook.register('hooked', hooked_seen.seen)\n"
        "early = list(hooked_seen.seen)\nimport hooked_other\n"
        "also_early = list(hooked_seen.seen)\nlast = 1\n",
        hooked_seen="from tests.integration.test_importhook import Seen\nseen = Seen()\n",
        hooked_other="",
        hooked_later="",
    )
    module = importlib.import_module("hooked")
    assert (module.early, module.also_early) == ([], [])
    importlib.import_module("hooked_later")
    assert [(m is module, complete) for m, complete in sys.modules["hooked_seen"].seen] == [
        (True, True)
    ]
    importlib.import_module("wave" if "wave" not in sys.modules else "chunk")
    assert len(sys.modules["hooked_seen"].seen) == 1


def test_raising_midway_then_retried(write_modules: Write) -> None:
    write_modules(
        hooked=(
            "import hooked_switch\nif hooked_switch.broken:\n    raise RuntimeError('half way')\n"
            "last = 1\n"
        ),
        hooked_switch="broken = True\n",
    )
    seen = Seen()
    importhook.register("hooked", seen)
    with pytest.raises(RuntimeError, match="half way"):
        importlib.import_module("hooked")
    assert seen == [] and "hooked" not in sys.modules
    sys.modules["hooked_switch"].broken = False  # type: ignore[attr-defined]
    module = importlib.import_module("hooked")
    assert seen == [(module, True)]


def test_reload_and_reimport_fire_again(write_modules: Write) -> None:
    write_modules(hooked="last = 1\n")
    seen = Seen()
    importhook.register("hooked", seen)
    first = importlib.import_module("hooked")
    assert importlib.reload(first) is first
    del sys.modules["hooked"]
    second = importlib.import_module("hooked")
    assert [module for module, _ in seen] == [first, first, second] and first is not second


@pytest.mark.parametrize("ours_first", [True, False])
def test_lazy_loader_fires_at_the_first_use(write_modules: Write, ours_first: bool) -> None:
    write_modules(hooked="last = 1\n")
    seen = Seen()
    if ours_first:
        importhook.register("hooked", seen)
    spec = importlib.util.find_spec("hooked")
    assert spec is not None and spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["hooked"] = module
    spec.loader.exec_module(module)
    if not ours_first:
        importhook.register("hooked", seen)
    assert seen == []
    assert module.last == 1
    if not ours_first:
        write_modules(hooked_later="")
        importlib.import_module("hooked_later")
    assert seen == [(module, True)]


def test_a_finder_that_makes_modules_lazy(write_modules: Write) -> None:
    class LazyFinder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> object:
            from importlib.machinery import PathFinder

            spec = PathFinder.find_spec(name, path, target) if name == "hooked" else None  # type: ignore[arg-type]
            if spec is not None and spec.loader is not None:
                spec.loader = importlib.util.LazyLoader(spec.loader)
            return spec

    write_modules(hooked="last = 1\n")
    seen = Seen()
    importhook.register("hooked", seen)
    sys.meta_path.insert(1, LazyFinder)  # type: ignore[arg-type]
    try:
        module = importlib.import_module("hooked")
        assert seen == []
        assert module.last == 1
        assert seen == [(module, True)]
        assert type(module.__spec__.loader).__name__ == "SourceFileLoader"
    finally:
        sys.meta_path.remove(LazyFinder)  # type: ignore[arg-type]


def test_namespace_package_fires_after_the_next_execution(write_modules: Write) -> None:
    write_modules(hooked__inner="last = 1\n")
    seen = Seen()
    importhook.register("hooked", seen)
    import hooked  # type: ignore[import-not-found]

    assert type(hooked.__path__).__name__ == "_NamespacePath"
    importlib.import_module("hooked.inner")
    assert [module for module, _ in seen] == [hooked]
