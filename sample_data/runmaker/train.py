"""Cross-validation, the final fit and its scores; stacking on top of both."""

from __future__ import annotations

import pickle
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import metrics
from sklearn.ensemble import (
    StackingClassifier,
    StackingRegressor,
)
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline

from .data import Array, Data
from .extras import log_extras, log_predictions
from .models import FAMILIES, build, evaluate, pipeline
from .record import Recorder, RunSpec, log_features
from .text import Json, Params, number, numbers


def splitter(spec: RunSpec, task: str) -> KFold | StratifiedKFold:
    """The folds of a run. Without shuffling they are plain blocks of rows, whatever their class."""
    folds = spec.hyper.get("cv.folds", 5)
    if not spec.hyper.get("cv.shuffle", True):
        return KFold(folds)
    return (KFold if task == "regression" else StratifiedKFold)(folds, shuffle=True, random_state=spec.seed)


def cross_validate(recorder: Recorder, spec: RunSpec, data: Data) -> None:
    """Scores each fold, then trains on all training rows and scores the test rows."""

    def make() -> Pipeline:
        return pipeline(build(spec.model, data.task, spec.hyper, spec.seed), spec.hyper)

    run_folds_and_test(recorder, spec, data, make)


def run_folds_and_test(recorder: Recorder, spec: RunSpec, data: Data, make: Callable[[], Any]) -> Any:
    """The protocol of `cross_validate` for any way to make a model; returns the last model."""
    columns = data.columns(spec.subset.features)
    x, y = data.train_x[:, columns], data.train_y
    fold_scores: dict[str, list[float]] = defaultdict(list)
    held_back: list[tuple[int, Array, Any]] = []
    for fold, (train, test) in enumerate(splitter(spec, data.task).split(x, y)):
        model = make().fit(x[train], y[train])
        scores = evaluate(data, model, x[test], y[test])
        recorder.metrics(scores, context={"fold": fold})
        held_back.append((fold, test, model))
        for key, value in scores.items():
            fold_scores[key].append(value)
    summary = {f"cv_{key}": float(np.mean(values)) for key, values in fold_scores.items()}
    summary |= {f"cv_{key}_std": float(np.std(values, ddof=1)) for key, values in fold_scores.items()}
    recorder.metrics(summary)
    model = make()
    began = time.perf_counter()
    model.fit(x, y)
    log_test(recorder, spec, data, model, time.perf_counter() - began)
    log_predictions(recorder, spec, data, model, held_back)
    return model


def log_test(recorder: Recorder, spec: RunSpec, data: Data, model: Any, fit_time: float) -> None:
    """Logs what the trained model does on the test rows, per class too, and the features it used."""
    x, y = data.test_x[:, data.columns(spec.subset.features)], data.test_y
    scores = evaluate(data, model, x, y) | {"fit_time_s": fit_time, "model_bytes": len(pickle.dumps(model))}
    if data.classes:
        predicted = model.predict(x)
        labels = range(len(data.classes))
        table = metrics.precision_recall_fscore_support(y, predicted, labels=labels, zero_division=np.nan)
        scores["f1_macro"] = metrics.f1_score(y, predicted, average="macro", zero_division=0)
        for index, name in enumerate(data.classes):
            values = dict(zip(("precision", "recall", "f1"), (float(column[index]) for column in table)))
            recorder.metrics(values, context={"class": name, "split": "test"})
    recorder.metrics(scores)
    log_features(recorder, spec, data, *importances(spec, data, model, x, y))
    log_extras(recorder, spec, data, model, x, y)


def importances(spec: RunSpec, data: Data, model: Any, x: Array, y: Array) -> tuple[str, list[Json]]:
    """What the used columns are worth to a trained model, and by which measure."""
    kind = FAMILIES[spec.model].importance if spec.model in FAMILIES else ""
    if kind == "permutation" and data.name == "digits" and spec.model == "knn":
        kind = ""  # 68 columns of a slow predictor: not worth the minutes
    final = model[-1] if isinstance(model, Pipeline) else model
    if kind == "gini":
        values = final.feature_importances_
    elif kind == "coefficient":
        coefficients = np.atleast_2d(final.coef_)
        values = coefficients[0] if len(coefficients) == 1 else np.abs(coefficients).mean(axis=0)
    elif kind == "permutation":
        values = permutation_importance(model, x, y, n_repeats=2, random_state=spec.seed).importances_mean
    else:
        return "", []
    return kind, numbers(values, 4)


def stack(recorder: Recorder, spec: RunSpec, data: Data) -> None:
    """Trains a stacking ensemble of other runs' models and links it to them, with the weight that each one got."""
    members = [
        (f"{i}-{member.model}", pipeline(build(member.model, data.task, member.hyper, member.seed), member.hyper))
        for i, member in enumerate(spec.members)
    ]
    stacked, final = (
        (StackingRegressor, Ridge(**final_params(spec)))
        if data.task == "regression"
        else (StackingClassifier, LogisticRegression(**final_params(spec)))
    )
    model = run_folds_and_test(recorder, spec, data, lambda: stacked(members, final_estimator=final, cv=3))
    weights = np.ravel(model.final_estimator_.coef_)
    for position, (member, weight) in enumerate(zip(spec.members, weights, strict=True)):
        recorder.log("link", target=member.id, kind="member", position=position, weight=number(weight))


def final_params(spec: RunSpec) -> Params:
    """The params of the model on top of a stack."""
    return {key.removeprefix("final."): value for key, value in spec.hyper.items() if key.startswith("final.")}
