"""Model families, how they are built from params, and how they are scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn import metrics
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

from .data import Array, Data
from .text import Params


@dataclass(frozen=True)
class Family:
    """A kind of model: its scikit-learn classes, how our param keys are spelt there, and what its importances are."""

    classifier: type[BaseEstimator] | None = None
    regressor: type[BaseEstimator] | None = None
    spelling: Mapping[str, str] = field(default_factory=dict)
    importance: str = "permutation"
    fixed: Mapping[str, Any] = field(default_factory=dict)


LEARNING_RATE = {"optimizer.lr": "learning_rate"}
MLP_SPELLING = {"optimizer.lr": "learning_rate_init", "optimizer.name": "solver", "optimizer.momentum": "momentum"}
FAMILIES = {
    "dummy": Family(DummyClassifier, DummyRegressor, importance=""),
    "logistic_regression": Family(LogisticRegression, importance="coefficient", fixed={"max_iter": 500}),
    "ridge": Family(None, Ridge, importance="coefficient"),
    "lasso": Family(None, Lasso, importance="coefficient"),
    "elastic_net": Family(None, ElasticNet, importance="coefficient"),
    "svm": Family(SVC, SVR),
    "knn": Family(KNeighborsClassifier, KNeighborsRegressor),
    "gaussian_nb": Family(GaussianNB),
    "decision_tree": Family(DecisionTreeClassifier, importance="gini"),
    "random_forest": Family(RandomForestClassifier, RandomForestRegressor, importance="gini"),
    "gradient_boosting": Family(GradientBoostingClassifier, GradientBoostingRegressor, LEARNING_RATE, "gini"),
    "sgd": Family(
        SGDClassifier, None, {"optimizer.lr": "eta0"}, "coefficient", {"loss": "log_loss", "learning_rate": "constant"}
    ),
    "mlp": Family(MLPClassifier, MLPRegressor, MLP_SPELLING),
}
PROTOCOL_KEYS = ("imputer", "cv.folds", "cv.shuffle", "epochs", "guard.patience", "data.as_of", "budget.deadline")


def build(model: str, task: str, hyper: Params, seed: int) -> BaseEstimator:
    """Makes an untrained estimator from a run's params."""
    family = FAMILIES[model]
    estimator_class = family.regressor if task == "regression" else family.classifier
    assert estimator_class is not None, f"{model} does not do {task}"
    arguments = {family.spelling.get(k, k): v for k, v in hyper.items() if k not in PROTOCOL_KEYS} | dict(family.fixed)
    if "random_state" in estimator_class().get_params():
        arguments["random_state"] = seed
    return estimator_class(**arguments)


def pipeline(estimator: BaseEstimator, hyper: Params) -> Pipeline:
    """Puts the preparing steps in front of an estimator."""
    imputer = [SimpleImputer(strategy=hyper["imputer"])] if "imputer" in hyper else []
    return make_pipeline(*imputer, StandardScaler(), estimator)


def class_scores(model: Any, x: Array, n_classes: int) -> tuple[Array, bool]:
    """One score per row and class, and whether they are probabilities; a class the model never saw scores 0."""
    probabilistic = hasattr(model, "predict_proba")
    raw = model.predict_proba(x) if probabilistic else model.decision_function(x)
    if raw.ndim == 1:
        raw = np.column_stack([-raw, raw])
    if raw.shape[1] == n_classes:
        return raw, probabilistic
    full = np.zeros((len(x), n_classes))
    full[:, model.classes_] = raw
    return full, probabilistic


def evaluate(data: Data, model: Any, x: Array, y: Array) -> dict[str, float]:
    """The scores of a model on some rows. What is not defined there (AUC with one class) is NaN."""
    if data.task == "regression":
        predicted = model.predict(x)
        return {
            "rmse": metrics.mean_squared_error(y, predicted) ** 0.5,
            "mae": metrics.mean_absolute_error(y, predicted),
            "r2": metrics.r2_score(y, predicted),
        }
    scores, probabilistic = class_scores(model, x, len(data.classes))
    predicted = model.predict(x)
    result = {
        "auc": macro_auc(y, scores),
        "accuracy": metrics.accuracy_score(y, predicted),
    }
    if probabilistic:
        result["logloss"] = metrics.log_loss(y, scores, labels=range(len(data.classes)))
    return result


def macro_auc(y: Array, scores: Array) -> float:
    """Area under the ROC curve: of class 1 if there are two classes, else the mean of each class against the rest."""
    classes = [1] if scores.shape[1] == 2 else range(scores.shape[1])
    return float(np.mean([metrics.roc_auc_score(y == c, scores[:, c]) for c in classes]))
