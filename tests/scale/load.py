"""Loads large real data through the real write path and compares the answers with those of DuckDB over the source.

- feature_selection/trials.parquet: 123,816 trials, each a run;
- learning_curves/*.parquet: 4,582 runs with 7.4 million points, repeated steps and infinities among them.
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time

import duckdb
import pyarrow.parquet as pq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "engines"))
from program import Store, rows  # noqa: E402


def timed(what: str, work) -> None:
    begun = time.monotonic()
    work()
    print(f"  {what}: {time.monotonic() - begun:.1f} s", flush=True)


def same(store: Store, what: str, ours: str, theirs: str, connection: duckdb.DuckDBPyConnection) -> None:
    answer = store.sql(ours)
    mine = rows(answer, answer.schema.names)
    other = [tuple(repr(v) if isinstance(v, float) else v for v in row) for row in connection.execute(theirs).fetchall()]
    if not mine or mine != other:
        wrong = next((pair for pair in zip(mine, other) if pair[0] != pair[1]), None)
        sys.exit(f"{what}: {len(mine)} rows here, {len(other)} from DuckDB; first difference: {wrong}")
    print(f"  {what}: {len(mine)} rows are the same", flush=True)


def trials(binary: str, data: pathlib.Path, folder: pathlib.Path) -> None:
    source = data / "feature_selection/trials.parquet"
    lines = folder / "trials.jsonl"
    params = ["C_LR", "C_SVM", "N", "RF_n_estimators", "clf_method", "fs_method"]

    def write() -> None:
        with lines.open("w") as out:
            for n, trial in enumerate(pq.read_table(source).to_pylist()):
                run = f"trial-{n:06}"
                values = {key: v for key in params if (v := trial[f"params_{key}"]) is not None}
                values["corr_threshold"] = float(trial["corr_threshold"])
                for line in (
                    {"type": "run", "experiment": trial["dataset"], "start_time": trial["datetime_start"]},
                    {"type": "params", "values": values},
                    {"type": "metrics", "time": trial["datetime_complete"], "values": {"auc": trial["value"]}},
                    {"type": "finish", "end_time": trial["datetime_complete"]},
                ):
                    out.write(json.dumps({"run": run, **line}) + "\n")

    store = Store(binary, folder / "trials")
    timed("trials: writing JSON lines", write)
    store.run("init", store.folder)
    timed("trials: log", lambda: store.run("log", lines))
    timed("trials: seal", lambda: store.run("seal"))
    duck = duckdb.connect()
    duck.execute(f"CREATE VIEW t AS SELECT * FROM read_parquet('{source}')")
    same(store, "trials: counts", "SELECT count(*), count(DISTINCT experiment), count(DISTINCT config_id) FROM runs",
         """SELECT count(*), count(DISTINCT dataset), count(DISTINCT (params_C_LR, params_C_SVM, params_N,
            params_RF_n_estimators, params_clf_method, params_fs_method, corr_threshold)) FROM t""", duck)
    same(store, "trials: extremes",
         """SELECT params.clf_method, params.fs_method, count(*), min(metrics.auc), max(metrics.auc), count(params.C_LR),
            max(params.C_LR), min(params.C_SVM), max(params.N), max(duration_s) FROM runs GROUP BY 1, 2 ORDER BY 1, 2""",
         """SELECT params_clf_method, params_fs_method, count(*), min(value), max(value), count(params_C_LR),
            max(params_C_LR), min(params_C_SVM), max(params_N),
            max(epoch_us(datetime_complete::TIMESTAMP) - epoch_us(datetime_start::TIMESTAMP)) / 1e6
            FROM t GROUP BY 1, 2 ORDER BY 1, 2""", duck)
    same(store, "trials: top 10",
         """SELECT experiment, params.clf_method, params.fs_method, params.N, params.corr_threshold, metrics.auc FROM runs
            WHERE params.N <= 16 ORDER BY metrics.auc DESC, experiment, 2, 3, 4, 5, run_id LIMIT 10""",
         """SELECT dataset, params_clf_method, params_fs_method, params_N, corr_threshold::DOUBLE, value FROM t
            WHERE params_N <= 16 ORDER BY value DESC, 1, 2, 3, 4, 5, number LIMIT 10""", duck)
    same(store, "trials: best subset per data set",
         """SELECT experiment, max(metrics.auc), count(*) FILTER (WHERE metrics.auc > 0.8) FROM runs GROUP BY 1 ORDER BY 1""",
         "SELECT dataset, max(value), count(*) FILTER (WHERE value > 0.8) FROM t GROUP BY 1 ORDER BY 1", duck)


def curves(binary: str, data: pathlib.Path, folder: pathlib.Path) -> None:
    source = data / "learning_curves"
    duck = duckdb.connect()
    duck.execute(f"CREATE VIEW m AS SELECT replace(run_id, '/', '.') AS run, * FROM read_parquet('{source}/metrics.parquet')")
    duck.execute(f"CREATE VIEW r AS SELECT replace(run_id, '/', '.') AS run, * FROM read_parquet('{source}/runs.parquet')")
    duck.execute(f"CREATE VIEW p AS SELECT replace(run_id, '/', '.') AS run, * FROM read_parquet('{source}/params.parquet')")
    distinct, longest = duck.execute("SELECT count(DISTINCT run), max(length(run)) FROM r").fetchone()
    assert distinct == duck.execute("SELECT count(*) FROM r").fetchone()[0] and longest <= 128, longest
    lines = folder / "curves.jsonl"

    def write() -> None:
        with lines.open("w") as out:
            found = duck.execute("SELECT run, ruleset, workload, git_branch FROM r ORDER BY run")
            for run, ruleset, workload, branch in found.fetchall():
                begin = {"type": "run", "run": run, "experiment": workload or "none", "git_branch": branch,
                         "start_time": "2024-01-01T00:00:00Z"}
                out.write(json.dumps({k: v for k, v in begin.items() if v is not None}) + "\n")
                out.write(json.dumps({"type": "tags", "run": run, "values": {"ruleset": ruleset}}) + "\n")
            for run, param, value in duck.execute("SELECT run, param, value FROM p ORDER BY run, param").fetchall():
                out.write(json.dumps({"type": "params", "run": run, "values": {param: value}}) + "\n")
            # What was logged at once is one line, in the order of logging; its time keeps that order.
            points = duck.execute("""
                SELECT '{"type":"metrics","run":"' || run || '","step":' || step || ',"time":' || (1704067200 + seq)
                       || ',"values":{' || string_agg('"' || metric || '":' || CASE
                            WHEN isnan(value) THEN '"NaN"' WHEN isinf(value) AND value > 0 THEN '"Infinity"'
                            WHEN isinf(value) THEN '"-Infinity"' ELSE value::VARCHAR END, ',') || '}}'
                FROM m GROUP BY run, seq, step ORDER BY run, seq""")
            while batch := points.fetchmany(100_000):
                out.write("\n".join(line for (line,) in batch) + "\n")
            for (run,) in duck.execute("SELECT run FROM r ORDER BY run").fetchall():
                out.write(json.dumps({"type": "finish", "run": run, "end_time": "2024-02-01T00:00:00Z"}) + "\n")

    store = Store(binary, folder / "curves")
    timed("curves: writing JSON lines", write)
    store.run("init", store.folder)
    timed("curves: log", lambda: store.run("log", lines))
    lines.unlink()
    timed("curves: seal", lambda: store.run("seal"))
    same(store, "curves: counts",
         """SELECT (SELECT count(*) FROM runs) AS a, (SELECT count(*) FROM params) AS b,
            (SELECT count(*) FROM metrics) AS c, (SELECT count(*) FROM metric_stats) AS d""",
         """SELECT (SELECT count(*) FROM r), (SELECT count(*) FROM p), (SELECT count(*) FROM m),
            (SELECT count(DISTINCT (run, metric)) FROM m)""", duck)
    same(store, "curves: extremes of each metric",
         """SELECT key, count(*), count(DISTINCT run_id), min(value), max(value), max(step),
            count(*) FILTER (WHERE abs(value) = 'Infinity') FROM metrics GROUP BY key ORDER BY key""",
         """SELECT metric, count(*), count(DISTINCT run), min(value), max(value), max(step),
            count(*) FILTER (WHERE isinf(value)) FROM m GROUP BY metric ORDER BY metric""", duck)
    same(store, "curves: repeated steps",
         """SELECT count(*) FROM (SELECT run_id, key, step FROM metrics GROUP BY 1, 2, 3 HAVING count(*) > 1)""",
         """SELECT count(*) FROM (SELECT run, metric, step FROM m GROUP BY 1, 2, 3 HAVING count(*) > 1)""", duck)
    same(store, "curves: top 10 by the last validation loss",
         """SELECT run_id, experiment, metrics['validation/loss'] FROM runs WHERE metrics['validation/loss'] IS NOT NULL
            ORDER BY metrics['validation/loss'], run_id LIMIT 10""",
         """SELECT run, coalesce(workload, 'none'), arg_max(value, (step, seq)) AS last FROM m JOIN r USING (run)
            WHERE metric = 'validation/loss' GROUP BY 1, 2 ORDER BY last, run LIMIT 10""", duck)
    same(store, "curves: first, last and extremes of every series",
         """SELECT run_id, key, first, last, min, max, count FROM metric_stats ORDER BY run_id, key""",
         """SELECT run, metric, arg_min(value, (step, seq)), arg_max(value, (step, seq)), min(value), max(value), count(*)
            FROM m GROUP BY 1, 2 ORDER BY 1, 2""", duck)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--runlake", required=True, help="the binary")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trials(args.runlake, args.data, pathlib.Path(folder))
        curves(args.runlake, args.data, pathlib.Path(folder))


if __name__ == "__main__":
    main()
