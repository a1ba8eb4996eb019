"""Answers of pareto, feature_sets, feature_effects and select_features, computed again with pandas, statsmodels and SciPy from logged rows."""

import argparse
import collections
import functools
import itertools
import json
import math
import operator
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd
import scipy.stats
import statsmodels.api as sm

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "engines"))
from program import Store  # noqa: E402

BLOCK = ["experiment", "dataset", "data_version", "digest"]
CHECKED = collections.Counter()


def mean(values: object) -> float:
    """In the order given, one after the other: what is equal and what comes first must not hang on how sums are rounded."""
    values = [float(v) for v in values]
    return functools.reduce(operator.add, values) / len(values)


class Rows:
    """What was logged in an experiment, as plain tables."""

    def __init__(self, store: Store, experiment: str):
        self.store, self.experiment = store, experiment
        where = f"WHERE experiment_id IN (SELECT experiment_id FROM experiments WHERE experiment = '{experiment}')"
        self.runs = self.ask(f"SELECT run_id, experiment, status, config_id, feature_set, n_features, seed, fold, duration_s FROM runs {where}")
        self.points = self.ask(f"SELECT run_id, key, context, step, value FROM metrics {where}")
        self.features = self.ask(f"SELECT run_id, feature, used, importance, importance_kind FROM features {where}")
        self.params = self.ask(f"SELECT run_id, key, value, num FROM params {where}")
        data = self.ask(f"SELECT run_id, dataset, data_version, digest FROM data_versions {where} AND role = 'training' ORDER BY run_id, dataset, digest")
        data = data.groupby("run_id").agg(lambda parts: " + ".join(p for p in parts if p is not None) or None)
        self.runs = self.runs.join(data.reindex(columns=BLOCK[1:]), on="run_id")
        self.runs[BLOCK] = self.runs[BLOCK].astype(object).where(self.runs[BLOCK].notna(), None)
        self.goals = dict(self.ask(f"SELECT key, goal FROM metric_defs {where}").itertuples(index=False))
        used = self.features[self.features.used]
        self.used = used.groupby("run_id").feature.agg(frozenset)
        self.runs["set"] = self.runs.run_id.map(self.used)
        self.runs["set"] = [s if isinstance(s, frozenset) else (frozenset() if isinstance(d, str) else None) for s, d in zip(self.runs["set"], self.runs.feature_set)]

    def ask(self, sql: str) -> pd.DataFrame:
        table = self.store.sql(sql)
        return pd.DataFrame({name: pd.Series(table[name].to_pylist(), dtype=object) for name in table.column_names})

    def call(self, function: str, *args: object, **named: object) -> pd.DataFrame:
        def literal(value: object) -> str:
            return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)

        words = [literal(self.experiment), *map(literal, args), *(f"{k} => {literal(v)}" for k, v in named.items())]
        return self.ask(f"SELECT * FROM {function}({', '.join(words)})")

    def scores(self, metric: str, goal: str | None = None) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        """By run: the mean over folds, else the best value; and the folds."""
        best = max if (goal or self.goals[metric]) == "max" else min
        series = collections.defaultdict(dict)
        for run, context, values in self.series(metric):
            values = [v for v in values if not math.isnan(v)]
            series[run][context] = best(values) if values else math.nan
        scores, folds = {}, {}
        for run, found in series.items():
            of_fold = {str(c): v for c, v in found.items() if c is not None}
            folds[run] = of_fold
            scores[run] = mean(of_fold[fold] for fold in sorted(of_fold)) if of_fold else found[None]
        return {run: score for run, score in scores.items() if math.isfinite(score)}, folds

    def held_out(self, metric: str) -> dict[str, float]:
        """By run: the last value, else the mean over folds."""
        points = self.points[self.points.key == metric]
        found = {}
        for run, of_run in points.groupby("run_id"):
            whole = of_run[of_run.context.isna()]
            last = lambda s: s.sort_values(["step", "value"]).value.iloc[-1]  # noqa: E731
            if len(whole):
                found[run] = last(whole)
            else:
                folds = [last(of_fold) for context, of_fold in of_run.groupby("context") if list(json.loads(context)) == ["fold"]]
                if folds:
                    found[run] = mean(folds)
        return {run: value for run, value in found.items() if math.isfinite(value)}

    def series(self, metric: str):
        for (run, context), points in self.points[self.points.key == metric].groupby(["run_id", "context"], dropna=False):
            fold = None if not isinstance(context, str) else json.loads(context)
            if fold is None or list(fold) == ["fold"]:
                yield run, None if fold is None else fold["fold"], [float(v) for v in points.value]

    def configs(self, metric: str) -> pd.DataFrame:
        """A row per block and config that says which features it used."""
        scores, folds = self.scores(metric)
        runs = self.runs[(self.runs.status == "FINISHED") & self.runs.run_id.isin(scores.keys())].copy()
        runs["score"] = runs.run_id.map(scores)
        family = self.params[self.params.key == "model"].set_index("run_id").value
        runs["family"] = runs.run_id.map(family)
        rows = []
        for key, group in runs[runs.set.notna()].sort_values("run_id").groupby([*BLOCK, "config_id"], dropna=False):
            replicates = collections.defaultdict(list)
            for run in group.itertuples():
                repeat = (run.seed, run.fold)
                for fold, value in (folds[run.run_id] or {None: run.score}).items():
                    replicates[(repeat, fold)].append(value)
            best = group.sort_values(["score", "run_id"], ascending=[self.goals[metric] == "min", True]).run_id.iloc[0]
            rows.append({
                **dict(zip([*BLOCK, "config_id"], (k if isinstance(k, str) else None for k in key))),
                "set": group.set.iloc[0], "family": group.family.iloc[0] if isinstance(group.family.iloc[0], str) else None,
                "score": mean(group.score), "runs": list(group.run_id), "best_run": best,
                "replicates": {k: mean(v) for k, v in replicates.items()},
            })  # fmt: skip
        configs = pd.DataFrame(rows)
        configs["block"] = configs[BLOCK].apply(tuple, axis=1)
        return configs


def absent(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def check(what: str, ours: object, theirs: object) -> None:
    """Equal, numbers to 1e-9 of their size."""
    CHECKED[what.split(":")[0]] += 1
    if absent(ours) and absent(theirs):
        return
    if isinstance(theirs, (float, np.floating)) and not absent(ours) and not absent(theirs):
        if abs(ours - theirs) <= 1e-9 * max(1.0, abs(theirs)):
            return
    elif not absent(ours) and not absent(theirs) and ours == theirs:
        return
    sys.exit(f"{what}: runlake {ours!r}, recomputed {theirs!r}")


def better(goal: str) -> int:
    return -1 if goal == "max" else 1


def feature_sets(rows: Rows, metric: str) -> None:
    configs, sign = rows.configs(metric), better(rows.goals[metric])
    configs["at"] = sign * configs.score
    expected = {}
    for block, group in configs.groupby("block"):
        subsets = [(s, g.sort_values(["at", "config_id"])) for s, g in group.groupby("set")]
        for subset, g in subsets:
            best = g.iloc[0]
            expected[block, subset] = {
                "rank": 1 + sum(other.iloc[0]["at"] < best["at"] for _, other in subsets), "score": best.score, "size": len(subset),
                "mean": float(g.score.mean()), "std": float(g.score.std(ddof=1)), "best_config": best.config_id, "best_run": best.best_run,
                "n_configs": len(g), "n_runs": int(g.runs.map(len).sum()), "n_blocks": int(configs[configs.set == subset].block.nunique()),
            }  # fmt: skip
    found = rows.call("feature_sets", metric)
    check("feature_sets: rows", len(found), len(expected))
    for row in found.to_dict("records"):
        key = tuple(row[c] for c in BLOCK), frozenset(row["features"])
        check("feature_sets: sorted", list(row["features"]), sorted(row["features"]))
        for column, value in expected[key].items():
            check(f"feature_sets: {rows.experiment} {metric} {column}", row[column], value)


def select_features(rows: Rows, metric: str, **named: object) -> None:
    configs, sign = rows.configs(metric), better(rows.goals[metric])
    held_out = rows.held_out(named["confirm"]) if "confirm" in named else {}
    confirm = lambda config: mean(held_out.get(run, math.nan) for run in config.runs) if "confirm" in named else None  # noqa: E731
    configs["at"], configs["names"], configs["size"] = sign * configs.score, configs.set.map(lambda s: tuple(sorted(s))), configs.set.map(len)
    found = rows.call("select_features", metric, **named)
    expected = {}
    for block, group in configs.groupby("block"):
        of_set = group.sort_values(["at", "config_id"]).drop_duplicates("set")
        allowed = of_set[of_set["size"] <= named.get("max_features", math.inf)]
        out = expected[block] = {"n_subsets": len(of_set), "n_too_large": len(of_set) - len(allowed), "n_configs": len(group),
                                 "n_runs": int(group.runs.map(len).sum()), "score": None, "features": None}  # fmt: skip
        if allowed.empty:
            continue
        best = allowed.sort_values(["at", "size", "names"]).iloc[0]
        out |= {"best_score": best.score, "best_size": best["size"], "best_confirm_score": confirm(best)}
        if "tolerance" not in named and len(allowed) > 1 and len(best.replicates) < 2:
            continue
        for _, candidate in allowed.sort_values(["size", "at", "names"]).iterrows():
            shared = sorted(candidate.replicates.keys() & best.replicates.keys(), key=repr)
            differences = [candidate.replicates[k] - best.replicates[k] for k in shared]
            tolerance = named.get("tolerance")
            if tolerance is None:
                same = candidate.config_id == best.config_id
                tolerance = 0.0 if same else scipy.stats.sem(differences) if len(shared) > 1 else math.nan
            if candidate["at"] - best["at"] <= tolerance + 1e-12 * max(abs(best.score), tolerance):
                out |= {"score": candidate.score, "features": list(candidate["names"]), "config_id": candidate.config_id, "run_id": candidate.best_run,
                        "difference": candidate.score - best.score,
                        # One subset was compared with nothing.
                        **({"tolerance": None, "n_pairs": None} if len(of_set) == 1 and "tolerance" not in named else
                           {"tolerance": float(tolerance), "n_pairs": len(shared)}),
                        "confirm_score": confirm(candidate)}  # fmt: skip
                break
    check("select_features: rows", len(found), len(expected))
    for row in found.to_dict("records"):
        for column, value in expected[tuple(row[c] for c in BLOCK)].items():
            check(f"select_features: {rows.experiment} {metric} {named} {column}", row[column], value)


class Fit:
    """OLS with a dummy for each block, by statsmodels; HC3, t."""

    def __init__(self, y: np.ndarray, blocks: pd.Series, x: pd.DataFrame):
        dummies = pd.get_dummies(blocks).to_numpy(float)
        self.names, design = list(x.columns), np.column_stack([dummies, x.to_numpy(float)])
        self.first = dummies.shape[1]
        self.determined = self.determines(design)
        # Rows that are fitted exactly whatever they hold are left out, with what only they determine.
        leverage = np.einsum("ij,ji->i", design, np.linalg.pinv(design))
        y, design = y[leverage < 1 - 1e-9], design[leverage < 1 - 1e-9]
        self.sure = self.determines(design) & self.determined if len(y) else np.zeros(len(self.names), bool)
        self.fit = sm.OLS(y, design).fit(cov_type="HC3", use_t=True) if len(y) else None
        if self.fit is not None and self.fit.df_resid <= 0:
            self.sure[:] = False

    def determines(self, design: np.ndarray) -> np.ndarray:
        """Whether each coefficient is the same in every solution of the normal equations."""
        if not len(design):
            return np.zeros(len(self.names), bool)
        projection = np.linalg.pinv(design) @ design
        return np.abs(projection - np.eye(len(projection))).max(axis=1)[self.first :] < 1e-7

    def of(self, name: str) -> dict[str, float] | None:
        at = self.names.index(name)
        if not self.sure[at]:
            return None
        i = self.first + at
        low, high = self.fit.conf_int()[i]
        return {"effect": float(self.fit.params[i]), "std_error": float(self.fit.bse[i]), "low": float(low), "high": float(high), "p_value": float(self.fit.pvalues[i])}


NONE = {"effect": None, "std_error": None, "low": None, "high": None, "p_value": None}


def feature_effects(rows: Rows, metric: str) -> None:
    configs = rows.configs(metric)
    y, blocks = configs.score.to_numpy(float), configs.block.map(repr)
    features = sorted(frozenset().union(*configs.set))
    x = pd.DataFrame({f: [f in s for s in configs.set] for f in features}).astype(float)
    families = pd.get_dummies(configs.family.fillna("")).iloc[:, 1:].astype(float).add_prefix("family ")
    fit = Fit(y, blocks, pd.concat([families, x], axis=1))
    size = configs.set.map(len)
    decile = (10 * (size.groupby(blocks).rank(method="min") - 1) // size.groupby(blocks).transform("size")).astype(int)
    strata = blocks + configs.family.fillna("").map(repr) + decile.map(repr)
    # What runs say was there and not used.
    of_run = {run: block for block, runs in zip(blocks, configs.runs) for run in runs}
    unused = rows.features[~rows.features.used.astype(bool)]
    there = {(feature, of_run[run]) for run, feature in zip(unused.run_id, unused.feature) if run in of_run}
    there |= {(feature, block) for block, s in zip(blocks, configs.set) for feature in s}
    said = rows.features[rows.features.used.astype(bool) & rows.features.importance.notna() & rows.features.run_id.isin(of_run.keys())].copy()
    said["importance"] = [abs(v) if k in ("coefficient", "shap") else v for v, k in zip(said.importance.astype(float), said.importance_kind)]
    said["rank"] = said.groupby(["run_id", "importance_kind"]).importance.rank(ascending=False)
    ranks = said.groupby(["feature", "importance_kind"])["rank"].mean().groupby("feature").mean()
    found = rows.call("feature_effects", metric)
    found.index = found.feature
    check("feature_effects: features", sorted(found.feature), sorted({feature for feature, _ in there}))
    p = {}
    for feature, row in found.iterrows():
        what = f"feature_effects: {rows.experiment} {metric} {feature}"
        available = blocks.map(lambda block: (feature, block) in there).to_numpy()
        used = np.array([feature in s for s in configs.set])
        check(f"{what} n_with", row.n_with, int((used & available).sum()))
        check(f"{what} n_without", row.n_without, int((~used & available).sum()))
        raw = y[used & available].mean() - y[~used & available].mean() if used.any() and (~used & available).any() else None
        check(f"{what} raw_diff", row.raw_diff, raw)
        check(f"{what} importance_rank", row.importance_rank, float(ranks[feature]) if feature in ranks.index else None)
        varies = pd.Series(used).groupby(blocks.to_numpy()).nunique().max() > 1
        method, expected, n_used = None, NONE, 0
        if varies and fit.determined[fit.names.index(feature)]:
            method, expected, n_used = "least squares", fit.of(feature), len(y)
        elif varies:
            mixed = pd.Series(used).groupby(strata.to_numpy()).transform("nunique").to_numpy() > 1
            if mixed.any():
                method, n_used = "stratified", int(mixed.sum())
                within = Fit(y[mixed], strata[mixed], pd.DataFrame({feature: used[mixed].astype(float)}))
                expected = within.of(feature)
        check(f"{what} method", row.method, method)
        check(f"{what} n_used", row.n_used, n_used)
        CHECKED[f"feature_effects {method}"] += 1
        if expected is None:
            # Determined by one row alone or without any freedom: an effect, and nothing on how sure it is.
            check(f"{what} has an effect", absent(row.effect), False)
            expected = {key: None for key in NONE if key != "effect"}
        elif expected["std_error"] is not None and expected["std_error"] < 1e-12 * np.abs(y).max():
            expected = {"effect": expected["effect"], "std_error": None, "p_value": None}
        for column, value in expected.items():
            check(f"{what} {column}", row[column], value)
        if not absent(row.p_value):
            p[feature] = row.p_value
        check(f"{what} has a reason", absent(row.reason), not absent(row.p_value))
    sign = 1 if rows.goals[metric] == "max" else -1
    for row in found.to_dict("records"):
        check("feature_effects: better", row["better"], None if absent(row["effect"]) or row["effect"] == 0 else row["effect"] * sign > 0)
    q = dict(zip(p, scipy.stats.false_discovery_control(list(p.values())))) if p else {}
    for feature, row in found.iterrows():
        check(f"feature_effects: {rows.experiment} {metric} {feature} q", row.q_value, q.get(feature))


def pareto(rows: Rows, objectives: list[tuple[str, str]], last: int, by: str = "run") -> None:
    columns, runs = [], rows.runs.copy()
    for key, goal in objectives:
        if key.startswith("params."):
            params = rows.params[rows.params.key == key.removeprefix("params.")].set_index("run_id").num
            runs[key] = runs.run_id.map(params).astype(float)
        elif key in runs:
            runs[key] = runs[key].astype(float)
        else:
            runs[key] = runs.run_id.map(rows.scores(key, goal)[0])
        columns.append(key)
    # What has not finished is left out, and counted.
    runs.loc[runs.status != "FINISHED", columns] = np.nan
    runs["block"] = runs[BLOCK].apply(tuple, axis=1)
    text = ", ".join(f'"{key}" {goal}' if " " in key else f"{key} {goal}" for key, goal in objectives)
    found = rows.call("pareto", text, last, by=by)
    id_column = "run_id" if by == "run" else "config_id"
    ours = {(tuple(row[c] for c in BLOCK), row[id_column]): row for row in found.to_dict("records")}
    expected = {}
    for block, group in runs.groupby("block"):
        whole = group.dropna(subset=columns)
        left_out, configs = len(group) - len(whole), whole.config_id.nunique()
        if by == "config":
            whole = whole.sort_values("run_id").groupby("config_id", as_index=False)[columns].agg(mean)
        values = whole[columns].to_numpy(float) * [1 if goal == "max" else -1 for _, goal in objectives]
        left = np.arange(len(values))
        for front in range(1, last + 1):
            at = values[left]
            dominated = [bool(((at >= v).all(axis=1) & (at > v).any(axis=1)).any()) for v in at]
            for i in left[~np.array(dominated, bool)]:
                expected[block, whole[id_column].iloc[i]] = (front, len(values), left_out, configs, *whole[columns].iloc[i])
            left = left[np.array(dominated, bool)]
    check(f"pareto: {text} rows", sorted(map(repr, ours)), sorted(map(repr, expected)))
    for key, row in ours.items():
        for name, a, b in zip(["rank", "n_compared", "n_left_out", "n_configs", *columns], [row["rank"], row["n_compared"], row["n_left_out"], row["n_configs"], *(row[c] for c in columns)], expected[key]):
            check(f"pareto: {text} {name}", a, b)


def generated(binary: str, folder: pathlib.Path, seed: int) -> Rows:
    """Subsets of features at random: collinear ones, some never used, rows that stand alone, repeats, folds, lost scores."""
    rng = np.random.default_rng(seed)
    n_features, n_configs = int(rng.integers(4, 25)), int(rng.integers(20, 220))
    names = [f"f{i:02}" for i in range(n_features)]
    worth = np.where(rng.random(n_features) < 0.4, rng.normal(0, 0.03, n_features), 0)
    lines = [{"type": "metric_goal", "experiment": "made", "key": "auc", "goal": "max"},
             {"type": "metric_goal", "experiment": "made", "key": "cost", "goal": "min"}]  # fmt: skip
    for config in range(n_configs):
        presence = rng.random()
        used = rng.random(n_features) < presence
        if seed % 3 == 0:
            used[1] = used[0]
        if seed % 3 == 1:
            used[2] = config == 7
        model, data = str(rng.choice(["a", "b", "c"])), str(rng.choice(["d1", "d2", "d3"], p=[0.6, 0.35, 0.05]))
        level = 0.7 + used @ worth + {"a": 0, "b": 0.05, "c": -0.02}[model] + {"d1": 0, "d2": 0.1, "d3": -0.1}[data]
        with_folds = seed % 2 == 0 and rng.random() < 0.9
        for repeat in range(int(rng.integers(1, 4))):
            run = f"r{config:03}{repeat}"
            lines.append({"type": "run", "run": run, "experiment": "made", "start_time": "2026-11-01T09:00:00Z"})
            lines.append({"type": "params", "run": run, "values": {"model": model, "option": config % 17, "id": config, "seed": repeat}})
            lines.append({"type": "data", "run": run, "dataset": "people", "role": "training", "digest": data})
            shown = [{"feature": f, "used": bool(u)} for f, u in zip(names, used) if u or rng.random() < 0.5]
            if rng.random() < 0.6:
                for feature in shown:
                    if feature["used"]:
                        feature |= {"importance": round(float(rng.normal()), 1), "importance_kind": "coefficient" if model == "a" else "gini"}
            if not used.any():
                shown.append({"feature": "spare", "used": True})
            lines.append({"type": "features", "run": run, "features": shown + [{"feature": "never", "used": False}]})
            values = [level + 0.02 * rng.normal() for _ in range(4)]
            if with_folds:
                lines += [{"type": "metrics", "run": run, "values": {"auc": v}, "context": {"fold": k}} for k, v in enumerate(values)]
            elif rng.random() < 0.95:
                lines.append({"type": "metrics", "run": run, "values": {"auc": values[0] if rng.random() < 0.97 else "NaN"}})
            if rng.random() < 0.9:
                lines.append({"type": "metrics", "run": run, "values": {"cost": round(float(rng.random()), 1), "test auc": float(level + 0.01 * rng.normal())}})
            lines.append({"type": "finish", "run": run, "status": "FINISHED" if rng.random() < 0.95 else "FAILED", "end_time": "2026-11-01T10:00:00Z"})
    path = folder / f"made-{seed}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    store = Store(binary, folder / f"made-{seed}")
    subprocess.run([binary, "init", str(store.folder)], check=True, stdout=subprocess.DEVNULL)
    store.run("log", path)
    return Rows(store, "made")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runlake", required=True)
    parser.add_argument("--data", help="not needed here")
    binary = str(pathlib.Path(parser.parse_args().runlake).resolve())
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        demo = Store(binary, folder / "demo")
        subprocess.run([binary, "demo", str(demo.folder)], check=True, stdout=subprocess.DEVNULL)
        questions = {"breast-cancer": ["auc", "logloss"], "wine": ["accuracy", "logloss"], "digits": ["accuracy"], "diabetes": ["rmse", "r2"]}
        for experiment, metrics in questions.items():
            rows = Rows(demo, experiment)
            for metric in metrics:
                feature_effects(rows, metric)
                feature_sets(rows, metric)
                select_features(rows, metric, confirm=metric)
                select_features(rows, metric, tolerance=0.005, max_features=8)
                goal = rows.goals[metric]
                pareto(rows, [(metric, goal), ("fit_time_s", "min")], 3)
                pareto(rows, [(metric, goal), ("n_features", "min"), ("model_bytes", "min")], 2)
                pareto(rows, [(metric, goal), ("n_features", "min")], 2, by="config")
        for seed in range(12):
            rows = generated(binary, folder, seed)
            feature_effects(rows, "auc")
            feature_sets(rows, "auc")
            select_features(rows, "auc")
            select_features(rows, "auc", confirm="test auc", max_features=5)
            select_features(rows, "auc", tolerance=0.02)
            for last, by in itertools.product([1, 4], ["run", "config"]):
                pareto(rows, [("auc", "max"), ("cost", "min"), ("params.option", "max")], last, by)
            pareto(rows, [("cost", "min"), ("test auc", "max"), ("duration_s", "min"), ("n_features", "min")], 2)
    print("computed again: " + ", ".join(f"{n} {what}" for what, n in sorted(CHECKED.items())))


if __name__ == "__main__":
    main()
