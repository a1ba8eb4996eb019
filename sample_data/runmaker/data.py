"""The data sets, with columns of pure noise added, in several versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split

from .text import Json, sha256

Array = np.ndarray


@dataclass(frozen=True)
class Data:
    """One version of a data set, split into the same training and test rows in every version."""

    name: str
    version: str
    source: str
    task: str
    features: tuple[str, ...]
    feature_tags: tuple[tuple[str, ...], ...]
    classes: tuple[str, ...]
    train_rows: Array
    test_rows: Array
    train_x: Array
    train_y: Array
    test_x: Array
    test_y: Array

    def columns(self, names: Sequence[str]) -> list[int]:
        """Positions of the named features."""
        return [self.features.index(name) for name in names]

    def describe(self, role: str) -> dict[str, Json]:
        """The fields of a `data` line for the training or the test rows."""
        x, y = (self.train_x, self.train_y) if role == "training" else (self.test_x, self.test_y)
        schema: Json = "float64 columns, target: disease progression after one year"
        if self.classes:
            schema = {"columns": len(self.features), "dtype": "float64", "target": list(self.classes)}
        return {
            "dataset": self.name,
            "role": role,
            "digest": "sha256:" + sha256(x.tobytes(), y.tobytes()).hex(),
            "data_version": self.version,
            "source": self.source,
            "n_rows": len(x),
            "n_columns": x.shape[1],
            "bytes": x.nbytes + y.nbytes,
            "data_schema": schema,
        }


@dataclass(frozen=True)
class Source:
    """Where a data set comes from and how it is prepared."""

    loader: str
    task: str
    n_noise: int
    tag_of: Callable[[str], str]


SOURCES = {
    "breast-cancer": Source("load_breast_cancer", "classification", 5, lambda name: cancer_tag(name)),
    "wine": Source("load_wine", "classification", 4, lambda name: "chemistry"),
    "digits": Source("load_digits", "classification", 4, lambda name: f"row-{name.split('_')[1]}"),
    "diabetes": Source(
        "load_diabetes", "regression", 5, lambda name: "blood" if name[0] == "s" and name[1:].isdigit() else "body"
    ),
}


def cancer_tag(name: str) -> str:
    """The group of a breast cancer column: each measurement comes as mean, error and worst value."""
    return "error" if name.endswith(" error") else name.split(" ")[0]


@cache
def load(name: str, version: str) -> Data:
    """Loads a data set, adds columns of pure noise, splits it and turns it into the version asked for."""
    source = SOURCES[name]
    bunch = getattr(datasets, source.loader)()
    rng = np.random.default_rng(7)
    x = np.hstack([bunch.data.astype(float), rng.normal(size=(len(bunch.data), source.n_noise))])
    y = bunch.target.astype(float if source.task == "regression" else np.int64)
    noise = tuple(f"noise_{i}" for i in range(source.n_noise))
    names = tuple(str(feature) for feature in bunch.feature_names)
    classes = tuple(str(c) for c in bunch.target_names) if source.task == "classification" else ()
    stratify = y if classes else None
    train, test = (
        np.sort(part) for part in train_test_split(np.arange(len(y)), test_size=0.3, random_state=0, stratify=stratify)
    )
    tags = tuple((source.tag_of(feature),) for feature in names) + (("noise",),) * len(noise)
    data = Data(
        name,
        "v1-raw",
        f"sklearn.datasets.{source.loader}",
        source.task,
        names + noise,
        tags,
        classes,
        train,
        test,
        x[train],
        y[train],
        x[test],
        y[test],
    )
    return VERSIONS[version](data)


def import_version(data: Data) -> Data:
    """v0: the first import lost 2 percent of the cells."""
    rng = np.random.default_rng(11)

    def lose(x: Array) -> Array:
        return np.where(rng.random(x.shape) < 0.02, np.nan, x)

    return replace(data, version="v0-import", train_x=lose(data.train_x), test_x=lose(data.test_x))


def clean_version(data: Data) -> Data:
    """v2: values outside the training rows' 2nd to 98th percentile are set to these bounds."""
    low, high = np.percentile(data.train_x, [2, 98], axis=0)
    return replace(
        data, version="v2-clean", train_x=np.clip(data.train_x, low, high), test_x=np.clip(data.test_x, low, high)
    )


def noisy_version(data: Data) -> Data:
    """v3: measurement noise of half a standard deviation on every column, in training and test rows."""
    rng = np.random.default_rng(13)
    scale = 0.5 * data.train_x.std(axis=0)

    def blur(x: Array) -> Array:
        return x + rng.normal(size=x.shape) * scale

    return replace(data, version="v3-noisy", train_x=blur(data.train_x), test_x=blur(data.test_x))


def balanced_version(data: Data) -> Data:
    """v4: training rows of the larger classes are left out until all classes have the same size."""
    rng = np.random.default_rng(17)
    size = np.bincount(data.train_y).min()
    keep = np.sort(
        np.concatenate([rng.permutation(np.flatnonzero(data.train_y == c))[:size] for c in range(len(data.classes))])
    )
    return replace(
        data, version="v4-balanced", train_rows=data.train_rows[keep], train_x=data.train_x[keep], train_y=data.train_y[keep]
    )


VERSIONS: dict[str, Callable[[Data], Data]] = {
    "v0-import": import_version,
    "v1-raw": lambda data: data,
    "v2-clean": clean_version,
    "v3-noisy": noisy_version,
    "v4-balanced": balanced_version,
}
