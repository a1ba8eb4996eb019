"""The plan: which runs are made in each experiment."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from .record import Link, Result, RunSpec
from .subsets import SELECTORS, Subset, leave_one_out, random_subsets, selected, whole, without_noise
from .sweeps import (
    MAX_FEATURES,
    PACE,
    SEEDS,
    Sweep,
    draft,
    grid,
    link_retries,
    make_sweep,
    over_subsets,
    over_versions,
    retried,
)
from .text import Params


def cancer_sweeps() -> list[Sweep]:
    """Breast cancer: which columns does one need, and which model?"""
    name = "breast-cancer"
    every, clean = whole(name), without_noise(name)
    baseline = [draft("dummy", {"strategy": "prior"}, every, extras=frozenset({"descriptions", "reports"}))]
    baseline += over_subsets("logistic_regression", {"C": 1.0}, [every, clean], extras=frozenset({"histogram"}))
    baseline += over_subsets("random_forest", {"n_estimators": 40}, [every, clean])
    configs = [
        *grid("logistic_regression", {"C": (0.001, 0.01, 0.1, 1.0, 10.0, math.inf)}),
        *grid("svm", {"C": (0.1, 1.0, 10.0), "gamma": ("scale", 0.01)}),
        *grid("random_forest", {"n_estimators": (30,), "max_features": MAX_FEATURES, "max_depth": (3, None)}),
        *grid("knn", {"n_neighbors": (3, 7, 15), "weights": ("uniform", "distance")}),
        *grid("gradient_boosting", {"n_estimators": (30,), "optimizer.lr": (0.03, 0.1, 0.3), "max_depth": (2,)}),
    ]
    versions = ("v1-raw", "v2-clean", "v3-noisy", "v4-balanced")
    faults = [
        *retried(draft("logistic_regression", {"C": 1.0}, every, version="v0-import"), imputer="median"),
        *retried(draft("logistic_regression", {"C": 0.1, "l1_ratio": 1.0}, every), solver="liblinear"),
        *retried(draft("logistic_regression", {"C": -1.0}, every), C=1.0),
        *retried(draft("random_forest", {"n_estimators": 0, "max_features": "sqrt"}, every), n_estimators=20),
        *retried(draft("knn", {"n_neighbors": 5}, every, version="v0-import"), imputer="mean"),
    ]
    return [
        make_sweep(name, "baseline", "2026-09-01T09:00", "ana", "What is there to beat?", baseline),
        make_sweep(
            name,
            "subsets-logistic",
            "2026-09-02T09:30",
            "ana",
            "How few columns does a linear model need?",
            over_subsets("logistic_regression", {"C": 1.0}, selected(name, SELECTORS, (1, 2, 3, 4, 6, 8, 12, 16, 24))),
        ),
        make_sweep(
            name,
            "subsets-forest",
            "2026-09-04T13:00",
            "ben",
            "The same question for a forest.",
            over_subsets(
                "random_forest", {"n_estimators": 25, "max_features": "sqrt"}, selected(name, SELECTORS, (2, 4, 8, 16))
            ),
        ),
        make_sweep(
            name,
            "subsets-bayes",
            "2026-09-07T10:00",
            "ben",
            "Correlated columns should hurt naive Bayes.",
            over_subsets("gaussian_nb", {"var_smoothing": 1e-9}, selected(name, SELECTORS, (2, 4, 8, 16))),
        ),
        link_retries(make_sweep(name, "import-check", "2026-09-08T08:15", "ana", "First tries on the import.", faults)),
        make_sweep(
            name,
            "configs",
            "2026-10-02T09:00",
            "ana",
            "Same configs on every version of the data.",
            over_versions(configs, every, versions),
        ),
    ]


def wine_sweeps() -> list[Sweep]:
    """Wine: few rows, three classes, what is a column worth?"""
    name = "wine"
    every = whole(name)
    as_of = {"data.as_of": {"$date": "2026-09-01"}}
    trees = [
        *grid("decision_tree", {"max_features": MAX_FEATURES, "max_depth": (2, None)}),
        *grid("random_forest", {"n_estimators": (20,), "max_features": MAX_FEATURES}),
    ]
    tree_runs = [
        draft(model, hyper, every, seed=seed, extras=frozenset({"rules"} if model == "decision_tree" and seed == 0 else ()))
        for (model, hyper), seed in itertools.product(trees, SEEDS)
    ]
    blocks: list[tuple[str, Params]] = [
        ("gaussian_nb", {}),
        ("logistic_regression", {"C": 1.0}),
        ("knn", {"n_neighbors": 5}),
        ("decision_tree", {}),
    ]
    unshuffled = [draft(model, {**hyper, "cv.folds": 3, "cv.shuffle": False}, every) for model, hyper in blocks]
    faults = [
        *retried(draft("knn", {"n_neighbors": 150, **as_of}, every), n_neighbors=15),
        *retried(draft("svm", {"C": -1.0, "kernel": "rbf"}, every), C=1.0),
        *retried(draft("random_forest", {"n_estimators": 20, "max_features": 0}, every), max_features="sqrt"),
        *retried(draft("gaussian_nb", {"priors": [0.5, 0.4, 0.2]}, every), priors=[0.4, 0.4, 0.2]),
    ]
    configs = [
        *grid("logistic_regression", {"C": (0.01, 0.1, 1.0)}),
        *grid("knn", {"n_neighbors": (5, 15)}),
        *grid("svm", {"C": (1.0,), "kernel": ("linear", "rbf")}),
        *grid("gaussian_nb", {"var_smoothing": (1e-9,)}),
    ]
    return [
        make_sweep(
            name,
            "baseline",
            "2026-09-09T09:00",
            "ben",
            "What is there to beat?",
            [
                draft("dummy", {"strategy": "prior"}, every, extras=frozenset({"descriptions", "reports"})),
                *over_subsets(
                    "gaussian_nb", {"var_smoothing": 1e-9}, [every, without_noise(name)], extras=frozenset({"pickle"})
                ),
            ],
        ),
        make_sweep(
            name,
            "subsets-knn",
            "2026-09-10T14:00",
            "ben",
            "Neighbours suffer from useless columns.",
            over_subsets(
                "knn", {"n_neighbors": 7, "weights": "distance"}, selected(name, SELECTORS, (1, 2, 3, 4, 6, 8, 12))
            ),
        ),
        make_sweep(
            name,
            "subsets-logistic",
            "2026-09-11T09:00",
            "chloe",
            "The same question for a linear model.",
            over_subsets("logistic_regression", {"C": 0.5}, selected(name, SELECTORS, (1, 2, 4, 8))),
        ),
        make_sweep(
            name,
            "leave-one-out",
            "2026-10-06T10:00",
            "chloe",
            "What does each column add to all others?",
            over_subsets("logistic_regression", {"C": 0.5, **as_of}, leave_one_out(name)),
        ),
        make_sweep(
            name,
            "random-subsets",
            "2026-10-07T10:00",
            "chloe",
            "What a blind choice of columns gives.",
            over_subsets("knn", {"n_neighbors": 7, "weights": "distance"}, random_subsets(name, (2, 4, 8), 8), range(2)),
        ),
        make_sweep(name, "trees", "2026-10-08T09:00", "ben", "max_features as text, fraction, count and none.", tree_runs),
        make_sweep(name, "unshuffled", "2026-10-08T16:00", "ben", "A mistake: the rows are sorted by class.", unshuffled),
        link_retries(
            make_sweep(name, "faults", "2026-10-09T08:30", "ben", "Runs that failed, and their second try.", faults)
        ),
        make_sweep(
            name,
            "versions",
            "2026-10-12T09:00",
            "chloe",
            "Same configs on every version of the data.",
            over_versions(configs, every, ("v1-raw", "v2-clean", "v3-noisy")),
        ),
    ]


def with_protocol(runs: Iterable[RunSpec], protocol: str, extras: Iterable[str] = ()) -> list[RunSpec]:
    """The same runs, trained in another way."""
    return [replace(run, protocol=protocol, extras=run.extras - {"predictions"} | set(extras)) for run in runs]


def digits_sweeps() -> list[Sweep]:
    """Digits: models that learn step by step."""
    name = "digits"
    every = whole(name)
    versions = ("v1-raw", "v2-clean", "v3-noisy")
    deadline = {"budget.deadline": {"$datetime": "2026-09-15T18:00:00Z"}}
    sgd = grid(
        "sgd",
        {
            "optimizer.lr": (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0),
            "alpha": (0.0001, 0.01),
            "epochs": (20,),
            "guard.patience": (5,),
        },
    )
    sgd_runs = [
        draft(model, {**hyper, **deadline}, every, seed=seed) for (model, hyper), seed in itertools.product(sgd, SEEDS)
    ]
    pictured = draft(
        "sgd", {"optimizer.lr": 0.01, "alpha": 0.001, "epochs": 20}, every, extras=frozenset({"images", "confusion"})
    )
    mlp = grid(
        "mlp",
        {
            "hidden_layer_sizes": ([16], [32], [64], [32, 16]),
            "optimizer.lr": (0.0003, 0.001, 0.01, 0.1),
            "optimizer.name": ("adam",),
            "epochs": (20,),
        },
    )
    mlp_runs = [
        draft(model, hyper, every, seed=seed, extras=frozenset({"weights"} if seed == 0 else ()))
        for (model, hyper), seed in itertools.product(mlp, SEEDS)
    ]
    boosting = grid(
        "gradient_boosting",
        {
            "n_estimators": (25,),
            "optimizer.lr": (0.05, 0.2, 0.5),
            "max_depth": (1, 3),
            "subsample": (0.5,),
            "max_features": ("sqrt", 4),
        },
    )
    boosting_runs = [draft(model, hyper, every, seed=seed) for (model, hyper), seed in itertools.product(boosting, range(3))]
    iterative = [
        *grid("sgd", {"optimizer.lr": (0.001, 0.01, 0.1), "alpha": (0.001,), "epochs": (15,)}),
        *grid(
            "mlp",
            {"hidden_layer_sizes": ([32],), "optimizer.lr": (0.001, 0.01), "optimizer.name": ("adam",), "epochs": (15,)},
        ),
    ]
    whole_fits = [
        *grid("knn", {"n_neighbors": (1, 5)}),
        *grid("random_forest", {"n_estimators": (30,), "max_features": ("sqrt", 0.1)}),
    ]
    faults = retried(
        draft("mlp", {"hidden_layer_sizes": [0], "optimizer.lr": 0.01, "epochs": 5}, every, protocol="epochs"),
        hidden_layer_sizes=[8],
    )
    return [
        make_sweep(
            name,
            "baseline",
            "2026-09-14T09:00",
            "chloe",
            "What is there to beat?",
            [
                draft("dummy", {"strategy": "prior"}, every, extras=frozenset({"descriptions", "reports", "confusion"})),
                draft("gaussian_nb", {"var_smoothing": 1e-3}, every, extras=frozenset({"predictions", "confusion"})),
                draft("logistic_regression", {"C": 0.1}, every, extras=frozenset({"predictions", "confusion"})),
            ],
        ),
        make_sweep(
            name,
            "sgd-learning-rate",
            "2026-09-15T09:00",
            "chloe",
            "Six orders of magnitude; hopeless runs are stopped at step 5.",
            with_protocol([pictured, *sgd_runs], "epochs"),
        ),
        make_sweep(
            name, "mlp-size", "2026-09-17T09:00", "ana", "Width, depth and learning rate.", with_protocol(mlp_runs, "epochs")
        ),
        make_sweep(
            name,
            "boosting",
            "2026-09-18T09:00",
            "ana",
            "Shallow trees, large steps.",
            with_protocol(boosting_runs, "stages"),
        ),
        make_sweep(
            name,
            "subsets",
            "2026-10-13T09:00",
            "chloe",
            "How many pixels does it take?",
            with_protocol(
                over_subsets(
                    "sgd",
                    {"optimizer.lr": 0.01, "alpha": 0.001, "epochs": 12},
                    selected(name, ("anova_f", "mutual_info", "tree_importance"), (4, 8, 16, 32)),
                ),
                "epochs",
            ),
        ),
        link_retries(make_sweep(name, "faults", "2026-10-13T15:00", "chloe", "A layer of no width.", faults)),
        make_sweep(
            name,
            "versions",
            "2026-10-14T09:00",
            "ana",
            "Same configs on every version of the data.",
            [
                *with_protocol(over_versions(iterative, every, versions), "epochs"),
                *over_versions(whole_fits, every, versions, range(3)),
            ],
        ),
        warm_start_sweep(name, every),
    ]


def warm_start_sweep(name: str, subset: Subset) -> Sweep:
    """A chain of nets, each of which goes on where the one before ended, with a smaller step."""
    rates = (0.01, 0.003, 0.001, 0.0003, 0.0001)
    steps = [
        draft(
            "mlp",
            {"hidden_layer_sizes": [32], "optimizer.lr": rate, "optimizer.name": "adam", "epochs": 8},
            subset,
            protocol="epochs",
        )
        for rate in rates
    ]
    sweep = make_sweep(
        name, "warm-start", "2026-10-20T09:00", "ana", "Each run starts from the weights of the one before.", steps
    )
    runs: list[RunSpec] = []
    for index, run in enumerate(sweep.runs):
        run = replace(run, start=sweep.start + timedelta(seconds=1) + index * PACE)
        if runs:
            run = replace(run, base=runs[-1], links=(Link(runs[-1].id, "base_model", {"step": 8 * index}),))
        runs.append(run)
    return replace(sweep, runs=tuple(runs))


def diabetes_sweeps() -> list[Sweep]:
    """Diabetes: a regression with weak signals."""
    name = "diabetes"
    every, clean = whole(name), without_noise(name)
    configs = [
        *grid("ridge", {"alpha": (0.1, 1.0, 10.0, 100.0)}),
        *grid("lasso", {"alpha": (0.1, 1.0, 5.0, 20.0)}),
        *grid("elastic_net", {"alpha": (0.1, 1.0), "l1_ratio": (0.2, 0.8)}),
        *grid("random_forest", {"n_estimators": (25,), "max_features": MAX_FEATURES, "min_samples_leaf": (5,)}),
        *grid("gradient_boosting", {"n_estimators": (30,), "optimizer.lr": (0.03, 0.1, 0.3), "max_depth": (2,)}),
        *grid("knn", {"n_neighbors": (5, 15, 30)}),
        *grid("svm", {"C": (1.0, 10.0, 100.0), "kernel": ("rbf",)}),
    ]
    diverging = grid(
        "mlp",
        {
            "hidden_layer_sizes": ([16],),
            "optimizer.name": ("sgd",),
            "optimizer.lr": (1e-6, 1e-5, 0.0001, 0.001, 0.01),
            "optimizer.momentum": (0.0, 0.9),
            "epochs": (15,),
        },
    )
    diverging_runs = [
        draft(model, hyper, every, seed=seed) for (model, hyper), seed in itertools.product(diverging, range(2))
    ]
    return [
        make_sweep(
            name,
            "baseline",
            "2026-09-21T09:00",
            "ana",
            "What is there to beat?",
            [
                draft("dummy", {"strategy": "mean"}, every, extras=frozenset({"descriptions", "card"})),
                *over_subsets("ridge", {"alpha": 10.0}, [every, clean], extras=frozenset({"pickle"})),
            ],
        ),
        make_sweep(
            name,
            "subsets",
            "2026-09-22T10:00",
            "ana",
            "How few columns does a linear model need?",
            over_subsets("ridge", {"alpha": 10.0}, selected(name, SELECTORS, (1, 2, 3, 4, 6, 8, 10))),
        ),
        make_sweep(
            name,
            "leave-one-out",
            "2026-09-23T10:00",
            "ben",
            "What does each column add to all others?",
            over_subsets("ridge", {"alpha": 10.0}, leave_one_out(name)),
        ),
        make_sweep(
            name,
            "random-subsets",
            "2026-09-24T10:00",
            "ben",
            "What a blind choice of columns gives.",
            over_subsets("ridge", {"alpha": 10.0}, random_subsets(name, (3, 6), 10), range(2)),
        ),
        make_sweep(
            name,
            "net-learning-rate",
            "2026-09-25T10:00",
            "ben",
            "Unscaled targets and plain gradient descent.",
            with_protocol(diverging_runs, "epochs"),
        ),
        make_sweep(
            name,
            "configs",
            "2026-10-21T09:00",
            "ana",
            "Same configs on every version of the data.",
            over_versions(configs, every, ("v1-raw", "v2-clean", "v3-noisy")),
        ),
    ]


PLANS: dict[str, Callable[[], list[Sweep]]] = {
    "breast-cancer": cancer_sweeps,
    "wine": wine_sweeps,
    "digits": digits_sweeps,
    "diabetes": diabetes_sweeps,
}


def main_score(experiment: str) -> tuple[str, int]:
    """The metric that ranks the runs of an experiment, and +1 if more is better."""
    return {"diabetes": ("cv_rmse", -1), "digits": ("accuracy", 1)}.get(experiment, ("cv_auc", 1))


def best(results: Iterable[Result], experiment: str) -> Result | None:
    """The best finished run by the main score; the earliest of equals."""
    key, sign = main_score(experiment)
    scored = [r for r in results if r.status == "FINISHED" and math.isfinite(r.scores.get(key, math.nan))]
    return max(scored, key=lambda result: (sign * result.scores[key], -result.spec.start.timestamp()), default=None)


def stack_sweeps(results: Sequence[Result]) -> list[Sweep]:
    """Ensembles of the best run of each model family, once these are known."""
    sweeps = []
    for experiment, start in (("breast-cancer", "2026-10-26T09:00"), ("diabetes", "2026-10-27T09:00")):
        pool = [
            r
            for r in results
            if r.spec.experiment == experiment and r.spec.sweep == "configs" and r.spec.version == "v1-raw"
        ]
        families = sorted({result.spec.model for result in pool})
        ranked = [top for family in families if (top := best((r for r in pool if r.spec.model == family), experiment))]
        key, sign = main_score(experiment)
        ranked.sort(key=lambda result: -sign * result.scores[key])
        hypers: list[Params] = [{"final.C": 0.1}, {"final.C": 1.0}]
        if experiment == "diabetes":
            hypers = [{"final.alpha": 1.0}, {"final.alpha": 1000.0}]
        runs = [
            draft(
                "stacking",
                {"n_members": size, **hyper},
                whole(experiment),
                seed=seed,
                protocol="stack",
                members=tuple(r.spec for r in ranked[:size]),
                extras=frozenset({"predictions", "card"} if seed == 0 else ()),
            )
            for size, hyper, seed in itertools.product((2, 3, 5), hypers, range(2))
            if len(ranked) >= size
        ]
        if runs:
            sweeps.append(make_sweep(experiment, "stacking", start, "ana", "Do ensembles add anything?", runs))
    return sweeps
