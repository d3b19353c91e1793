"""Test rows, versions, selection and look-up, without torch."""

from __future__ import annotations

import textwrap
from types import ModuleType
from typing import Any

import pytest

from autoinstr.targets.custom_targets import parse_custom_targets
from autoinstr.targets.resolve import find_nearest_attribute, resolve_target
from autoinstr.targets.rows import Target, is_in_version, load_builtin_targets
from autoinstr.targets.selection import select_targets
from autoinstr.targets.versions import is_known, is_within


def target(qualname: str, **fields: Any) -> Target:
    row = Target("t", "m", qualname, "sync", (), "", "", (), True, "", "user", "")
    return row._replace(**fields)


@pytest.mark.parametrize(
    ("version", "since", "before", "expected"),
    [
        ("0.11.1", "0.11.1", "", True),
        ("0.11.0", "0.11.1", "", False),
        ("0.11.1", "", "0.11.1", False),
        ("0.9.2", "", "0.11.1", True),
        ("0.10.1", "0.9.2", "", True),  # not as text
        ("0.11", "0.11.0", "0.11.1", True),
        ("0.11.1rc2", "0.11.1", "", True),  # cut from the code of 0.11.1
        ("0.11.1.dev7+g0123abc", "0.11.1", "", True),
        ("0.11.1rc2", "", "0.11.1", False),
        ("0.12.0.post2", "0.12.0", "0.12.1", True),
        ("2.13.0+cpu", "2.13", "2.14", True),
        ("v0.13.0", "0.13.0", "", True),
        ("0.14.0rc1", "0.14.0rc1", "", True),
        ("0.14.0.dev3", "0.14.0rc1", "", False),
        ("0.14.0", "0.14.0rc1", "", True),
        ("0.13.0", "0.14.0rc1", "", False),
        ("0.14.0rc1", "", "0.14.0rc1", False),
        ("0.1.dev1+gabc", "0.11.1", "", True),  # a checkout without tags: unknown
        ("0.1.dev1+gabc", "", "0.11.1", True),
        ("unknown", "0.11.1", "", True),
        (None, "0.11.1", "0.12", True),
    ],
)
def test_bounds(version: str | None, since: str, before: str, expected: bool) -> None:
    assert is_within(version, since, before) is expected
    assert is_in_version(target("f", since=since, before=before), version) is expected


def test_unknown_versions_are_known_as_such() -> None:
    assert is_known("0.32.0") and is_known("0.11.1.dev7") and is_known("0.1.0")
    assert not is_known("0.1.dev99+gabc") and not is_known(None) and not is_known("main")


def test_a_row_of_a_user() -> None:
    table = {
        "name": "mine.step",
        "target": "pkg.mod:Class.method",
        "roles": ["Worker"],
        "since": "1.0",
        "attributes": "request,count",
    }
    rows, problems = parse_custom_targets([table], "file x.toml")
    assert problems == []
    assert rows == [
        Target(
            "mine.step",
            "pkg.mod",
            "Class.method",
            "auto",
            ("Worker",),
            "1.0",
            "",
            ("request", "count"),
            True,
            "",
            "user",
            "",
        )
    ]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"target": "m:f"}, "number 2: has no name"),
        ({"name": "a"}, "'a': has no target"),
        ({"name": "a", "target": ""}, "has no target"),
        ({"name": "a", "target": "pkg.mod.f"}, "did you mean 'pkg.mod:f'?"),
        ({"name": "a", "target": "pkg.mod:"}, "must be written"),
        ({"name": "a", "target": "pkg mod:f"}, "'pkg mod' is not a Python name"),
        ({"name": "a", "target": "m:<locals>.f"}, "is not a Python name"),
        (
            {"name": "a", "target": "m:f", "kind": "asynch"},
            "kind has 'asynch'; did you mean 'async'?",
        ),
        ({"name": "a", "target": "m:f", "kind": ""}, "kind has ''"),
        ({"name": "a", "target": "m:f", "kind": "sync,async"}, "kind has 'sync,async'"),
        ({"name": "a", "target": "m:f", "kind": ["sync"]}, "kind is ['sync'], not a text"),
        ({"name": "a", "target": "m:f", "roles": ["Wrker"]}, "did you mean 'Worker'?"),
        ({"name": "a", "target": "m:f", "attributes": "sheduled"}, "did you mean 'scheduled'?"),
        ({"name": "a", "target": "m:f", "since": "soon"}, "since is 'soon', not a version"),
        (
            {"name": "a", "target": "m:f", "since": "2", "before": "1.5"},
            "since 2 is not lower than before 1.5",
        ),
        ({"name": "a", "target": "m:f", "since": 2}, "since is 2, not a text"),
        ({"name": "a", "target": "m:f", "atributes": "count"}, "did you mean 'attributes'?"),
        ({"name": "a b", "target": "m:f"}, "one word"),
        ({"name": "a*", "target": "m:f"}, "one word"),
        ({"name": 3, "target": "m:f"}, "name is 3, not a text"),
        ({"name": "a", "target": "m:f", "domain": ""}, "the domain is empty"),
        ({"name": "good", "target": "m:f"}, "an earlier row has this name"),
        ({"name": "sched.schedule", "target": "m:f"}, "there is a target of this name already"),
    ],
)
def test_a_bad_row_is_named_and_costs_itself_only(table: dict[str, Any], said: str) -> None:
    good, last = (
        {"name": "good", "target": "m:f"},
        {"name": "last", "target": "m:g", "kind": "future"},
    )
    rows, problems = parse_custom_targets([good, table, last], "file x.toml")
    assert [row.name for row in rows] == ["good", "last"]
    assert (
        len(problems) == 1
        and problems[0].startswith("file x.toml: custom_target ")
        and said in problems[0]
    )


def test_selection() -> None:
    rows = [
        target("f", name="a.one"),
        target("f", name="a.two", default=False),
        target("f", name="b.one", default=False),
    ]

    def names(*patterns: str) -> list[str]:
        return [row.name for row in select_targets(rows, patterns)[0]]

    assert names("default") == ["a.one"]
    assert names("all") == ["a.one", "a.two", "b.one"]
    assert names("none") == names() == []
    assert names("default", "b.*") == ["a.one", "b.one"]
    assert names("b.*", "a.two") == ["a.two", "b.one"]
    assert names("?.one") == ["a.one", "b.one"]


def test_a_pattern_without_a_target_is_told_with_the_nearest() -> None:
    chosen, unmatched = select_targets(
        load_builtin_targets(), ("sched.shedule", "xyz*", "kv.free", "none", "defualt")
    )
    assert {row.name for row in chosen} == {"kv.free"}
    assert unmatched == [
        "'sched.shedule' is no target; did you mean 'sched.schedule'?",
        "'xyz*' is no target",
        "'defualt' is no target; did you mean 'default'?",
    ]


@pytest.mark.parametrize("pattern", ["nope.*", "non*", "al?", "al*e", "defaul[a-s]", "xyz*"])
def test_a_glob_is_never_taken_for_all_or_none(pattern: str) -> None:
    """The suggestion `none` for a glob would turn every target off."""
    (said,) = select_targets(load_builtin_targets(), (pattern,))[1]
    assert not [word for word in ("default", "all", "none") if f"did you mean '{word}'" in said]


def test_a_glob_is_answered_with_a_glob() -> None:
    assert select_targets(load_builtin_targets(), ("shced.*",))[1] == [
        "'shced.*' is no target; did you mean 'sched.*'?"
    ]


class Base:
    def plain(self) -> int:
        return 1

    @staticmethod
    def static() -> int:
        return 2

    @property
    def shown(self) -> int:
        raise AssertionError("no property is read")


class Child(Base):
    value = 3

    @classmethod
    def made(cls) -> int:
        return 4

    class Inner:
        def deep(self) -> int:
            return 5


class Loud(type):
    def __getattribute__(cls, name: str) -> Any:
        if name == "method":
            raise AssertionError("no attribute is looked up")
        return super().__getattribute__(name)


class Noisy(metaclass=Loud):
    def method(self) -> int:
        return 6


@pytest.fixture
def module() -> ModuleType:
    made = ModuleType("m")
    made.__dict__.update(Base=Base, Child=Child, Noisy=Noisy, function=textwrap.dedent, number=7)

    def lazy(name: str) -> Any:
        raise AssertionError("the module's __getattr__ does not run")

    made.__dict__["__getattr__"] = lazy
    return made


@pytest.mark.parametrize(
    ("qualname", "owner", "attribute"),
    [
        ("Child.plain", Base, "plain"),
        ("Child.static", Base, "static"),
        ("Child.made", Child, "made"),
        ("Child.Inner.deep", Child.Inner, "deep"),
    ],
)
def test_a_method_is_found_where_it_is_defined(
    module: ModuleType, qualname: str, owner: type, attribute: str
) -> None:
    assert resolve_target(target(qualname), module) == (owner, attribute, vars(owner)[attribute])


def test_a_function_belongs_to_its_module(module: ModuleType) -> None:
    assert resolve_target(target("function"), module) == (module, "function", textwrap.dedent)


def test_nothing_of_the_program_runs(module: ModuleType) -> None:
    assert resolve_target(target("Noisy.method"), module) == (
        Noisy,
        "method",
        vars(Noisy)["method"],
    )


@pytest.mark.parametrize(
    "qualname",
    [
        "absent",
        "Absent.plain",
        "Child.absent",
        "Child.shown",
        "Child.value",
        "number",
        "number.real",
        "Child.__eq__",
    ],
)
def test_what_is_no_function_is_not_found(module: ModuleType, qualname: str) -> None:
    assert resolve_target(target(qualname), module) is None


@pytest.mark.parametrize(
    ("qualname", "near"),
    [
        ("Child.plane", "Child.plain"),
        ("Chlid.plain", "Child"),
        ("functoin", "function"),
        ("Child.zzzz", None),
        ("Child.plain", None),
    ],
)
def test_the_nearest_attribute(module: ModuleType, qualname: str, near: str | None) -> None:
    assert find_nearest_attribute(target(qualname), module) == near
