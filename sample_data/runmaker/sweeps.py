"""Sweeps: groups of runs under one parent, and the grids that they are made of."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from .record import Link, RunSpec
from .subsets import Subset
from .text import Params, utc

SEEDS = range(5)


@dataclass(frozen=True)
class Sweep:
    """A group of runs that were started together, under one parent run."""

    experiment: str
    name: str
    start: datetime
    user: str
    notes: str
    runs: tuple[RunSpec, ...]

    @property
    def spec(self) -> RunSpec:
        """The parent run."""
        subset = Subset(self.name, {}, ())
        return RunSpec(self.experiment, self.name, "sweep", {}, subset, self.start, self.user, notes=self.notes)


WORKERS = 3  # runs that start together
PACE = timedelta(seconds=5)  # until the next ones start


def make_sweep(experiment: str, name: str, start: str, user: str, notes: str, runs: Iterable[RunSpec]) -> Sweep:
    """Gives the runs of a sweep their parent and their start times."""
    sweep = Sweep(experiment, name, utc(start), user, notes, ())
    parent = sweep.spec.id
    placed = []
    for index, run in enumerate(runs):
        turn, worker = divmod(index, WORKERS)
        moment = sweep.start + timedelta(seconds=1) + turn * PACE + worker * timedelta(milliseconds=40)
        placed.append(replace(run, experiment=experiment, sweep=name, parent=parent, start=moment, user=user))
    return replace(sweep, runs=tuple(placed))


def draft(model: str, hyper: Params, subset: Subset, **fields: Any) -> RunSpec:
    """A run that a sweep has not placed yet."""
    return RunSpec("", "", model, hyper, subset, datetime.min, "", **fields)


def grid(model: str, axes: Mapping[str, Sequence[Any]]) -> list[tuple[str, Params]]:
    """All combinations of some hyper-parameters of a model."""
    return [(model, dict(zip(axes, values))) for values in itertools.product(*axes.values())]


def over_subsets(
    model: str, hyper: Params, subsets: Iterable[Subset], seeds: Iterable[int] = SEEDS, **fields: Any
) -> list[RunSpec]:
    """One config per subset, for each seed."""
    return [draft(model, hyper, subset, seed=seed, **fields) for subset, seed in itertools.product(subsets, list(seeds))]


def over_versions(
    configs: Iterable[tuple[str, Params]], subset: Subset, versions: Iterable[str], seeds: Iterable[int] = SEEDS
) -> list[RunSpec]:
    """The same configs on several versions of the data."""
    runs = []
    for version, (model, hyper), seed in itertools.product(list(versions), list(configs), list(seeds)):
        extras = {"predictions", "card"} if seed == 0 and version == "v1-raw" else {"card"} if seed == 0 else set()
        runs.append(draft(model, hyper, subset, seed=seed, version=version, extras=frozenset(extras)))
    return runs


def retried(failing: RunSpec, **fixed: Any) -> list[RunSpec]:
    """A run that fails, and the draft of its second try; the link is drawn once both are placed."""
    return [failing, replace(failing, hyper={**failing.hyper, **fixed}, extras=failing.extras | {"retry"})]


def link_retries(sweep: Sweep) -> Sweep:
    """Links every second try to the run before it."""
    runs: list[RunSpec] = []
    for run in sweep.runs:
        if "retry" in run.extras:
            run = replace(run, links=(Link(runs[-1].id, "retry"),))
        runs.append(run)
    return replace(sweep, runs=tuple(runs))


MAX_FEATURES = ("sqrt", 0.5, 4, None)
