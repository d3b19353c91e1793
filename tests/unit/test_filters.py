"""Test which modules the filters keep, and the reasons that they give."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstr.base.errors import ConfigError
from autoinstr.config.filter_hints import suggest_pattern
from autoinstr.config.filters import compile_filter

# path, class, depth: a small Qwen2
TREE = [
    ("", "Qwen2ForCausalLM", 0),
    ("model", "Qwen2Model", 1),
    ("model.embed_tokens", "Embedding", 2),
    ("model.layers", "ModuleList", 2),
    ("model.layers.0", "Qwen2DecoderLayer", 3),
    ("model.layers.0.mlp", "Qwen2MLP", 4),
    ("model.layers.0.mlp.dropout", "Dropout", 5),
    ("model.layers.10", "Qwen2DecoderLayer", 3),
    ("model.layers.10.mlp", "Qwen2MLP", 4),
    ("lm_head", "Linear", 1),
]


def kept(include: list[str], exclude: list[str] | None = None) -> list[str]:
    chosen = compile_filter(include, exclude or [])
    return [path for path, cls, depth in TREE if chosen.decide(path, cls, depth).keep]


@pytest.mark.parametrize(
    ("piece", "paths"),
    [
        ("Linear", ["lm_head"]),
        ("linear", []),
        ("lm_head", ["lm_head"]),
        ("mlp", []),
        ("*.mlp", ["model.layers.0.mlp", "model.layers.10.mlp"]),
        ("*mlp", ["model.layers.0.mlp", "model.layers.10.mlp"]),
        ("layers.*.mlp", []),
        ("*.layers.*.mlp", ["model.layers.0.mlp", "model.layers.10.mlp"]),
        ("model.layers.0", ["model.layers.0"]),
        ("model.layers.0.*", ["model.layers.0.mlp", "model.layers.0.mlp.dropout"]),
        ("model.layers.?.mlp", ["model.layers.0.mlp"]),
        ("model.layers.[1-9]?.mlp", ["model.layers.10.mlp"]),
        ("Qwen2D*", ["model.layers.0", "model.layers.10"]),
        ("model", ["model"]),
        ("class:model", []),
        ("class:*MLP", ["model.layers.0.mlp", "model.layers.10.mlp"]),
        ("path:model", ["model"]),
        ("path:Linear", []),
        ("re:mlp$", ["model.layers.0.mlp", "model.layers.10.mlp"]),
        (r"re:^model\.layers\.[^.]+$", ["model.layers.0", "model.layers.10"]),
        ("depth:0", [""]),
        ("depth:1", ["", "model", "lm_head"]),
        ("depth:1-1", ["model", "lm_head"]),
        ("depth:5-", ["model.layers.0.mlp.dropout"]),
        ("*", [path for path, _, _ in TREE]),
    ],
)
def test_what_a_piece_keeps(piece: str, paths: list[str]) -> None:
    assert kept([piece]) == paths
    assert kept([], [piece]) == [path for path, _, _ in TREE if path not in paths]


def test_exclude_wins_and_pieces_are_joined_by_or() -> None:
    assert kept(["*.mlp", "Linear"], ["*.10.*"]) == ["model.layers.0.mlp", "lm_head"]


def test_reasons_are_for_people() -> None:
    chosen = compile_filter(["*.mlp", "Linear"], ["class:Dropout"])
    assert chosen.decide("a.mlp", "MLP", 2) == (True, "included by '*.mlp'")
    assert chosen.decide("a.drop", "Dropout", 2) == (False, "excluded by 'class:Dropout'")
    assert chosen.decide("a.b", "Conv2d", 2) == (False, "no pattern of include matches it")
    assert compile_filter([], ["x"]).decide("a", "A", 1) == (True, "nothing excludes it")
    assert compile_filter([], []).decide("a", "A", 1) == (True, "no filter is set")


def test_the_commonest_slip_is_named() -> None:
    decision = compile_filter(["layers.*.mlp"], []).decide("model.layers.0.mlp", "Qwen2MLP", 4)
    assert decision == (False, "no pattern of include matches it; '*.layers.*.mlp' would")


def test_pieces_that_matched_nothing_are_known() -> None:
    chosen = compile_filter(["mlp", "Linear"], ["class:Dropuot"])
    for path, cls, depth in TREE:
        chosen.decide(path, cls, depth)
    unmatched = [(pattern.option, pattern.text) for pattern in chosen.find_unmatched()]
    assert unmatched == [("include", "mlp"), ("exclude", "class:Dropuot")]


def test_keeps_all() -> None:
    assert compile_filter([], []).keeps_all
    assert not compile_filter(["*"], []).keeps_all
    assert not compile_filter([], ["x"]).keeps_all


@pytest.mark.parametrize(
    ("piece", "line"),
    [
        (
            "re:(a",
            (
                "is not a regular expression: missing ), unterminated subpattern at position 0; "
                "did you mean 're:\\\\(a'?"
            ),
        ),
        ("[ab", "the bracket at character 1 is never closed; did you mean '[[]ab'?"),
        ("a.[!]", "the bracket at character 3 is never closed; did you mean 'a.[[]!]'?"),
        ("class:[", "the bracket at character 7 is never closed; did you mean 'class:[[]'?"),
        (
            "clas:Linear",
            "'clas:' is none of class:, path:, re:, depth:; did you mean 'class:Linear'?",
        ),
        ("zzz:Linear", "'zzz:' is none of class:, path:, re:, depth:"),
        ("class:", "nothing follows the colon"),
        ("", "an empty pattern matches nothing"),
        ("depth:two", "a depth is a whole number N, or A-B, or A-"),
        ("depth:<3", "a depth is a whole number N, or A-B, or A-; did you mean 'depth:3'?"),
        ("depth:-3", "a depth is a whole number N, or A-B, or A-; did you mean 'depth:3'?"),
        ("depth:4-2", "the first depth is beyond the second; did you mean 'depth:2-4'?"),
    ],
)
@pytest.mark.parametrize("option", ["include", "exclude"])
def test_a_bad_piece_is_one_clear_line(piece: str, line: str, option: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_filter(
            **{"include": [], "exclude": [], option: ["Linear", piece]},
            sources={option: "environment AUTOINSTR_X"},
        )
    given = f"{option}={piece!a}" if piece else option
    assert str(caught.value) == f"{given} (environment AUTOINSTR_X): {line}"


@pytest.mark.parametrize(
    "piece", ["re:(a", "[ab", "class:[", "clas:Linear", "depth:<3", "depth:4-2"]
)
def test_the_suggestion_can_be_used(piece: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_filter([piece], [])
    assert caught.value.suggestion is not None
    compile_filter([caught.value.suggestion], [])


NAMES = st.from_regex(r"[a-cA-C0-2_]{1,3}", fullmatch=True)
PATHS = st.lists(NAMES, max_size=4).map(".".join)
GLOBS = st.text("abAB01.*?", min_size=1, max_size=8)
PIECES = st.one_of(
    GLOBS,
    GLOBS.map("class:{}".format),
    GLOBS.map("path:{}".format),
    st.integers(0, 5).map("depth:{}".format),
    st.sampled_from(["re:a.b", "re:^$"]),
)


@given(GLOBS, PATHS, NAMES)
def test_globs_agree_with_fnmatch(glob: str, path: str, cls: str) -> None:
    """Globs match as Python's own do, over the whole dotted path.

    A glob with a dot does not match classes."""
    expected = fnmatch.fnmatchcase(path, glob) or (
        "." not in glob and fnmatch.fnmatchcase(cls, glob)
    )
    assert compile_filter([glob], []).decide(path, cls, 1).keep == expected


@given(st.lists(PIECES, max_size=3), st.lists(PIECES, max_size=3), PATHS, NAMES, st.integers(0, 6))
def test_filters_compose(
    include: list[str], exclude: list[str], path: str, cls: str, depth: int
) -> None:
    """A module is kept if include is empty or a pattern of it matches, and no pattern of exclude
    does. The reason names a pattern that decides alone."""

    def alone(piece: str) -> bool:
        return compile_filter([piece], []).decide(path, cls, depth).keep

    chosen = compile_filter(include, exclude)
    decision = chosen.decide(path, cls, depth)
    assert decision.keep == (
        (not include or any(map(alone, include))) and not any(map(alone, exclude))
    )
    assert chosen.decide(path, cls, depth) == decision
    if "cluded by" in decision.reason:
        named = [
            piece
            for piece in (include if decision.keep else exclude)
            if repr(piece) in decision.reason
        ]
        assert any(map(alone, named))


@given(st.text(max_size=12))
def test_any_text_is_compiled_or_refused_by_name(piece: str) -> None:
    try:
        compile_filter([piece], [])
    except ConfigError as error:
        assert error.value == piece
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("pattern", "nearest"),
    [
        ("mlp", "*.mlp (2 modules)"),
        ("layers.*.mlp", "*.layers.*.mlp (2 modules)"),
        ("path:layers.*", "path:*.layers.* (5 modules)"),
        ("model.layer.*.mlp", "model.layers.*.mlp (2 modules)"),
        ("model.layer.0", "model.layers.0 (1 module)"),
        ("*.layer.10.mlp", "model.layers.10.mlp (1 module)"),
        ("class:Dropuot", "class:Dropout (1 module)"),
        ("class:linear", "class:Linear (1 module)"),
        ("linear", "Linear (1 module)"),
        ("Qwen2Mlp", "Qwen2MLP (2 modules)"),
        ("dropuot", "*.dropout (1 module)"),
        ("depth:7-", "depths from 0 to 5"),
        ("re:attn", None),
        ("xyz", None),
    ],
)
def test_a_pattern_that_matches_nothing_has_a_nearest_one(
    pattern: str, nearest: str | None
) -> None:
    modules = [(path, cls) for path, cls, _ in TREE]
    assert suggest_pattern(pattern, modules) == nearest
