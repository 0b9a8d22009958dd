"""What the checks of rules and dashboards share: the metrics there are, and the expressions that use them."""
import json
import re
from pathlib import Path

import promql_parser as promql
import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "helm/sweep/rules/rules.yaml"
RUNBOOKS = ROOT / "docs/runbooks"
DASHBOARDS = ROOT / "helm/sweep/dashboards"
DOCS = ROOT / "docs/metrics.md"
# Every process shows these; the scrape adds the labels; Prometheus itself makes ALERTS.
PROCESS = {name: set() for name in ("process_resident_memory_bytes", "process_cpu_seconds_total")}
SCRAPED = {"namespace", "pod", "instance", "job"}
ALERTS = {"ALERTS": {"alertname", "alertstate", "severity"}}


def documented() -> dict[str, set[str]]:
    """Each metric of docs/metrics.md with its labels, a histogram as its three series."""
    found = {}
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*) \|", DOCS.read_text(), re.M):
        labels = {label.strip() for label in labels.split(",") if label.strip()}
        if kind == "histogram":
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            found[name] = labels
    assert len(found) > 40, "docs/metrics.md has lost its lists"
    return found


def rules(path: Path = RULES) -> list[dict]:
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def known() -> dict[str, set[str] | None]:
    """Everything an expression may name; None where the labels are a recording rule's own."""
    recorded = {rule["record"]: None for rule in rules() if "record" in rule}
    return documented() | PROCESS | ALERTS | recorded


def selectors(expr):
    """All selectors of a parsed expression."""
    if isinstance(expr, promql.VectorSelector):
        yield expr
    elif isinstance(expr, promql.MatrixSelector):
        yield expr.vector_selector
    elif isinstance(expr, promql.BinaryExpr):
        yield from selectors(expr.lhs)
        yield from selectors(expr.rhs)
    elif isinstance(expr, promql.Call):
        for arg in expr.args:
            yield from selectors(arg)
    elif hasattr(expr, "expr"):
        yield from selectors(expr.expr)
        if getattr(expr, "param", None) is not None:
            yield from selectors(expr.param)


def unknown(text: str, names: dict[str, set[str] | None]) -> list[str]:
    """What an expression names that there is not."""
    problems = []
    for selector in selectors(promql.parse(text)):
        if selector.name not in names:
            problems.append(f"there is no metric {selector.name}")
            continue
        labels = names[selector.name]
        for matcher in selector.matchers.matchers:
            if labels is not None and matcher.name not in labels | SCRAPED:
                problems.append(f"{selector.name} has no label {matcher.name}")
    return problems


def plain(text: str, rate_interval: str = "5m") -> str:
    """An expression of a panel as Grafana would send it with everything selected."""
    for name, value in {"__rate_interval": rate_interval, "__interval": "15s", "__range": "6h"}.items():
        text = text.replace(f"${name}", value)
    return re.sub(r"\$\{?\w+\}?", ".*", text)


def dashboards() -> dict[str, dict]:
    return {path.name: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def panels(dashboard: dict) -> list[dict]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]
