"""Test names of modules, without torch: a module is any object with named_modules()."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstr.base.module_name import ModuleName, make_message_format
from autoinstr.base.module_namer import MAX_DEAD_NAMES, ModuleNamer


class Module:
    """The part of torch's Module that names depend on."""

    def __init__(self, **children: Module) -> None:
        self._modules = dict(children)

    def named_modules(self, prefix: str = "", seen: set[int] | None = None) -> Any:
        seen = set() if seen is None else seen
        if id(self) not in seen:
            seen.add(id(self))
            yield prefix, self
            for name, child in self._modules.items():
                yield from child.named_modules(f"{prefix}.{name}" if prefix else name, seen)


class Linear(Module):
    pass


class OptimizedModule(Module):
    """As torch.compile(module) returns it."""


class Net(Module):
    pass


@pytest.fixture
def namer() -> ModuleNamer:
    return ModuleNamer()


def path_of(namer: ModuleNamer, module: Module, *callers: Module) -> str:
    return namer.name_module(module, list(callers))[0].path


def test_the_outermost_call_names_the_whole_tree(namer: ModuleNamer) -> None:
    net = Net(a=Net(b=Linear()), c=Linear())
    name, others = namer.name_module(net, [])
    assert name == ModuleName(1, "Net#1", "", "Net", 0)
    assert [(one.path, one.cls, one.depth, one.root) for _, one in others] == [
        ("a", "Net", 1, "Net#1"),
        ("a.b", "Linear", 2, "Net#1"),
        ("c", "Linear", 1, "Net#1"),
    ]
    assert namer.name_module(net._modules["c"], [net])[1] == []


def test_a_submodule_called_alone_first_is_renamed_when_its_tree_is_seen(
    namer: ModuleNamer,
) -> None:
    net = Net(a=Net(b=Linear()))
    inner = net._modules["a"]
    alone = namer.name_module(inner, [])[0]
    assert (alone.path, alone.root) == ("", "Net#1")
    changed = {id(module): name for module, name in namer.name_module(net, [])[1]}
    assert changed[id(inner)].path == "a"
    assert changed[id(inner)].module == alone.module, (
        "a module keeps its number, so that a report can use its final name"
    )
    assert path_of(namer, inner) == "a"


def test_a_smaller_tree_never_takes_a_name_away(namer: ModuleNamer) -> None:
    shared = Linear()
    large, small = Net(x=shared, y=Linear(), z=Linear()), Net(mine=shared)
    assert path_of(namer, large) == path_of(namer, small) == ""
    assert path_of(namer, shared, small) == "x"


def test_trees_of_one_class_are_told_apart(namer: ModuleNamer) -> None:
    first, second = Net(a=Linear()), Net(a=Linear())
    assert [namer.name_module(one, [])[0].root for one in (first, second)] == ["Net#1", "Net#2"]
    assert namer.name_module(second._modules["a"], [second])[0].root == "Net#2"


def test_a_module_outside_the_tree_is_named_after_its_caller(namer: ModuleNamer) -> None:
    net, hidden = Net(a=Net()), Linear()
    namer.name_module(net, [])
    assert path_of(namer, hidden, net._modules["a"], net) == "a.Linear?"
    assert path_of(namer, Linear(), net) == "Linear?"


def test_modules_made_anew_share_one_number(namer: ModuleNamer) -> None:
    net = Net()
    namer.name_module(net, [])
    numbers = set()
    for _ in range(100):
        numbers.add(namer.name_module(Linear(), [net])[0].module)
    assert len(numbers) == 1
    roots = set()
    for _ in range(100):
        roots.add(namer.name_module(Linear(), [])[0])
        gc.collect(0)
    assert len(roots) <= 2


def test_a_child_added_later_is_found_in_the_tree(namer: ModuleNamer) -> None:
    net = Net()
    namer.name_module(net, [])
    namer.name_module(Linear(), [net])  # one that named_modules() does not reach
    net._modules["late"] = late = Linear()
    assert path_of(namer, late, net) == "late"


def test_the_class_may_change(namer: ModuleNamer) -> None:
    module = Linear()
    before = namer.name_module(module, [])[0]
    module.__class__ = Net
    after = namer.name_module(module, [])[0]
    assert (before.cls, after.cls) == ("Linear", "Net")
    assert before.module != after.module, "earlier calls keep the earlier class"
    module.__class__ = Linear
    assert namer.name_module(module, [])[0] == before


def test_a_lazy_module_is_called_by_what_it_becomes(namer: ModuleNamer) -> None:
    class LazyLinear(Module):
        cls_to_become = Linear

    assert namer.name_module(LazyLinear(), [])[0].cls == "Linear"


def test_a_dead_module_is_forgotten(namer: ModuleNamer) -> None:
    net = Net(a=Linear())
    namer.name_module(net, [])
    assert len(namer._known_modules) == 2
    del net
    gc.collect()
    namer.name_module(Linear(), [])  # the next that is named
    assert len(namer._known_modules) == 1


class Raises(Module):
    def named_modules(self, *_: Any) -> Any:
        raise AttributeError("no _modules")


class LeavesItselfOut(Module):
    def named_modules(self, *_: Any) -> Any:
        return iter(())


class Repeats(Module):
    def named_modules(self, *_: Any) -> Any:
        return iter([("", self), ("again", self)])


@pytest.mark.parametrize("cls", [Raises, LeavesItselfOut, Repeats])
def test_a_strange_named_modules_makes_a_tree_of_one(namer: ModuleNamer, cls: type[Module]) -> None:
    module = cls()
    assert path_of(namer, module) == path_of(namer, module) == ""
    assert path_of(namer, cls(), module) == f"{cls.__name__}?"


def test_what_cannot_be_referred_to_weakly_is_a_type_error(namer: ModuleNamer) -> None:
    class Slotted:
        __slots__ = ()

        def named_modules(self) -> Any:
            return iter([("", self)])

    with pytest.raises(TypeError):
        namer.name_module(Slotted(), [])


@pytest.mark.parametrize(
    ("how", "root", "child"),
    [("class", "Net", "Linear"), ("path", "Net", "a.b"), ("path:class", "Net", "a.b:Linear")],
)
def test_wording(how: str, root: str, child: str) -> None:
    word = make_message_format(how)
    assert word(ModuleName(1, "Net#1", "", "Net", 0)) == root
    assert word(ModuleName(2, "Net#1", "a.b", "Linear", 2)) == child


@st.composite
def forests(draw: st.DrawFn) -> tuple[list[Module], list[int]]:
    """Draw modules, each with some of the earlier ones as children (some of them shared), and the
    order of outermost calls."""
    modules: list[Module] = []
    for number in range(draw(st.integers(1, 12))):
        children = draw(st.lists(st.integers(0, number - 1), max_size=3)) if number else []
        modules.append(Net(**{f"c{at}": modules[child] for at, child in enumerate(children)}))
    return modules, draw(st.lists(st.integers(0, len(modules) - 1), min_size=1, max_size=12))


@given(forests())
def test_a_path_leads_to_its_module_from_a_root_that_was_called(
    forest: tuple[list[Module], list[int]],
) -> None:
    modules, calls = forest
    namer = ModuleNamer()
    sizes: dict[int, int] = {}
    for call in calls:
        namer.name_module(modules[call], [])
        size = len(list(modules[call].named_modules()))
        for _, one in modules[call].named_modules():
            sizes[id(one)] = max(sizes.get(id(one), 0), size)
    largest = {id(modules[call]): len(list(modules[call].named_modules())) for call in calls}
    for module in modules:
        if id(module) not in sizes:
            continue
        path = namer.name_module(module, [])[0].path
        roots = [
            root
            for root in modules
            if id(root) in largest
            and any(p == path and one is module for p, one in _all_paths(root))
        ]
        assert roots, f"{path} leads to the module from no root"
        assert max(largest[id(root)] for root in roots) == sizes[id(module)], (
            "the path is that in the largest tree"
        )


def _all_paths(root: Module, prefix: str = "") -> Any:
    yield prefix, root
    for name, child in root._modules.items():
        yield from _all_paths(child, f"{prefix}.{name}" if prefix else name)


def test_a_module_that_moves_has_the_name_of_its_place(namer: ModuleNamer) -> None:
    inner = Linear()
    net = Net(a=inner, b=Linear())
    namer.name_module(net, [])
    before = namer.name_module(inner, [net])[0]
    net._modules["a"] = Net(held=inner)
    renamed, removed = namer.rename_children(net)
    moved = namer.name_module(inner, [net])[0]
    assert (before.path, moved.path) == ("a", "a.held")
    assert before.module != moved.module, "earlier calls keep the earlier name"
    assert inner in [module for module, _ in renamed] and not removed
    net._modules["a"] = inner
    namer.rename_children(net)
    assert namer.name_module(inner, [net])[0] == before


def test_a_module_that_leaves_its_tree_is_no_longer_of_it(namer: ModuleNamer) -> None:
    inner = Linear()
    net = Net(a=inner, b=Linear())
    namer.name_module(net, [])
    del net._modules["a"]
    assert not namer.is_in_place(inner)
    assert namer.rename_children(net) == ([], [id(inner)])
    assert namer.name_module(inner, [])[0].root == "Linear#1"


def test_a_wrapper_that_is_gone_leaves_the_names_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("autoinstr.base.module_namer.MAX_DEAD_NAMES", 0)
    table: dict[int, Any] = {}
    namer = ModuleNamer(table)
    net = Net(a=Linear())
    before = namer.name_module(net, [])[0]
    for _ in range(50):
        wrapper = Net(net=net, more=Linear())
        assert namer.name_module(wrapper, [])[1]
        assert namer.name_module(net, [wrapper])[0].path == "net"
        table.update(dict.fromkeys((id(net), id(net._modules["a"]), 1)))
        del wrapper
        gc.collect(0)
        assert table.keys() == {1}, "at once, or the hot path would use the wrapper's names"
        after = namer.name_module(net, [])[0]
        assert (after.root, after.path) == (before.root, "")
    assert namer._module_count < 12


def test_names_of_dead_trees_are_used_again_once_there_are_many(namer: ModuleNamer) -> None:
    trees = MAX_DEAD_NAMES // 4  # three names and a label each
    labels = set()
    for _ in range(2 * trees):
        net = Net(a=Net(b=Linear()))
        labels.add(namer.name_module(net, [])[0].root)
        del net
        gc.collect(0)
    assert trees <= len(labels) <= trees + 2


def test_names_of_dead_trees_are_used_again(
    namer: ModuleNamer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoinstr.base.module_namer.MAX_DEAD_NAMES", 0)
    names = set()
    for _ in range(50):
        net = Net(a=Net(b=Linear()), c=Linear())
        names |= {namer.name_module(net, [])[0], *(name for _, name in namer._name_tree(net))}
        names |= {namer.name_module(net._modules["c"], [net])[0]}
        del net
        gc.collect(0)
    assert len(names) <= 4


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=30))
def test_after_any_moves_each_path_leads_to_its_module(moves: list[tuple[int, int, bool]]) -> None:
    blocks = [Net(x=Linear()) for _ in range(6)]
    net = Net(**{f"b{number}": block for number, block in enumerate(blocks)})
    namer = ModuleNamer()
    namer.name_module(net, [])
    for source, target, is_removed in moves:
        children = net._modules
        children[f"b{source}"], children[f"b{target}"] = (
            children.get(f"b{target}") or Net(),
            children.get(f"b{source}") or Net(),
        )
        if is_removed:
            del children[f"b{target}"]
        _, removed = namer.rename_children(net)
        paths: dict[int, set[str]] = {}
        for path, module in _all_paths(net):
            paths.setdefault(id(module), set()).add(path)
            assert namer.name_module(module, [net])[0].path in {
                path for path, other in _all_paths(net) if other is module
            }
        assert not paths.keys() & set(removed)


def test_a_compiled_model_that_is_dropped_leaves_its_name_to_the_model(namer: ModuleNamer) -> None:
    for calls in (("net", "compiled"), ("compiled", "net")):
        net = Net(head=Linear())
        modules: dict[str, Any] = {"net": net, "compiled": OptimizedModule(_orig_mod=net)}
        roots = {namer.name_module(modules[call], [])[0].root for call in calls}
        modules.clear()
        gc.collect()
        other = namer.name_module(Net(head=Linear()), [])[0]
        assert namer.name_module(net, [])[0].root in roots
        assert len(roots) == 1
        assert other.root not in roots, "both models are alive"


def test_a_larger_tree_gets_no_number_of_a_dead_module(
    namer: ModuleNamer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoinstr.base.module_namer.MAX_DEAD_NAMES", 0)
    dead = Net(head=Linear())
    first = namer.name_module(dead, [])[0]
    del dead
    gc.collect()
    net = Net(head=Linear())
    assert namer.name_module(net, [])[0] == first
    outer = Net(inner=net)
    namer.name_module(outer, [])
    later = namer.name_module(net, [])[0]
    assert later.path == "inner"
    assert later.module != first.module, "a report would show the dead module's calls there"
