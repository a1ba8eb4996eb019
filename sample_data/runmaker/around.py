"""Lines around the runs: parents of sweeps, goals, what people said afterwards."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from .data import SOURCES
from .plan import best, main_score
from .record import Event, Recorder, Result, log_head
from .sweeps import Sweep
from .text import Json, compact, number, param_value, stamp


def line(moment: datetime, kind: str, run: str, **fields: Json) -> Event:
    """A line that is no part of a run's own recording."""
    return moment, compact({"type": kind, "run": run, **fields})


def parent_events(sweep: Sweep, results: Sequence[Result]) -> list[Event]:
    """The lines of a sweep's parent run: its start, its best child, its end."""
    recorder = Recorder(sweep.spec.id, sweep.start)
    spec = sweep.spec
    varied = {key: sorted({compact(param_value(r.spec.params.get(key))) for r in results}) for key in ("model", "seed")}
    params = {
        "sweep.name": sweep.name,
        "sweep.n_runs": len(results),
        "sweep.axes": {k: [json.loads(v) for v in values] for k, values in varied.items()},
    }
    log_head(recorder, spec, sweep.name, params, {"sweep": sweep.name, "parent": None})
    end = max(result.end for result in results) + timedelta(milliseconds=250)
    values: dict[str, Json] = {f"n_{status.lower()}": n for status, n in sorted(Counter(r.status for r in results).items())}
    events = recorder.events
    top = best(results, sweep.experiment)
    if top:
        key = main_score(sweep.experiment)[0]
        values[f"best_{key}"] = number(top.scores[key])
        events += praise(sweep, top, f"best of {len(results)}: {top.spec.name}, {key} {number(top.scores[key])}", end)
    events.append(line(end, "metrics", spec.id, time=stamp(end), values=values))
    events.append(line(end, "finish", spec.id, status="FINISHED", end_time=stamp(end)))
    return events


def praise(sweep: Sweep, top: Result, text: str, end: datetime) -> list[Event]:
    """A comment on the sweep that names its best run, and tags on that run, some minutes after the end."""
    read, decided = end + timedelta(minutes=20), end + timedelta(minutes=21)
    return [
        line(read, "comment", sweep.spec.id, author=sweep.user, time=stamp(read), comment=text),
        line(decided, "tags", top.spec.id, values={"candidate": None, "reviewed_by": sweep.user}),
    ]


Goal = tuple[str, str, str | None, str | None]  # key, goal, unit, description

GOALS: dict[str, list[Goal]] = {
    "classification": [
        ("auc", "max", None, "area under the ROC curve; of class 1, or the mean of each class against the rest"),
        ("cv_auc", "max", None, "mean of auc over the folds"),
        ("accuracy", "max", None, "share of right predictions"),
        ("cv_accuracy", "max", None, "mean of accuracy over the folds"),
        ("logloss", "min", None, "mean negative log-likelihood"),
        ("cv_logloss", "min", None, "mean of logloss over the folds"),
        ("f1_macro", "max", None, "mean of the classes' F1 scores"),
        ("precision", "max", None, None),
        ("recall", "max", None, None),
        ("f1", "max", None, None),
        ("val_accuracy", "max", None, "accuracy on the validation rows after a step"),
    ],
    "regression": [
        ("rmse", "min", None, "root of the mean squared error"),
        ("cv_rmse", "min", None, "mean of rmse over the folds"),
        ("mae", "min", None, "mean absolute error"),
        ("cv_mae", "min", None, "mean of mae over the folds"),
        ("r2", "max", None, "share of the variance explained"),
        ("cv_r2", "max", None, "mean of r2 over the folds"),
        ("val_r2", "max", None, "r2 on the validation rows after a step"),
    ],
}
COMMON_GOALS: list[Goal] = [
    ("loss", "min", None, "training loss after a step"),
    ("val_loss", "min", None, "loss on the validation rows after a step"),
    ("fit_time_s", "min", "s", "time to train the final model"),
    ("model_bytes", "min", "bytes", "size of the pickled model"),
]


def goal_events(sweeps: Sequence[Sweep]) -> list[Event]:
    """Declares the goals of an experiment's metrics, just after its first run has begun."""
    first: dict[str, datetime] = {}
    for sweep in sweeps:
        first[sweep.experiment] = min(sweep.start, first.get(sweep.experiment, sweep.start))
    events = []
    for experiment, start in first.items():
        for key, goal, unit, description in GOALS[SOURCES[experiment].task] + COMMON_GOALS:
            fields = {
                "type": "metric_goal",
                "experiment": experiment,
                "key": key,
                "goal": goal,
                "unit": unit,
                "description": description,
            }
            events.append((start + timedelta(milliseconds=900), compact({k: v for k, v in fields.items() if v is not None})))
    return events


def afterthoughts(results: Sequence[Result]) -> list[Event]:
    """What people did with runs later: notes, a comment withdrawn, a tag removed, a run deleted and brought back."""
    events: list[Event] = []
    by_sweep: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        by_sweep[result.spec.experiment, result.spec.sweep].append(result)
    for (_, sweep), group in by_sweep.items():
        moment = max(result.end for result in group) + timedelta(hours=2)
        for result in group:
            if result.status == "KILLED" and result.spec.seed == 0:
                events.append(
                    line(moment, "note", result.spec.id, notes="Learning rate too large; left out of the comparison.")
                )
        if sweep == "unshuffled":
            for result in group:
                text = "AUC is NaN: without shuffling each fold holds one class only"
                events.append(line(moment, "comment", result.spec.id, author="chloe", time=stamp(moment), comment=text))
        if sweep == "random-subsets":
            events += second_thoughts(group[0], moment)
    return events


def second_thoughts(result: Result, moment: datetime) -> list[Event]:
    """One of each line that takes something back."""
    run = result.spec.id
    later = [moment + timedelta(minutes=minute) for minute in range(8)]
    return [
        line(
            later[0], "comment", run, id="c1", author="ben", time=stamp(later[0]), comment="is this the wrong data version?"
        ),
        line(later[1], "comment", run, id="c1", remove=True),
        line(later[2], "tags", run, values={"suspect": None}),
        line(later[3], "note", run, notes="To be checked."),
        line(later[4], "delete", run),
        line(later[5], "restore", run),
        line(later[6], "tags", run, remove=["suspect"]),
        line(later[7], "note", run, notes=None),
    ]
