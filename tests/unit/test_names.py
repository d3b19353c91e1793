"""Names say what a thing is: few variables and parameters are pronouns, adverbs or participles."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
MOST = 0.015  # of all variables and parameters

PRONOUNS = """
    all another any anything both each either every everything few it its many mine more most much
    neither none nothing one ones other others our ours own same several some something such that
    theirs them these they thing things this those us what which who whole whose yours
"""
ADVERBS = """
    about above after again ago almost already also always apart aside at away back before below
    beside besides beyond early elsewhere else enough ever far further hence here how however
    inside instead just late later least less likewise long meanwhile maybe nearby never now often
    once only out outside over perhaps quite rather rest since so sometime sometimes soon still
    then there thereby therefore thus together too under until very when where whether while why
    within without yet
"""
PARTICIPLES = """
    added allowed asked become begun broken brought built called carried changed chosen come
    counted cut done drawn dropped ended fallen filled followed found given gone grown handed heard
    held hidden joined kept known laid led left lost made meant met missed missing moved named
    needed opened ordered packed passed picked placed put reached removed replaced
    said seen sent settled shown split spread stood stored taken thrown tied told
    touched turned used wanted waited wished worn written wrapped
"""
VAGUE = frozenset(f"{PRONOUNS} {ADVERBS} {PARTICIPLES}".split())


def names_in(source: str) -> list[str]:
    """List each variable that is bound and each parameter in Python source, once a binding."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        elif isinstance(node, ast.arg):
            names.append(node.arg)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.append(node.attr)
    return names


def is_vague(name: str) -> bool:
    return name.strip("_").lower() in VAGUE


def count_vague(folder: str) -> tuple[Counter[str], int]:
    """Count the vague names below a folder of the repository, and all names."""
    files = [*(REPO / folder).glob("**/*.py")]
    names = [name for file in files for name in names_in(file.read_text(encoding="utf-8"))]
    return Counter(filter(is_vague, names)), len(names)


def test_names_of_the_package_say_what_a_thing_is() -> None:
    vague, total = count_vague("autoinstr")
    more, number = count_vague("sitecustomize")
    vague, total = vague + more, total + number
    share = vague.total() / total
    assert share <= MOST, f"{share:.1%} of {total} names are vague: {vague.most_common(20)}"


def test_module_names_of_the_package_are_no_vague_words() -> None:
    stems = [file.stem for file in (REPO / "autoinstr").glob("**/*.py")]
    assert [stem for stem in stems if is_vague(stem)] == []


def test_the_scan_sees_variables_parameters_and_attributes() -> None:
    source = (
        "def f(one, *, told=1):\n    self.found = [at for at in one]\n    (here, count) = 1, 2\n"
    )
    assert sorted(filter(is_vague, names_in(source))) == ["at", "found", "here", "one", "told"]
    assert not is_vague("line_number") and is_vague("_mine")


def test_no_two_public_classes_have_one_name() -> None:
    """A class has one meaning in the whole package; a private class of one file may repeat."""
    owners: dict[str, list[str]] = {}
    for file in sorted((REPO / "autoinstr").glob("**/*.py")):
        for name in re.findall(
            r"^class ([A-Z]\w*)", file.read_text(encoding="utf-8"), re.MULTILINE
        ):
            owners.setdefault(name, []).append(str(file.relative_to(REPO)))
    assert {name: files for name, files in owners.items() if len(files) > 1} == {}
