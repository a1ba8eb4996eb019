"""Models that learn step by step, with a learning curve."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import metrics
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from .data import Array, Data
from .extras import IMAGE_STEPS, log_histogram, log_weight_image
from .models import build
from .record import Killed, Recorder, RunSpec
from .train import log_test


@dataclass(frozen=True)
class CurveSplit:
    """Scaled training, validation and test rows of a run with a learning curve."""

    train_x: Array
    train_y: Array
    valid_x: Array
    valid_y: Array
    scaler: StandardScaler


def curve_split(spec: RunSpec, data: Data) -> CurveSplit:
    """Sets a fifth of the training rows aside for the validation curve."""
    x = data.train_x[:, data.columns(spec.subset.features)]
    stratify = data.train_y if data.classes else None
    train_x, valid_x, train_y, valid_y = train_test_split(
        x, data.train_y, test_size=0.2, random_state=spec.seed, stratify=stratify
    )
    scaler = StandardScaler().fit(train_x)
    return CurveSplit(scaler.transform(train_x), train_y, scaler.transform(valid_x), valid_y, scaler)


def curve_point(data: Data, model: Any, split: CurveSplit) -> dict[str, float]:
    """The losses of one step: log loss for classes, squared error else."""
    if data.classes:
        labels = range(len(data.classes))
        return {
            "loss": metrics.log_loss(split.train_y, model.predict_proba(split.train_x), labels=labels),
            "val_loss": metrics.log_loss(split.valid_y, model.predict_proba(split.valid_x), labels=labels),
            "val_accuracy": model.score(split.valid_x, split.valid_y),
        }
    with np.errstate(all="ignore"):  # a diverging net: the squares overflow to infinity, and that is what is logged
        train_error = split.train_y - model.predict(split.train_x)
        valid_error = split.valid_y - model.predict(split.valid_x)
        total = np.sum((split.valid_y - split.valid_y.mean()) ** 2)
        return {
            "loss": float(np.mean(train_error**2)),
            "val_loss": float(np.mean(valid_error**2)),
            "val_r2": float(1 - np.sum(valid_error**2) / total),
        }


def start_model(spec: RunSpec, data: Data) -> tuple[Any, int]:
    """A new model, or the base model of a chain trained again up to where it ended; and the steps done so far."""
    if spec.base is None:
        return build(spec.model, data.task, spec.hyper, spec.seed), 0
    model, done = start_model(spec.base, data)
    split = curve_split(spec.base, data)
    for _ in range(spec.base.hyper["epochs"]):
        model.partial_fit(split.train_x, split.train_y, **classes_argument(data))
    model.set_params(**build(spec.model, data.task, spec.hyper, spec.seed).get_params())
    del model._optimizer  # `partial_fit` keeps the optimizer with its old learning rate, and makes a new one if it is gone
    return model, done + spec.base.hyper["epochs"]


def classes_argument(data: Data) -> dict[str, Array]:
    """`partial_fit` of a classifier wants to know all classes."""
    return {"classes": np.arange(len(data.classes))} if data.classes else {}


def train_epochs(recorder: Recorder, spec: RunSpec, data: Data) -> None:
    """Trains one pass over the rows at a time and logs the losses after each."""
    split = curve_split(spec, data)
    model, done = start_model(spec, data)
    fit_time = 0.0
    for step in range(done + 1, done + spec.hyper["epochs"] + 1):
        began = time.perf_counter()
        model.partial_fit(split.train_x, split.train_y, **classes_argument(data))
        fit_time += time.perf_counter() - began
        point = curve_point(data, model, split)
        recorder.metrics(point, step=step)
        guard(spec, data, step, point["val_loss"])
        log_weights(recorder, spec, model, step)
    log_test(recorder, spec, data, Pipeline([("scaler", split.scaler), ("model", model)]), fit_time)


def guard(spec: RunSpec, data: Data, step: int, loss: float) -> None:
    """Stops a run that after some steps is still worse than guessing."""
    guessing = math.log(len(data.classes)) if data.classes else math.inf
    if step == spec.hyper.get("guard.patience") and loss > guessing:
        raise Killed(f"stopped at step {step}: validation loss {loss:.4g} is worse than guessing ({guessing:.4g})")


def log_weights(recorder: Recorder, spec: RunSpec, model: Any, step: int) -> None:
    """Logs the weights of some steps as histograms or pictures."""
    if "weights" in spec.extras and step % 10 == 0:
        counts, edges = np.histogram(np.concatenate([w.ravel() for w in model.coefs_]), bins=12)
        log_histogram(recorder, "weights", counts, edges, step)
    if "images" in spec.extras and step in IMAGE_STEPS:
        log_weight_image(recorder, model.coef_, step)


def train_stages(recorder: Recorder, spec: RunSpec, data: Data) -> None:
    """Trains gradient boosting and logs the losses after each of its stages."""
    split = curve_split(spec, data)
    model: Any = build(spec.model, data.task, spec.hyper, spec.seed)
    began = time.perf_counter()
    model.fit(split.train_x, split.train_y)
    fit_time = time.perf_counter() - began
    labels = range(len(data.classes))
    stages = zip(model.staged_predict_proba(split.train_x), model.staged_predict_proba(split.valid_x))
    for step, (train_scores, valid_scores) in enumerate(stages, start=1):
        point = {
            "loss": metrics.log_loss(split.train_y, train_scores, labels=labels),
            "val_loss": metrics.log_loss(split.valid_y, valid_scores, labels=labels),
            "val_accuracy": float(np.mean(valid_scores.argmax(axis=1) == split.valid_y)),
        }
        recorder.metrics(point, step=step)
    log_test(recorder, spec, data, Pipeline([("scaler", split.scaler), ("model", model)]), fit_time)
