"""Test autoinstr.range as a decorator, the imports of the module, and its types."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import autoinstr
from autoinstr.api.state import switch
from tests.support.user_fakes import Ranges, session

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def ranges() -> Iterator[Ranges]:
    with session() as found:
        yield found


@autoinstr.range("early")
def early(x: int, *, y: int = 2) -> int:
    """Adds."""
    return x + y


class Service:
    """Not a function."""


def test_decorated_functions_stay_what_they_are(ranges: Ranges) -> None:
    switch(True)
    assert str(inspect.signature(early)) == "(x: 'int', *, y: 'int' = 2) -> 'int'"
    assert (early.__name__, early.__doc__, early.__module__) == ("early", "Adds.", __name__)
    assert pickle.loads(pickle.dumps(early)) is early

    @autoinstr.range("coroutine")
    async def coroutine(x: int) -> int:
        await asyncio.sleep(0)
        return x

    @autoinstr.range("generator")
    def generator() -> Any:
        try:
            got = yield 1
            yield got
        except KeyError:
            yield "key"
        return 5

    @autoinstr.range("agen")
    async def agen() -> Any:
        try:
            got = yield 1
            if got:
                yield got
        except KeyError:
            yield "key"

    assert (
        inspect.iscoroutinefunction(coroutine)
        and inspect.isgeneratorfunction(generator)
        and inspect.isasyncgenfunction(agen)
    )

    async def main() -> None:
        assert await asyncio.gather(coroutine(1), coroutine(2)) == [1, 2]
        one = agen()
        assert (await one.__anext__(), await one.athrow(KeyError())) == (1, "key")
        await one.aclose()
        sent = agen()
        assert (await sent.__anext__(), await sent.asend("sent")) == (1, "sent")
        await sent.aclose()
        assert [item async for item in agen()] == [1]

    asyncio.run(main())
    one = generator()
    assert (next(one), one.send(2)) == (1, 2) and ranges.open == [["user", "generator"]]
    with pytest.raises(StopIteration) as stop:
        next(one)
    assert stop.value.value == 5
    other = generator()
    next(other)
    other.close()
    names = [message for _, message, _ in ranges.ended]
    assert names == ["coroutine"] * 2 + ["agen"] * 3 + ["generator"] * 2 and not ranges.open
    with pytest.raises(TypeError, match="decorates functions"):
        autoinstr.range("a")(Service)


LIGHT = """
import sys
import autoinstr
assert "autoinstr.api.ranges" not in sys.modules
with autoinstr.range("a"): autoinstr.mark("b")
@autoinstr.range("c")
def function(): return 1
assert function() == 1
print(*sys.modules)
"""


def test_it_imports_nothing_large() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", LIGHT], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert {"autoinstr.api.ranges", "autoinstr.api.decorators"} <= set(done.stdout.split())
    assert {
        "torch",
        "wrapt",
        "typing",
        "structlog",
        "inspect",
        "json",
        "logging",
        "dataclasses",
    }.isdisjoint(done.stdout.split())


TYPED = """
import autoinstr

with autoinstr.range("a") as running:
    running.note(files=3)
autoinstr.mark("m", domain="mine", files=3)

@autoinstr.range("f")
def function(x: int) -> str:
    return str(x)

@autoinstr.range("g")
async def coroutine(x: int) -> str:
    return str(x)

reveal_type(function)
reveal_type(coroutine)
function("no")
"""


def test_types_are_kept_for_mypy_strict(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "typed.py").write_text(TYPED)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--cache-dir",
        str(tmp_path / "cache"),
        str(tmp_path / "typed.py"),
    ]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert 'Revealed type is "def (x: int) -> str"' in lines[0].replace("builtins.", ""), (
        done.stdout
    )
    assert "Coroutine[Any, Any, str]" in lines[1].replace("typing.", "").replace("builtins.", ""), (
        done.stdout
    )
    assert 'has incompatible type "str"' in lines[2] and len(lines) == 4, done.stdout
