"""What a run is, and how its lines are recorded."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from importlib.metadata import version as package_version

from .data import Data
from .subsets import Subset
from .text import Json, Params, compact, number, param_value, run_id, sha256, stamp, utc

HOST = "lab-1"
GIT_REMOTE = "https://git.example.org/lab/tabular.git"


@dataclass(frozen=True)
class Link:
    """A link from a run to another one."""

    target: str
    kind: str
    fields: Params = field(default_factory=dict)


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides a run, known before it starts."""

    experiment: str
    sweep: str
    model: str
    hyper: Params
    subset: Subset
    start: datetime
    user: str
    seed: int = 0
    version: str = "v1-raw"
    parent: str | None = None
    protocol: str = "cross_validate"
    extras: frozenset[str] = frozenset()
    links: tuple[Link, ...] = ()
    base: RunSpec | None = None
    members: tuple[RunSpec, ...] = ()
    notes: str | None = None

    @property
    def params(self) -> Params:
        """The params as logged."""
        return {"model": self.model, **self.hyper, **self.subset.params, "seed": self.seed}

    @property
    def id(self) -> str:
        """The run's id, from its start time and what it is."""
        params = {key: param_value(value) for key, value in self.params.items()}
        return run_id(self.start, [self.experiment, self.sweep, self.version, params, list(self.subset.features)])

    @property
    def name(self) -> str:
        """A short name for people."""
        return f"{self.model}-{self.subset.label.replace(' ', '-')}-s{self.seed}"


Event = tuple[datetime, str]


@dataclass
class Result:
    """What comes out of one run: its lines, its final metrics, and files to lie beside the output."""

    spec: RunSpec
    events: list[Event]
    scores: dict[str, float]
    status: str
    end: datetime
    files: dict[str, bytes]


class Killed(Exception):
    """Raised when a run is stopped before its end because it is hopeless."""


class Recorder:
    """Collects the lines of one run; the moment of each is the run's start plus the time that has really passed."""

    def __init__(self, run: str, start: datetime) -> None:
        self.run = run
        self.start = start
        self.events: list[Event] = []
        self.scores: dict[str, float] = {}
        self.files: dict[str, bytes] = {}
        self.began = time.perf_counter()

    def now(self) -> datetime:
        """The synthetic moment."""
        return self.start + timedelta(seconds=time.perf_counter() - self.began)

    def log(self, line_type: str, /, **fields: Json) -> None:
        """Adds a line; fields that are None are left out."""
        given = {key: value for key, value in fields.items() if value is not None}
        self.events.append((self.now(), compact({"type": line_type, "run": self.run, **given})))

    def metrics(self, values: Mapping[str, float], *, step: int | None = None, context: Params | None = None) -> None:
        """Logs numbers; those without context count as the run's own scores."""
        if context is None:
            self.scores.update(values)
        rounded = {key: number(value) for key, value in values.items()}
        self.log("metrics", step=step, time=stamp(self.now()), context=context, values=rounded)


@cache
def installed_packages() -> dict[str, str]:
    """Versions of what the figures depend on."""
    names = ("scikit-learn", "numpy", "scipy", "joblib", "threadpoolctl")
    return {"python": platform.python_version()} | {name: package_version(name) for name in names}


def machine() -> dict[str, str]:
    """Where the run really ran, as far as it says nothing about the people there."""
    return {
        "python": platform.python_version(),
        "os": platform.system(),
        "cpu": platform.machine(),
        "cpu_count": str(os.cpu_count()),
        "OMP_NUM_THREADS": os.environ["OMP_NUM_THREADS"],
    }


def git_fields(start: datetime) -> dict[str, Json]:
    """A made-up history: main in September, a feature branch in early October, then main again."""
    if start < utc("2026-10-01"):
        branch, dirty, seed = "main", False, b"september"
    elif start < utc("2026-10-15"):
        branch, dirty, seed = "feature/noise-columns", start.day < 8, b"early october"
    else:
        branch, dirty, seed = "main", False, b"late october"
    commit = sha256(seed).hex()[:40]
    return {"git_commit": commit, "git_branch": branch, "git_dirty": dirty, "git_remote": GIT_REMOTE}


def log_head(recorder: Recorder, spec: RunSpec, name: str, params: Params, tags: dict[str, str | None]) -> None:
    """Logs what is known when a run starts."""
    recorder.log(
        "run",
        experiment=spec.experiment,
        name=name,
        parent=spec.parent,
        start_time=stamp(spec.start),
        user=spec.user,
        host=HOST,
        command=f"python make_runs.py --experiment {spec.experiment}",
        **git_fields(spec.start),
        notes=spec.notes,
    )
    recorder.log("params", values={key: param_value(value) for key, value in params.items()})
    recorder.log("tags", values=tags)
    recorder.log("packages", values=installed_packages())
    recorder.log("environment", values=machine())


def log_features(recorder: Recorder, spec: RunSpec, data: Data, kind: str = "", values: Sequence[Json] = ()) -> None:
    """Logs every available column, used or not, with its importance if there is one."""
    worth = dict(zip(spec.subset.features, values))
    rows: list[Json] = []
    for feature, tags in zip(data.features, data.feature_tags):
        row: dict[str, Json] = {"feature": feature, "dtype": "float64", "used": feature in spec.subset.features}
        if feature in worth:
            row |= {"importance": worth[feature], "importance_kind": kind}
        row["feature_tags"] = list(tags)
        if "descriptions" in spec.extras:
            row["description"] = "pure noise" if "noise" in tags else f"{feature}, as in {data.source}"
        rows.append(row)
    recorder.log("features", features=rows)
