"""The dashboard and the rules know the metrics, all of them, and no others."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest
import yaml

from tests.deploy.families import families

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))
RULES = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text("utf-8"))

ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SHOWN = [target["expr"] for panel in PANELS for target in panel["targets"]]
MARKED = [each["expr"] for each in DASHBOARD["annotations"]["list"]]
ASKED = [rule["expr"] for rule in ALERTS]

# What Prometheus itself and its library for Python say of each process.
TARGET = {"job", "instance"}
STANDARD = {
    "up",
    "process_start_time_seconds",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
}


def series() -> dict[str, set[str]]:
    """Return the labels of each series that there is, by its name."""
    found = {name: set[str]() for name in STANDARD}
    for name, (kind, labels) in families().items():
        if kind == "histogram":
            found[f"{name}_bucket"] = {*labels, "le"}
            found[f"{name}_sum"] = found[f"{name}_count"] = set(labels)
        else:
            found[name] = set(labels)
    return {name: labels | TARGET for name, labels in found.items()}


def parse(query: str) -> promql_parser.Expr:
    return promql_parser.parse(query.replace("$__rate_interval", "5m"))


def parts(expression: object) -> Iterator[object]:
    """Yield the expression, and all within it."""
    yield expression
    for name in ("lhs", "rhs", "expr", "vector_selector"):
        if (part := getattr(expression, name, None)) is not None:
            yield from parts(part)
    for argument in getattr(expression, "args", ()):
        yield from parts(argument)


def selectors(query: str) -> list[promql_parser.VectorSelector]:
    return [each for each in parts(parse(query)) if isinstance(each, promql_parser.VectorSelector)]


def grouped(query: str) -> set[str]:
    """Return the labels by which anything is put together."""
    groups = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", query)
    return {label.strip() for group in groups for label in group.split(",")}


@pytest.mark.parametrize("query", sorted({*SHOWN, *MARKED, *ASKED}))
def test_a_query_asks_for_what_there_is(query):
    known = series()
    selected = selectors(query)
    names = {str(each.name) for each in selected}

    assert names
    assert names <= known.keys()
    for each in selected:
        assert {matcher.name for matcher in each.matchers.matchers} <= known[str(each.name)]
    assert grouped(query) <= set.union(*(known[name] for name in names))


def test_every_metric_is_on_the_dashboard():
    shown = {str(each.name) for query in SHOWN for each in selectors(query)}

    missing = {
        name
        for name, (kind, _) in families().items()
        if (f"{name}_bucket" if kind == "histogram" else name) not in shown
    }

    assert not missing


def test_every_panel_has_a_title_a_place_of_its_own_and_an_id_of_its_own():
    places = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]

    assert all(panel["title"] for panel in DASHBOARD["panels"])
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_source_and_every_word_in_a_query_is_a_variable_of_the_dashboard():
    known = {each["name"] for each in DASHBOARD["templating"]["list"]} | {"__rate_interval"}

    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))

    assert used == known


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_it_means(rule):
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary", "description"}
    left = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    kept = {"instance"} | grouped(rule["expr"])
    if "sum" not in rule["expr"]:
        kept |= set.union(*(series()[str(each.name)] for each in selectors(rule["expr"])))
    assert left <= kept
