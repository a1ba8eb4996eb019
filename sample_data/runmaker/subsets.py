"""Choices of features: by a selector, all but one, at random."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
)
from sklearn.feature_selection import RFE, f_classif, f_regression, mutual_info_classif, mutual_info_regression
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from .data import Array, load
from .text import Params


def univariate(score: Callable[..., Any], x: Array, y: Array) -> Array:
    """Orders columns by a score of one column at a time; a constant column has none and comes last."""
    values = score(x, y)
    return np.nan_to_num(values[0] if isinstance(values, tuple) else values)


def l1_scores(x: Array, y: Array, task: str) -> Array:
    """How early a column enters along the path of L1 models, then its coefficient in the last one."""
    if task == "regression":
        models: list[Any] = [Lasso(alpha=alpha) for alpha in (30, 20, 10, 5, 2, 1, 0.1)]
    else:
        models = [LogisticRegression(solver="saga", l1_ratio=1, C=c, max_iter=200) for c in (0.01, 0.03, 0.1, 0.3, 1)]
    coefficients = [np.abs(np.atleast_2d(model.fit(x, y).coef_)).max(axis=0) for model in models]
    return sum((c > 0).astype(float) for c in coefficients) + coefficients[-1] / (1 + coefficients[-1].max())


def rfe_scores(x: Array, y: Array, task: str) -> Array:
    """Recursive elimination with a linear model: the column that goes last is the best."""
    model = Ridge() if task == "regression" else LogisticRegression(max_iter=200)
    return -RFE(model, n_features_to_select=1).fit(x, y).ranking_.astype(float)


def tree_scores(x: Array, y: Array, task: str) -> Array:
    """Gini importance in a forest of extremely randomized trees."""
    model = ExtraTreesRegressor if task == "regression" else ExtraTreesClassifier
    return model(n_estimators=200, random_state=0).fit(x, y).feature_importances_


@cache
def ranking(name: str, selector: str) -> tuple[str, ...]:
    """Orders the features of a data set, best first, from the training rows of its first version."""
    data = load(name, "v1-raw")
    x, y = StandardScaler().fit_transform(data.train_x), data.train_y
    regression = data.task == "regression"
    mutual_info = mutual_info_regression if regression else mutual_info_classif
    scores = {
        "anova_f": lambda: univariate(f_regression if regression else f_classif, x, y),
        "mutual_info": lambda: univariate(lambda x, y: mutual_info(x, y, random_state=0), x, y),
        "l1": lambda: l1_scores(x, y, data.task),
        "rfe": lambda: rfe_scores(x, y, data.task),
        "tree_importance": lambda: tree_scores(x, y, data.task),
    }[selector]()
    return tuple(data.features[i] for i in np.argsort(-scores, kind="stable"))


@dataclass(frozen=True)
class Subset:
    """A named choice of features, and the params that say how it was made."""

    label: str
    params: Params
    features: tuple[str, ...]


def in_order(name: str, chosen: Iterable[str]) -> tuple[str, ...]:
    """The chosen features in the order of the data set's columns."""
    chosen = set(chosen)
    return tuple(feature for feature in load(name, "v1-raw").features if feature in chosen)


def make_subset(name: str, selector: str, chosen: Iterable[str], label: str, **params: Any) -> Subset:
    """Builds a subset with the params that every subset has."""
    features = in_order(name, chosen)
    return Subset(label, {"selector": selector, "k_features": len(features), **params}, features)


def whole(name: str) -> Subset:
    """All columns, noise included."""
    return make_subset(name, "all", load(name, "v1-raw").features, "all")


def without_noise(name: str) -> Subset:
    """The columns that the data set came with."""
    features = load(name, "v1-raw").features
    return make_subset(name, "no_noise", (f for f in features if not f.startswith("noise_")), "no_noise")


def selected(name: str, selectors: Iterable[str], sizes: Iterable[int]) -> list[Subset]:
    """The best k columns by each selector."""
    return [
        make_subset(name, selector, ranking(name, selector)[:k], f"{selector}-{k}")
        for selector, k in itertools.product(selectors, sizes)
    ]


def leave_one_out(name: str) -> list[Subset]:
    """All columns but one, for each column."""
    features = load(name, "v1-raw").features
    return [make_subset(name, "leave_one_out", set(features) - {out}, f"without {out}", left_out=out) for out in features]


def random_subsets(name: str, sizes: Iterable[int], draws: int) -> list[Subset]:
    """Columns drawn blindly, some of them noise: what a selector has to beat."""
    features = load(name, "v1-raw").features
    rng = np.random.default_rng(19)
    return [
        make_subset(name, "random", rng.choice(features, size=k, replace=False).tolist(), f"random-{k}-{draw}", draw=draw)
        for k in sizes
        for draw in range(draws)
    ]


SELECTORS = ("anova_f", "mutual_info", "l1", "rfe", "tree_importance")
