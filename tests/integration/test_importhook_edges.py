"""Test the import hook with other finders and loaders, in threads, and where an import fails."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from types import ModuleType

import pytest

from autoinstr.instrument import importhook
from tests.conftest import REPO, Python
from tests.integration.test_importhook import Seen

Write = Callable[..., None]


def test_find_spec_probes_consume_nothing(write_modules: Write) -> None:
    from importlib.machinery import SourceFileLoader

    write_modules(hooked="last = 1\n")
    seen = Seen()
    importhook.register("hooked", seen)
    for _ in range(3):
        spec = importlib.util.find_spec("hooked")
        assert spec is not None and isinstance(spec.loader, SourceFileLoader)
        assert spec.loader.get_filename("hooked") == spec.origin
    assert seen == [] and "hooked" not in sys.modules
    importlib.import_module("hooked")
    assert len(seen) == 1
    assert importlib.util.find_spec("hooked_that_is_not_there") is None


def test_a_callback_that_raises_leaves_the_import_alone(
    write_modules: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write_modules(hooked="last = 1\n")
    seen = Seen()

    def broken(module: ModuleType) -> None:
        raise ValueError("two\nlines")

    importhook.register("hooked", broken)
    importhook.register("hooked", seen)
    module = importlib.import_module("hooked")
    assert seen == [(module, True)]
    captured = capsys.readouterr()
    assert (
        captured.out == ""
        and captured.err == "autoinstr: not active on hooked: ValueError: two lines\n"
    )


def test_a_module_that_puts_another_in_its_place(write_modules: Write) -> None:
    write_modules(
        hooked=(
            "import sys, types\nother = types.ModuleType('other')\nother.last = 1\n"
            "sys.modules['hooked'] = other\n"
        )
    )
    seen = Seen()
    importhook.register("hooked", seen)
    module = importlib.import_module("hooked")
    assert module.__name__ == "other" and seen == [(module, True)]


def test_extension_builtin_and_frozen_modules() -> None:
    importhook.install()
    names = [
        "_testmultiphase" if importlib.util.find_spec("_testmultiphase") else "_json",
        "xxsubtype",
        "__hello__",
    ]
    try:
        for name in names:
            saved = sys.modules.pop(name, None)
            seen = Seen()
            importhook.register(name, seen)
            module = importlib.import_module(name)
            assert [m for m, _ in seen] == [module], name
            if saved is not None:
                sys.modules[name] = saved
    finally:
        importhook.uninstall()


def test_a_finder_ahead_that_searches_from_the_start(write_modules: Write) -> None:
    """wrapt's finder: it calls importlib.util.find_spec from within find_spec."""
    wrapt = pytest.importorskip(
        "wrapt", reason="wrapt is a dependency; without it there is no finder of its to test beside"
    )
    write_modules(hooked="last = 1\n")
    ours, theirs = Seen(), Seen()
    before = list(sys.meta_path)
    importhook.register("hooked", ours)
    wrapt.register_post_import_hook(theirs, "hooked")
    try:
        module = importlib.import_module("hooked")
        assert ours == theirs == [(module, True)]
        assert type(module.__spec__.loader).__name__ == "SourceFileLoader"
    finally:
        sys.meta_path[:] = before


def test_a_loader_with_only_load_module(write_modules: Write) -> None:
    class Loader:
        def load_module(self, name: str) -> ModuleType:
            module = sys.modules[name] = ModuleType(name)
            module.last = 1  # type: ignore[attr-defined]
            return module

    class Finder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> object:
            return importlib.util.spec_from_loader(name, Loader()) if name == "hooked_old" else None  # type: ignore[arg-type]

    if sys.version_info >= (3, 15):
        pytest.skip("Python 3.15 no longer has load_module")
    write_modules(hooked_later="")
    seen = Seen()
    importhook.register("hooked_old", seen)
    sys.meta_path.append(Finder)  # type: ignore[arg-type]
    try:
        with pytest.warns(ImportWarning):
            module = importlib.import_module("hooked_old")
        importlib.import_module("hooked_later")
        assert seen == [(module, True)]
    finally:
        sys.meta_path.remove(Finder)  # type: ignore[arg-type]


def test_threads_importing_the_same_module_fire_once(write_modules: Write) -> None:
    write_modules(hooked="import time\ntime.sleep(0.05)\nlast = 1\n")
    seen = Seen()
    importhook.register("hooked", seen)
    threads = [threading.Thread(target=importlib.import_module, args=("hooked",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [(sys.modules["hooked"], True)]


DEADLOCK = """
import importlib, sys
from autoinstr.instrument import importhook
fired = []
importhook.register("pkg.sub", fired.append)
importhook.register("pkg", fired.append)
importhook.install()
import pkg
print([module.__name__ for module in fired], pkg.found)
"""


def test_a_package_that_joins_a_thread_importing_its_submodule_does_not_hang(bare: Python) -> None:
    """With a finder that imports the parent package, as importlib.util.find_spec does, this hangs
    for ever."""
    package = bare.cwd / "pkg"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import importlib, threading\nfound = []\n"
        "thread = threading.Thread(target=lambda: "
        "found.append(importlib.import_module('pkg.sub').value))\nthread.start()\n"
        "thread.join()\n"
    )
    (package / "sub.py").write_text("value = 3\n")
    run = bare.run("-c", DEADLOCK, path=(REPO,), on=None, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "['pkg.sub', 'pkg'] [3]\n", "")


@pytest.mark.parametrize(
    "source",
    [
        "import missing_module\n",
        "def f():\n    1 / 0\nf()\n",
        "def (:\n",
        "raise SystemExit(4)\n",
        "from hooked_broken import nothing\n",
        "x = '\\0'\n\0\n",
    ],
)
@pytest.mark.parametrize(
    "verb", ["import hooked_broken", "import importlib; importlib.import_module('hooked_broken')"]
)
def test_a_failing_import_shows_the_same_traceback(bare: Python, source: str, verb: str) -> None:
    (bare.cwd / "hooked_broken.py").write_bytes(source.encode())
    native = bare.run("-c", verb, path=(REPO,), on=None)
    hook = (
        "from autoinstr.instrument import importhook as h; h.register('hooked_broken', print); "
        "h.register('missing_module', print); h.install(); "
    )
    ours = bare.run("-c", hook + verb, path=(REPO,), on=None)
    assert (ours.returncode, ours.stdout) == (native.returncode, native.stdout)
    ours_shown, native_shown = (
        ours.stderr.replace(hook, "").splitlines(),
        native.stderr.splitlines(),
    )
    if (
        "import_module" in verb
    ):  # it shows the import system's own frames, and ours is one of them then
        ours_shown, native_shown = (
            [line for line in lines if "<frozen importlib" not in line]
            for lines in (ours_shown, native_shown)
        )
    assert ours_shown == native_shown
    assert native.returncode != 0 and "importhook.py" not in ours.stderr


def test_the_finder_behind_other_finders_still_asks_only_those_behind_it(
    write_modules: Write,
) -> None:
    asked: list[str] = []

    class Ahead:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            asked.append(name)

    write_modules(hooked="last = 1\n")
    seen = Seen()
    importhook.register("hooked", seen)
    sys.meta_path.insert(0, Ahead)  # type: ignore[arg-type]
    try:
        importlib.import_module("hooked")
    finally:
        sys.meta_path.remove(Ahead)  # type: ignore[arg-type]
    assert asked.count("hooked") == 1 and len(seen) == 1


def test_register_while_the_environment_is_strange(bare: Python) -> None:
    program = (
        "import sys; sys.stderr = None\nfrom autoinstr.instrument import importhook as h\n"
        "h.register('wave', lambda module: 1 / 0); h.install(); import wave; print(wave.__name__)"
    )
    run = bare.run("-c", program, path=(REPO,), on=None)
    assert (run.returncode, run.stdout, run.stderr) == (0, "wave\n", "")
    assert os.path.isdir(REPO)
