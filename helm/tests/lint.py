"""Rules, runbooks and dashboards against each other and against docs/metrics.md. Plants faults to show that it would find them."""
import copy
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlparse

import metrics

SEVERITIES = {"critical", "warning", "info"}
DATASOURCE = "${datasource}"
VARIABLES = {"sweep-overview.json": ["datasource", "namespace", "sweep"]}


def lint_rules(rules: list[dict], runbooks: set[str]) -> list[str]:
    names, problems = metrics.known(), []
    alerts = [rule for rule in rules if "alert" in rule]
    for rule in rules:
        name = rule.get("alert") or rule["record"]
        problems += [f"{name}: {problem}" for problem in metrics.unknown(rule["expr"], names)]
    for rule in alerts:
        name, notes = rule["alert"], rule.get("annotations", {})
        if rule.get("labels", {}).get("severity") not in SEVERITIES:
            problems.append(f"{name}: its severity is none of {sorted(SEVERITIES)}")
        for note in ("summary", "description", "runbook_url"):
            if not notes.get(note):
                problems.append(f"{name}: no {note}")
        if Path(urlparse(notes.get("runbook_url", "")).path).name != f"{name}.md":
            problems.append(f"{name}: its runbook_url is not its runbook")
        if name not in runbooks:
            problems.append(f"{name}: no docs/runbooks/{name}.md")
    problems += [f"{name}.md: a runbook without an alert" for name in sorted(runbooks - {rule["alert"] for rule in alerts})]
    return problems


def lint_runbook(name: str, text: str) -> list[str]:
    wanted = [f"# {name}\n", "**Means.**", "**Look.**", "**Do.**", "**False alarm.**"]
    return [f"{name}.md: no {part.strip()}" for part in wanted if part not in text]


def lint_dashboard(name: str, dashboard: dict) -> list[str]:
    known, problems = metrics.known(), []
    for part in ("uid", "title", "description", "tags"):
        if not dashboard.get(part):
            problems.append(f"no {part}")
    if dashboard.get("id") is not None:
        problems.append("an id, which belongs to one Grafana")
    if dashboard.get("uid") != name.removesuffix(".json"):
        problems.append("its uid is not its file's name")
    variables = [variable["name"] for variable in dashboard["templating"]["list"]]
    if variables != VARIABLES.get(name, ["datasource", "namespace"]):
        problems.append(f"its variables are {variables}")
    titles = [panel.get("title") for panel in metrics.panels(dashboard)]
    problems += [f"two panels are called {title}" for title in set(titles) if titles.count(title) > 1]
    for panel in metrics.panels(dashboard):
        of = f"panel {panel.get('title')!r}"
        for part in ("title", "description"):
            if not panel.get(part):
                problems.append(f"{of}: no {part}")
        if panel.get("id") is not None:
            problems.append(f"{of}: an id")
        if not panel["fieldConfig"]["defaults"].get("unit"):
            problems.append(f"{of}: no unit")
        for part in [panel, *panel["targets"]]:
            if part.get("datasource", {}).get("uid") != DATASOURCE:
                problems.append(f"{of}: its data source is not the variable")
        for target in panel["targets"]:
            expr = target["expr"]
            if "rate(" in expr and "$__rate_interval" not in expr:
                problems.append(f"{of}: a rate over a fixed interval")
            if 'namespace=~"$namespace"' not in expr and "ALERTS" not in expr:
                problems.append(f"{of}: it ignores the namespace")
            problems += [f"{of}: {problem}" for problem in metrics.unknown(metrics.plain(expr), known)]
    return [f"{name}: {problem}" for problem in problems]


def planted_dashboards(dashboard: dict):
    """The same dashboard with one fault each."""
    def with_panel(**changes):
        bad = copy.deepcopy(dashboard)
        bad["panels"][0].update(changes)
        return bad

    def with_expr(expr):
        bad = copy.deepcopy(dashboard)
        bad["panels"][0]["targets"][0]["expr"] = expr
        return bad

    selected = '{namespace=~"$namespace"}'
    yield "a misspelt metric", with_expr(f"max(sweep_runs_wantd{selected})")
    yield "a misspelt label", with_expr('max(sweep_runs{namespace=~"$namespace",stat="queued"})')
    yield "a fixed interval", with_expr(f"rate(sweep_worker_epochs_total{selected}[5m])")
    yield "no namespace", with_expr("max(sweep_runs_wanted)")
    yield "a fixed data source", with_panel(datasource={"type": "prometheus", "uid": "abc"})
    yield "no description", with_panel(description="")
    yield "no unit", with_panel(fieldConfig={"defaults": {}, "overrides": []})
    yield "an id", {**dashboard, "id": 7}
    yield "no uid", {**dashboard, "uid": ""}


def planted_rules(rules: list[dict]):
    last = rules[-1]
    yield "a misspelt metric", rules[:-1] + [{**last, "expr": "sweep_run_finished_total > 0"}]
    yield "no description", rules[:-1] + [{**last, "annotations": {**last["annotations"], "description": ""}}]
    yield "another's runbook", rules[:-1] + [{**last, "annotations": {**last["annotations"], "runbook_url": "docs/runbooks/SweepNoWorker.md"}}]
    yield "an alert that went", rules[:-1]


def expectations_are_checked() -> list[str]:
    """A falsified expectation of rules_test.yaml must make promtool fail."""
    tests = metrics.RULES.with_name("rules_test.yaml").read_text()
    for of, what, instead in [("a number", "value: 0.25", "value: 0.5"), ("an alert", "severity: info", "severity: warning")]:
        assert what in tests, what
        with tempfile.TemporaryDirectory() as folder:
            bad = Path(folder, "rules_test.yaml")
            bad.write_text(tests.replace(what, instead).replace("[rules.yaml]", json.dumps([str(metrics.RULES)])))
            if subprocess.run(["promtool", "test", "rules", bad], capture_output=True).returncode == 0:
                return [f"rules_test.yaml: {of} that is wrong goes unnoticed"]
    return []


def main() -> int:
    rules, runbooks = metrics.rules(), {path.stem for path in metrics.RUNBOOKS.glob("*.md")}
    problems = lint_rules(rules, runbooks)
    for path in metrics.RUNBOOKS.glob("*.md"):
        problems += lint_runbook(path.stem, path.read_text())
    shown = metrics.dashboards()
    if not shown:
        problems.append("there are no dashboards")
    for name, dashboard in shown.items():
        problems += lint_dashboard(name, dashboard)
    faults = 0
    for what, bad in planted_dashboards(shown["sweep-overview.json"]):
        faults += 1
        if not lint_dashboard("sweep-overview.json", bad):
            problems.append(f"this check overlooks {what} of a dashboard")
    for what, bad in planted_rules(rules):
        faults += 1
        if not lint_rules(bad, runbooks):
            problems.append(f"this check overlooks {what} of a rule")
    problems += expectations_are_checked()
    for problem in problems:
        print(problem, file=sys.stderr)
    count = sum(len(metrics.panels(dashboard)) for dashboard in shown.values())
    print(f"{len(rules)} rules, {len(runbooks)} runbooks, {count} panels of {len(shown)} dashboards, {faults} planted faults: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
