"""Reads a file back, checks every line against docs/log.md, and counts."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter, defaultdict
from pathlib import Path

from .text import Json, Params, compact

# Fields of each type of line, as in docs/log.md: required, optional.
FIELDS: dict[str, tuple[str, str]] = {
    "run": ("run experiment", "name parent start_time user host command git_commit git_branch git_dirty git_remote notes"),
    "params": ("run values", ""),
    "metrics": ("run values", "step time context"),
    "metric_goal": ("experiment key goal", "source unit description"),
    "tags": ("run", "values remove"),
    "note": ("run notes", ""),
    "comment": ("run", "comment author time id remove"),
    "features": ("run features", ""),
    "data": ("run dataset role", "digest data_version source n_rows n_columns bytes data_schema"),
    "packages": ("run values", ""),
    "environment": ("run values", ""),
    "link": ("run target kind", "position weight step"),
    "text": ("run key text", "step time"),
    "histogram": ("run key edges counts", "step time"),
    "file": ("run key source", "step time"),
    "series": ("run key kind payload", "step time"),
    "table": ("run name columns", "types"),
    "artifact": ("run path", "source text base64 uri size digest mime"),
    "finish": ("run", "status end_time error"),
    "delete": ("run", ""),
    "restore": ("run", ""),
}
FEATURE_FIELDS = set("feature position dtype used importance importance_kind feature_tags description".split())
AFTER_FINISH = {"tags", "note", "comment", "delete", "restore"}


class Checker:
    """Reads lines one by one, refuses those that docs/log.md does not allow, and counts the rest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kinds: Counter[str] = Counter()
        self.experiment: dict[str, str] = {}
        self.finished: dict[str, str] = {}
        self.params: dict[str, Params] = {}
        self.used: dict[str, tuple[str, ...]] = {}
        self.versions: dict[str, set[str]] = defaultdict(set)
        self.tally: Counter[str] = Counter()

    def read(self, text: str) -> None:
        """Checks one line."""
        record = json.loads(text)
        kind = record.pop("type")
        required, optional = (set(names.split()) for names in FIELDS[kind])
        assert required <= record.keys() <= required | optional, f"fields of {kind}: {sorted(record)}"
        self.kinds[kind] += 1
        run = record.get("run")
        if kind == "run":
            assert run not in self.experiment, f"run {run} appears twice"
            assert "parent" not in record or record["parent"] in self.experiment
            self.experiment[run] = record["experiment"]
        elif kind != "metric_goal":
            assert run in self.experiment, f"{kind} before the run line of {run}"
            assert run not in self.finished or kind in AFTER_FINISH, f"{kind} after the end of {run}"
        if hasattr(self, f"read_{kind}"):
            getattr(self, f"read_{kind}")(run, record)

    def read_params(self, run: str, record: Json) -> None:
        self.params.setdefault(run, {}).update(record["values"])

    def read_metrics(self, run: str, record: Json) -> None:
        for value in record["values"].values():
            assert value in ("NaN", "Infinity", "-Infinity") or isinstance(value, (int, float)), value
            self.tally["metric points"] += 1
            self.tally["NaN points"] += value == "NaN"
            self.tally["infinite points"] += value in ("Infinity", "-Infinity")

    def read_metric_goal(self, run: None, record: Json) -> None:
        assert record["goal"] in ("min", "max")
        assert record["experiment"] in self.experiment.values()

    def read_features(self, run: str, record: Json) -> None:
        rows = record["features"]
        assert all(row.keys() <= FEATURE_FIELDS and "feature" in row for row in rows)
        self.used[run] = tuple(sorted(row["feature"] for row in rows if row.get("used", True)))

    def read_data(self, run: str, record: Json) -> None:
        self.versions[record["dataset"]].add(record["data_version"])

    def read_link(self, run: str, record: Json) -> None:
        assert record["target"] in self.experiment and record["target"] != run
        self.tally[f"links: {record['kind']}"] += 1

    def read_histogram(self, run: str, record: Json) -> None:
        assert len(record["edges"]) == len(record["counts"]) + 1

    def read_file(self, run: str, record: Json) -> None:
        assert (self.folder / record["source"]).is_file(), record["source"]

    def read_artifact(self, run: str, record: Json) -> None:
        assert len({"source", "text", "base64"} & record.keys()) == 1
        if "source" in record:
            self.read_file(run, record)
        base64.b64decode(record.get("base64", ""), validate=True)

    def read_table(self, run: str, record: Json) -> None:
        lengths = {len(values) for values in record["columns"].values()}
        assert len(lengths) == 1
        self.tally[f"rows of frames.{record['name']}"] += lengths.pop()

    def read_finish(self, run: str, record: Json) -> None:
        assert record["status"] in ("FINISHED", "FAILED", "KILLED", "SCHEDULED")
        assert ("error" in record) == (record["status"] in ("FAILED", "KILLED"))
        self.finished[run] = record["status"]

    def configs_with_seeds(self, wanted: int) -> int:
        """How many configs (params without the seed, and the used features) have that many seeds."""
        seeds: dict[str, set[int]] = defaultdict(set)
        for run, params in self.params.items():
            if "seed" in params:
                rest = sorted((key, compact(value)) for key, value in params.items() if key != "seed")
                seeds[compact([self.experiment[run], rest, self.used.get(run, ())])].add(params["seed"])
        return sum(len(found) >= wanted for found in seeds.values())


def check(path: Path) -> str:
    """Checks a made file against docs/log.md and what the sample promises; returns a summary in Markdown."""
    checker = Checker(path.parent)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for place, text in enumerate(lines, start=1):
            try:
                checker.read(text)
            except AssertionError as fault:
                raise SystemExit(f"error: {path} line {place}: {fault}") from fault
    configs = checker.configs_with_seeds(5)
    promises = {
        "2,000 runs or more": len(checker.experiment) >= 2000,
        "4 experiments or more": len(set(checker.experiment.values())) >= 4,
        "50 configs or more with 5 seeds": configs >= 50,
        "every type of line": checker.kinds.keys() == FIELDS.keys(),
        "every run ends": checker.finished.keys() == checker.experiment.keys(),
        "3 versions or more of every data set": all(len(versions) >= 3 for versions in checker.versions.values()),
        "NaN, failed and killed runs": bool(checker.tally["NaN points"])
        and {"FAILED", "KILLED"} <= set(checker.finished.values()),
        "5 MB or less": path.stat().st_size <= 5_000_000,
    }
    broken = [promise for promise, kept in promises.items() if not kept]
    summary = summarize(checker, configs, path.stat().st_size)
    if broken:
        raise SystemExit(f"{summary}\nerror: {path} does not keep: {', '.join(broken)}")
    return summary


def summarize(checker: Checker, configs: int, size: int) -> str:
    """Counts as Markdown tables."""
    statuses: dict[str, Counter[str]] = defaultdict(Counter)
    for run, status in checker.finished.items():
        statuses[checker.experiment[run]][status] += 1
    rows = ["| experiment | runs | FINISHED | FAILED | KILLED | data versions |", "| --- | --: | --: | --: | --: | --- |"]
    for experiment, counts in statuses.items():
        cells = [str(counts[status]) for status in ("FINISHED", "FAILED", "KILLED")]
        rows.append(
            f"| {experiment} | {counts.total()} | {' | '.join(cells)} | {', '.join(sorted(checker.versions[experiment]))} |"
        )
    rows += ["", "| what | count |", "| --- | --: |"]
    rows += [f"| `{kind}` lines | {count:,} |" for kind, count in checker.kinds.most_common()]
    rows += [f"| {what} | {count:,} |" for what, count in sorted(checker.tally.items())]
    rows += [f"| configs with 5 seeds | {configs} |", f"| bytes of the file | {size:,} |"]
    return "\n".join(rows)
