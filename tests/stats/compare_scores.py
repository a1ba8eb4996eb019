"""best_runs, config_scores, at_best, metric_history and the functions for curves, computed again by pandas, NumPy and SciPy
over the sample data."""

import argparse
import math
import pathlib
import tempfile

import numpy as np
import pandas as pd
from ledger import METRICS, SAMPLE, Differences, Ledger, frame, make
from scipy import stats



def best_runs(ledger: Ledger, experiment: str, metric: str, found: Differences) -> None:
    """Runs that did not fail; folds without a number leave a run without a score."""
    best = ledger.goal(metric, [experiment])
    runs = ledger.runs[(ledger.runs.experiment == experiment) & ~ledger.runs.status.isin(["FAILED", "KILLED", "CRASHED"])]
    series = ledger.stats[(ledger.stats.key == metric) & ledger.stats.run_id.isin(runs.index)]
    folds = series[series.context.fillna("").str.fullmatch(r'\{"fold":\d+\}')].copy()
    folds["value"] = folds[best].where(folds["count"] > folds.nan_count)
    theirs = folds.groupby("run_id").value.agg(lambda values: values.mean(skipna=False)).to_frame("score")
    theirs["score_of"], theirs["n_folds"] = "folds", folds.groupby("run_id").size()
    whole = series[series.context.isna() & ~series.run_id.isin(theirs.index)].set_index("run_id")
    of = np.where(whole["count"] > 1, "best", "last")
    theirs = pd.concat([theirs, pd.DataFrame({"score": whole[best], "score_of": of}, index=whole.index)])
    theirs = theirs[np.isfinite(theirs.score)].reset_index(names="run_id")
    theirs = theirs.sort_values(["score", "run_id"], ascending=[best == "min", True]).head(25)
    ours = frame(ledger.store, f"SELECT * FROM best_runs('{experiment}', '{metric}', 25) ORDER BY rank")
    found.same("rows", len(ours), len(theirs))
    # Where two scores are equal but for the last bit, the sums may have been made in another order.
    ours, theirs = ours.set_index("run_id"), theirs.set_index("run_id")
    for run in theirs.index.intersection(ours.index):
        for column in ("score", "score_of", "n_folds"):
            found.same(f"{experiment} {metric} {run} {column}", ours[column][run], theirs[column][run])
    found.same("ranks", ours["rank"].tolist(), list(range(1, len(ours) + 1)))
    for mine, other in zip(ours.score, theirs.score):
        found.same(f"{experiment} {metric} in order", mine, float(other))


def config_scores(ledger: Ledger, experiment: str, metric: str, found: Differences) -> None:
    scored = ledger.scored(metric, [experiment])
    blocks = ["dataset", "data_version"]
    theirs = scored.groupby(["config_id", *blocks], dropna=False).score.agg(["size", "mean", "std", "sem"])
    every = frame(ledger.store, f"SELECT * FROM config_scores('{experiment}', '{metric}')")
    # Runs that failed, and finished ones whose score is no number, by the block of their own data.
    runs = ledger.runs[ledger.runs.experiment == experiment]
    series = ledger.stats[(ledger.stats.key == metric) & ledger.stats.context.fillna('{"fold":0}').str.fullmatch(r'\{"fold":\d+\}')]
    no_number = (runs.status == "FINISHED") & runs.index.isin(series.run_id) & ~runs.index.isin(scored.index)
    failed = runs[runs.status.isin(["FAILED", "KILLED", "CRASHED"]) | no_number].groupby(["config_id", *blocks], dropna=False).size()
    blank = lambda key: tuple(None if pd.isna(part) else part for part in key)  # noqa: E731
    failed = {blank(key): int(n) for key, n in failed.items()}
    found.same("rows", len(every), len(failed.keys() | {blank(key) for key in theirs.index}))
    for row in every.itertuples():
        key = blank((row.config_id, row.dataset, row.data_version))
        found.same(f"{experiment} {metric} {key} n_failed", row.n_failed, failed.get(key, 0))
    ours = every[every.n_runs > 0]
    found.same("configs", len(ours), len(theirs))
    ours = ours.set_index(["config_id", *blocks])
    for key, row in theirs.iterrows():
        own = ours.loc[[key]].iloc[0]
        what = f"{experiment} {metric} {key}"
        found.same(what, own.n_runs, int(row["size"]))
        for mine, other in (("mean", "mean"), ("std", "std"), ("std_error", "sem")):
            found.same(f"{what} {mine}", own[mine], row[other])
        if row["size"] > 1 and row["sem"] > 0:
            low, high = stats.t.interval(0.95, row["size"] - 1, row["mean"], row["sem"])
            found.same(f"{what} low", own.low, low)
            found.same(f"{what} high", own.high, high)
    order = ours.reset_index().sort_values("rank").groupby(blocks, dropna=False)["mean"]
    ascending = ledger.goal(metric, [experiment]) == "min"
    for _, means in order:
        same = means.is_monotonic_increasing if ascending else means.is_monotonic_decreasing
        found.same(f"{experiment} {metric} order", bool(same), True)


def at_best(ledger: Ledger, experiment: str, metric: str, found: Differences) -> None:
    (experiment_id,) = ledger.runs[ledger.runs.experiment == experiment].experiment_id.unique()
    points = frame(ledger.store, f"""SELECT run_id, key, context, step, time, value FROM metrics
        WHERE experiment_id = '{experiment_id}' AND step IS NOT NULL""")
    own = points[(points.key == metric) & points.context.isna() & points.value.notna()]
    ascending = ledger.goal(metric, [experiment]) == "min"
    best = own.sort_values(["value", "step"], ascending=[ascending, True]).drop_duplicates("run_id").set_index("run_id")
    theirs = points.join(best[["step", "value"]].rename(columns={"step": "at", "value": "best"}), on="run_id", how="inner")
    theirs = theirs[theirs.step == theirs["at"]].sort_values(["time", "value"])
    theirs = theirs.drop_duplicates(["run_id", "key", "context"], keep="last")
    theirs = {(row.run_id, row.key, row.context): row for row in theirs.itertuples()}
    ours = frame(ledger.store, f"SELECT * FROM at_best('{experiment}', '{metric}')")
    found.same(f"rows of at_best in {experiment} by {metric}", len(ours), len(theirs))
    for row in ours.itertuples():
        other = theirs[(row.run_id, row.key, row.context)]
        found.same(f"at_best {row.run_id} {row.key}", [row.step, row.best], [int(other.at), other.best])
        found.same(f"at_best {row.run_id} {row.key} value", row.value, other.value)


def curves(ledger: Ledger, found: Differences) -> None:
    points = frame(ledger.store, """SELECT run_id, key, step, time, value FROM metrics WHERE context IS NULL AND step IS NOT NULL
        AND key IN ('loss', 'val_loss') ORDER BY run_id, key, step, time, value""")
    ours = frame(ledger.store, """SELECT run_id, key, slope(step, value) AS slope, area_under(step, value) AS area,
        arg_max(step, value) AS at_max, arg_min(step, value) AS at_min, best(value, 'min') AS best FROM metrics
        WHERE context IS NULL AND step IS NOT NULL AND key IN ('loss', 'val_loss') GROUP BY run_id, key""").set_index(["run_id", "key"])
    smooth = frame(ledger.store, """SELECT run_id, key, step, ema(value, 0.3) OVER (PARTITION BY run_id, key ORDER BY step, time, value) AS ema
        FROM metrics WHERE context IS NULL AND step IS NOT NULL AND key IN ('loss', 'val_loss')
        ORDER BY run_id, key, step, time, value""").groupby(["run_id", "key"])
    for key, series in points.groupby(["run_id", "key"]):
        own = ours.loc[key]
        steps, values = series.step.to_numpy(dtype=float), series.value.to_numpy(dtype=float)
        theirs = pd.Series(values).ewm(alpha=0.3, adjust=False, ignore_na=True).mean()
        for mine, other in zip(smooth.get_group(key).ema, theirs):
            found.same(f"ema of {key}", mine, float(other))
        finite = np.isfinite(values)
        if finite.any():
            least, greatest = np.nanmin(values), np.nanmax(values)
            found.same(f"arg_min of {key}", own.at_min, int(steps[values == least].min()))
            found.same(f"arg_max of {key}", own.at_max, int(steps[values == greatest].min()))
            found.same(f"best of {key}", own.best, float(least))
        if finite.all() and len(values) > 1:
            found.same(f"slope of {key}", own.slope, float(stats.linregress(steps, values).slope))
            found.same(f"area of {key}", own.area, float(np.trapezoid(values, steps)))


def histories(ledger: Ledger, found: Differences) -> None:
    """A thinned series keeps its ends and its extremes, and nothing that was not there."""
    runs = frame(ledger.store, "SELECT run_id FROM metric_stats WHERE key = 'loss' AND count >= 10 ORDER BY run_id LIMIT 20")
    found.same("series", len(runs), 20)
    for run in runs.run_id:
        whole = frame(ledger.store, f"SELECT * FROM metric_history('{run}', 'loss')")
        thin = frame(ledger.store, f"SELECT * FROM metric_history('{run}', 'loss', 6)")
        found.same(f"points of {run}", len(thin) <= 6 and len(whole) >= 10, True)
        for pick in ("min", "max"):
            found.same(f"{pick} of {run}", getattr(thin.value, pick)(), float(getattr(whole.value, pick)()))
        found.same(f"ends of {run}", [thin.step.iloc[0], thin.step.iloc[-1]], [whole.step.iloc[0], whole.step.iloc[-1]])
        there = set(zip(whole.step, whole.value.astype(str)))
        found.same(f"points of {run}", set(zip(thin.step, thin.value.astype(str))) <= there, True)


def compare_runs(ledger: Ledger, found: Differences) -> None:
    """Pairs and triples of runs, from the plain tables: what each says of itself, and whether all say the same."""
    store = ledger.store
    tables = {
        "params": "SELECT run_id, key, value FROM params",
        "metrics": "SELECT run_id, CASE WHEN context IS NULL THEN key ELSE key || ' ' || context END AS key, last AS value FROM metric_stats",
        "tags": "SELECT run_id, key, coalesce(value, '') AS value FROM tags",
        "features": "SELECT run_id, feature AS key, CASE WHEN used THEN 'used' ELSE 'not used' END AS value FROM features",
        "data_versions": "SELECT run_id, role || ': ' || dataset AS key, data_version || ' ' || digest AS value FROM data_versions",
        "packages": "SELECT run_id, package AS key, package_version AS value FROM packages",
        "environment": "SELECT run_id, key, value FROM environment",
    }
    said = {section: {run: of.set_index("key").value for run, of in frame(store, sql).groupby("run_id")} for section, sql in tables.items()}
    facts = frame(store, "SELECT run_id, experiment, name, status, config_id, n_features, duration_s, git_commit, git_branch FROM runs").set_index("run_id")
    some = ledger.runs.sort_index().groupby(["experiment", "status"]).head(2).index.tolist()
    rng = np.random.default_rng(5)
    groups = [rng.choice(some, size=int(rng.integers(2, 4)), replace=False).tolist() for _ in range(25)]
    for runs in groups:
        ours = frame(store, f"SELECT * FROM compare_runs({', '.join(repr(run) for run in runs)})").set_index(["section", "key"])
        letters = "abc"[: len(runs)]
        for section, of_runs in said.items():
            values = pd.DataFrame({letter: of_runs.get(run, pd.Series(dtype=object)) for letter, run in zip(letters, runs)})
            mine = ours.loc[section] if section in ours.index.get_level_values(0) else ours.iloc[:0]
            found.same(f"{runs} {section}: keys", sorted(mine.index), sorted(values.index[values.notna().any(axis=1) | (section == "metrics")]))
            for key, row in values.iterrows():
                what, shown = f"{runs} {section} {key}", mine.loc[key]
                there = [value is not None and value == value for value in row]
                for letter, value, is_there in zip(letters, row, there):
                    if section == "metrics":
                        text = shown[letter]
                        found.same(what, math.nan if text in (None, "NaN") else float(text), float(value) if is_there else math.nan)
                    else:
                        found.same(what, shown[letter], value if is_there else None)
                texts = {shown[letter] for letter in letters}
                found.same(f"{what} differs", bool(shown.differs), len(texts) > 1)
                if len(runs) == 2 and section == "metrics" and all(there):
                    # Of an infinity, or beyond the greatest double, there is no difference.
                    apart = float(row.iloc[0]) - float(row.iloc[1])
                    found.same(f"{what} difference", shown.difference, apart if np.isfinite(apart) else math.nan)
        for name in facts:
            row = [facts[name][run] for run in runs]
            if any(value is not None and value == value for value in row):
                shown = ours.loc["git" if name.startswith("git") else "run", name]
                for letter, value in zip(letters, row):
                    given = value is not None and value == value
                    number = isinstance(value, (float, int, np.number))
                    mine = shown[letter] if not (number and shown[letter] is not None) else float(shown[letter])
                    found.same(f"{runs} {name}", mine, None if not given else float(value) if number else value)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runlake", required=True)
    parser.add_argument("--data")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(make(args.runlake, pathlib.Path(folder) / "store", [SAMPLE]))
        for function in (best_runs, config_scores):
            found = Differences(function.__name__)
            for experiment, metrics in METRICS.items():
                for metric in metrics:
                    function(ledger, experiment, metric, found)
            found.told()
        found = Differences("at_best")
        at_best(ledger, "digits", "val_accuracy", found)
        at_best(ledger, "diabetes", "val_loss", found)
        found.told()
        for function in (curves, histories, compare_runs):
            found = Differences(function.__name__)
            function(ledger, found)
            found.told()


if __name__ == "__main__":
    main()
