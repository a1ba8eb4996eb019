"""metric_history and at_best over 4,427 real learning curves of 867,856 points, computed again by pandas and NumPy.

Skipped where the data is not there."""

import argparse
import pathlib
import tempfile

import duckdb
import numpy as np
import pandas as pd
from ledger import Differences, frame, make

POINTS = 20
METRICS = {"score": "min", "val_loss": "min", "total_duration": "max"}
SERIES = ["run_id", "key"]


def wide(source: pathlib.Path, to: pathlib.Path) -> None:
    """What was measured at evaluations: a row for each; some steps were logged twice, since runs were resumed."""
    duckdb.sql(f"""COPY (SELECT run_id AS run, step, to_timestamp(1700000000 + max(time_s)) AS time,
        max(value) FILTER (metric = 'score') AS score, max(value) FILTER (metric = 'validation/loss') AS val_loss,
        max(value) FILTER (metric = 'total_duration') AS total_duration FROM '{source}'
        WHERE metric IN ('score', 'validation/loss', 'total_duration')
        GROUP BY run_id, seq, step ORDER BY run_id, seq, step) TO '{to}' (FORMAT parquet)""")


def histories(store: object, points: pd.DataFrame, found: Differences) -> None:
    """Each thinned series has its ends and extremes, at most so many points, and only points that were logged, in their order."""
    for metric in METRICS:
        whole = points[points.key == metric]
        ours = frame(store, f"SELECT run_id, step, time, value FROM metric_history('curves', '{metric}')")
        found.same(f"{metric}: points", len(ours), len(whole))
        for column in ("run_id", "step", "value"):
            found.same(f"{metric}: {column}", bool((ours[column].to_numpy() == whole[column].to_numpy()).all()), True)
        thin = frame(store, f"SELECT run_id, step, time, value FROM metric_history('curves', '{metric}', {POINTS})")
        sizes, thinned = whole.groupby("run_id").size(), thin.groupby("run_id").size()
        found.same(f"{metric}: series", sorted(sizes.index), sorted(thinned.index))
        found.same(f"{metric}: short ones stay whole", bool((thinned[sizes <= POINTS] == sizes[sizes <= POINTS]).all()), True)
        found.same(f"{metric}: at most", bool((thinned <= POINTS).all()), True)
        for pick in ("min", "max", "first", "last"):
            mine, theirs = thin.groupby("run_id").value.agg(pick), whole.groupby("run_id").value.agg(pick)
            for run, value in theirs.items():
                found.same(f"{metric} {run}: {pick}", mine[run], float(value))
        rows = ["run_id", "step", "time", "value"]
        there = pd.merge(thin[rows].drop_duplicates(), whole[rows].drop_duplicates(), on=rows)
        found.same(f"{metric}: nothing that was not there", len(there), len(thin[rows].drop_duplicates()))
        for run, steps in thin.groupby("run_id").step:
            found.same(f"{metric} {run}: in order", bool(steps.is_monotonic_increasing), True)


def at_best(store: object, points: pd.DataFrame, found: Differences) -> None:
    for metric, goal in METRICS.items():
        own = points[(points.key == metric) & points.value.notna()].sort_values(["value", "step"], ascending=[goal == "min", True])
        best = own.drop_duplicates("run_id").set_index("run_id")[["step", "value"]]
        theirs = points.join(best.rename(columns={"step": "at", "value": "best"}), on="run_id", how="inner")
        # Where a step was logged twice, the later value counts.
        theirs = theirs[theirs.step == theirs["at"]].sort_values(["time", "value"]).drop_duplicates(SERIES, keep="last")
        theirs = theirs.set_index(SERIES)[["at", "best", "value"]].sort_index()
        ours = frame(store, f"SELECT * FROM at_best('curves', '{metric}')").set_index(SERIES)[["step", "best", "value"]].sort_index()
        found.same(f"{metric}: rows", list(ours.index), list(theirs.index))
        for key, mine, other in zip(ours.index, ours.itertuples(index=False), theirs.itertuples(index=False)):
            found.same(f"at_best {metric} {key}: step", int(mine.step), int(other.at))
            found.same(f"at_best {metric} {key}: best", mine.best, float(other.best))
            found.same(f"at_best {metric} {key}: value", mine.value, float(other.value))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runlake", required=True)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    args = parser.parse_args()
    source = args.data / "learning_curves/metrics.parquet"
    if not source.is_file():
        print(f"skipped: there is no {source}")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        wide(source, folder / "curves.parquet")
        store = make(args.runlake, folder / "store", [])
        metrics = [word for metric in METRICS for word in ("--metric", metric)]
        store.run("import", "table", folder / "curves.parquet", "--run-id", "run", "--step", "step", "--time", "time", "--experiment", "curves", *metrics)
        for metric, goal in METRICS.items():
            store.run("goal", metric, goal, "-e", "curves")
        points = frame(store, "SELECT run_id, key, step, time, value FROM metrics ORDER BY run_id, step, time, value")
        print(f"{points.run_id.nunique()} runs, {len(points)} points, {int((~np.isfinite(points.value)).sum())} of them not finite")
        for function in (histories, at_best):
            found = Differences(function.__name__)
            function(store, points, found)
            found.told()


if __name__ == "__main__":
    main()
