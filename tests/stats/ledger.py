"""The rows that table functions start from, read as plain tables, and scores and blocks made of them anew with pandas."""

import pathlib
import sys

import numpy as np
import pandas as pd

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "engines"))
from program import Store  # noqa: E402


SAMPLE = pathlib.Path(__file__).resolve().parents[2] / "sample_data/runs.jsonl.gz"
METRICS = {
    "breast-cancer": ["auc", "accuracy", "logloss", "fit_time_s"],
    "wine": ["auc", "f1_macro", "fit_time_s"],
    "digits": ["accuracy", "val_accuracy", "loss"],
    "diabetes": ["rmse", "r2", "val_loss"],
}


def make(binary: str, folder: pathlib.Path, lines: list[object]) -> Store:
    """A sealed store of lines."""
    store = Store(binary, folder)
    store.run("init", folder)
    for source in lines:
        store.run("log", source)
    store.run("seal")
    return store


def frame(store: Store, sql: str) -> pd.DataFrame:
    return store.sql(sql).to_pandas()


class Ledger:
    """All runs of a store with what statistics need."""

    def __init__(self, store: Store):
        self.store = store
        self.runs = frame(store, """SELECT run_id, experiment_id, experiment, status, config_id, feature_set, n_features, seed, fold,
            start_time FROM runs""").set_index("run_id")
        self.params = frame(store, "SELECT run_id, key, value, type, num FROM params")
        self.stats = frame(store, "SELECT run_id, experiment_id, key, context, min, max, count, nan_count FROM metric_stats")
        self.goals = frame(store, "SELECT experiment_id, key, goal FROM metric_defs").set_index(["experiment_id", "key"]).goal
        data = frame(store, "SELECT run_id, dataset, data_version, digest FROM data_versions WHERE role = 'training'")
        data = data.sort_values(["run_id", "dataset", "digest"])
        joined = data.groupby("run_id")[["dataset", "data_version", "digest"]].agg(" + ".join) if len(data) else data.set_index("run_id")
        self.runs = self.runs.join(joined)
        self.folds: dict[str, pd.DataFrame] = {}

    def goal(self, metric: str, experiments: list[str]) -> str:
        ids = self.runs[self.runs.experiment.isin(experiments)].experiment_id.unique()
        (goal,) = {self.goals[(i, metric)] for i in ids}
        return goal

    def scored(self, metric: str, experiments: list[str]) -> pd.DataFrame:
        """Finished runs with a finite score: mean over folds, else the best by the goal."""
        best = "max" if self.goal(metric, experiments) == "max" else "min"
        ids = self.runs[self.runs.experiment.isin(experiments)].experiment_id.unique()
        stats = self.stats[(self.stats.key == metric) & self.stats.experiment_id.isin(ids)]
        whole = stats[stats.context.isna()].set_index("run_id")[best].rename("whole")
        folds = stats[stats.context.fillna("").str.fullmatch(r'\{"fold":\d+\}')].copy()
        folds["value"] = folds[best].where(folds["count"] > folds.nan_count)
        folds["fold_of"] = folds.context.str.extract(r"(\d+)")[0]
        by_fold = folds.groupby("run_id").value.agg(lambda values: values.mean(skipna=False)).rename("of_folds")
        found = self.runs.join(whole).join(by_fold)
        found["score"] = np.where(found.index.isin(by_fold.index), found.of_folds, found.whole)
        found = found[found.experiment.isin(experiments) & (found.status == "FINISHED") & np.isfinite(found.score.astype(float))]
        # One row for each fold, or one for the run.
        self.folds[metric] = folds.set_index("run_id")[["fold_of", "value"]]
        found["metric"] = metric
        found = found.assign(score=found.score.astype(float))
        found["dataset_unit"] = found.dataset.fillna("experiment " + found.experiment)
        return found

    def replicates(self, runs: pd.DataFrame) -> pd.DataFrame:
        """Single values: a fold of a run, or a run; with seed and fold as they are paired by."""
        found = runs.join(self.folds[runs.metric.iloc[0]])
        found["fold_key"] = found.fold_of.fillna(found.fold.astype("Int64").astype("string")).fillna("")
        found["seed_key"] = found.seed.astype("Int64").astype("string").fillna("")
        found["value"] = found.value.fillna(found.score)
        return found


class Differences:
    """Counts what was compared; ends the program at the first difference."""

    def __init__(self, name: str):
        self.name, self.compared, self.largest = name, 0, 0.0

    def same(self, what: str, ours: object, theirs: object) -> None:
        self.compared += 1
        empty = lambda v: v is None or v is pd.NA or v is pd.NaT or (isinstance(v, float) and np.isnan(v))  # noqa: E731
        if empty(ours) and empty(theirs):
            return
        if not empty(ours) and not empty(theirs):
            if isinstance(theirs, (float, np.floating)):
                apart = abs(ours - theirs)
                # Of small figures, such as p-values of 1e-30, six digits have to agree too.
                if ours == theirs or (apart <= 1e-9 * max(1.0, abs(theirs)) and apart <= 1e-6 * abs(theirs) + 1e-15):
                    self.largest = max(self.largest, apart / max(1.0, abs(theirs)))
                    return
            elif ours == theirs:
                return
        sys.exit(f"{self.name}: {what}: {ours!r} here, {theirs!r} there")

    def told(self) -> None:
        print(f"{self.name}: {self.compared} values are the same, floats to {self.largest:.1e}", flush=True)

