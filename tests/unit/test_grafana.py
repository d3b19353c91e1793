"""The Grafana dashboard: what every Grafana since 10 reads, and only metrics that exist."""

from __future__ import annotations

import json
import re
from typing import Any

from autoinstr.agent.metrics.families import FAMILIES
from tests.conftest import REPO

DASHBOARD: dict[str, Any] = json.loads(
    (REPO / "deploy" / "grafana" / "autoinstr.json").read_text(encoding="utf-8")
)
# A field of a kind of object, its type, and whether it may be missing: Grafana's dashboard schema,
# as far as the dashboard uses it.
SCHEMA: dict[str, dict[str, type]] = {
    "dashboard": {
        "uid": str,
        "title": str,
        "schemaVersion": int,
        "version": int,
        "panels": list,
        "templating": dict,
        "time": dict,
        "annotations": dict,
        "tags": list,
    },
    "panel": {
        "id": int,
        "type": str,
        "title": str,
        "gridPos": dict,
        "targets": list,
        "fieldConfig": dict,
        "options": dict,
        "datasource": dict,
    },
    "gridPos": {"x": int, "y": int, "w": int, "h": int},
    "target": {"refId": str, "expr": str, "datasource": dict},
    "variable": {"name": str, "type": str},
}


def check(kind: str, value: dict[str, Any]) -> None:
    for field, field_type in SCHEMA[kind].items():
        assert isinstance(value.get(field), field_type), (kind, field, value.get(field))


def list_series() -> dict[str, set[str]]:
    """Map each name in an expression to the labels that it may use."""
    series: dict[str, set[str]] = {}
    for family in FAMILIES:
        endings = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",)}
        for ending in endings.get(family.kind, ("",)):
            labels = {*family.labels, *(("le",) if ending == "_bucket" else ())}
            series[family.name + ending] = labels
    return series


def test_the_dashboard_has_the_form_of_one() -> None:
    check("dashboard", DASHBOARD)
    assert 36 <= DASHBOARD["schemaVersion"] < 42
    variables = DASHBOARD["templating"]["list"]
    for variable in variables:
        check("variable", variable)
    assert [variable["name"] for variable in variables] == ["datasource", "process"]
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        check("panel", panel)
        check("gridPos", panel["gridPos"])
        assert panel["type"] in ("timeseries", "stat")
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own_cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & own_cells, panel["title"]
        cells |= own_cells
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_expressions_use_metrics_and_labels_that_exist() -> None:
    series = list_series()
    shown = set()
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            check("target", target)
            names = re.findall(r"autoinstr_\w+", target["expr"])
            assert names
            labels = set.intersection(*(series[name] for name in names))
            groups = re.findall(r"by \(([^)]*)\)", target["expr"])
            used = {label.strip() for group in groups for label in group.split(",")}
            used |= set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert used <= labels, (target["expr"], used - labels)
            assert target["expr"].count("(") == target["expr"].count(")")
            shown |= set(names)
    for family in FAMILIES:
        assert any(name.startswith(family.name) for name in shown), family.name
