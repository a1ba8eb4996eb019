"""Other engines read the store: deltalake and DuckDB see the same values as runlake, table by table.

DuckDB reads the files that the Delta log names, since its own Delta extension would have to be downloaded.
"""

import argparse
import collections
import os
import pathlib
import re
import sys
import tempfile
import urllib.parse

import duckdb
from deltalake import DeltaTable

from program import Store, rows

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Columns that runlake adds when it reads, and those that it uses itself.
ADDED = {"runs": {"experiment"}, "experiments": None}
# `artifacts/` holds the logged files themselves.
FOLDERS = {"artifacts": "artifact_list"}
HIDDEN = {"month", "deleted"}
STRUCTS = {"params", "params_num", "params_text", "metrics", "metrics_min", "metrics_max", "best", "tags", "data"}


def differ(what: str, ours: list[tuple], theirs: list[tuple]) -> None:
    if (a := collections.Counter(ours)) != (b := collections.Counter(theirs)):
        sys.exit(
            f"{what}: {len(ours)} rows here, {len(theirs)} there\n"
            f"only here: {list((a - b).items())[:3]}\nonly there: {list((b - a).items())[:3]}"
        )


def files(table: DeltaTable) -> list[str]:
    return [urllib.parse.unquote(uri.removeprefix("file://")) for uri in table.file_uris()]


def compare(store: Store, name: str, deleted: set[str]) -> int:
    folder = FOLDERS.get(name, name.replace(".", "/"))
    delta = DeltaTable(str(store.folder / folder))
    ours = store.sql(f"SELECT * FROM {name}")
    theirs = delta.to_pyarrow_table()
    declared = [c for c in theirs.schema.names if c not in HIDDEN]
    columns = [c for c in ours.schema.names if c in declared]
    missing = set(declared) - set(columns)
    if missing:
        sys.exit(f"{name}: runlake does not show {sorted(missing)}")
    extra = set(ours.schema.names) - set(columns) - STRUCTS
    allowed = ADDED.get(name, set())
    if allowed is not None and extra != allowed:
        sys.exit(f"{name}: another engine does not see {sorted(extra - allowed)}")
    mine = rows(ours, columns)

    def seen(table):
        found = rows(table, columns)
        if "run_id" not in columns:
            return found
        at = columns.index("run_id")
        return [row for row in found if row[at] not in deleted]

    differ(f"{name}, deltalake", mine, seen(theirs))
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    quoted = ", ".join('"' + column + '"' for column in columns)
    read = f"SELECT {quoted} FROM read_parquet(?, union_by_name = true)"
    table = connection.sql(read, params=[files(delta)]).to_arrow_table()
    differ(f"{name}, duckdb", mine, seen(table))
    return len(mine)


def documented(store: Store) -> None:
    """Runs the query of docs/sql.md that reaches the wide columns from DuckDB, and asks runlake the same."""
    text = (ROOT / "docs/sql.md").read_text()
    block = re.search(r"<!-- run by tests/engines -->\n```python\n(.*?)```", text, re.DOTALL)
    if block is None:
        sys.exit("docs/sql.md has no DuckDB example any more")
    os.chdir(store.folder.parent)
    scope: dict = {}
    exec(block.group(1), scope)
    theirs = scope["best"].fetchall()
    ours = store.sql(
        "SELECT name, params_num.C, params_text.model, metrics.auc FROM runs ORDER BY metrics.auc DESC, name LIMIT 10"
    )
    mine = rows(ours, ours.schema.names)
    if mine != [tuple(repr(v) if isinstance(v, float) else v for v in row) for row in theirs]:
        sys.exit(f"the wide columns differ:\n{mine}\n{theirs}")


def wide(store: Store) -> None:
    """Every leaf of every stored struct, against what runlake says of it."""
    paths = files(DeltaTable(str(store.folder / "runs")))
    for key in ["C", "max_features", "k_features"]:
        for struct in ["params_num", "params_text"]:
            check_leaf(store, paths, struct, key)
    for key in ["auc", "val_loss", "cv_rmse"]:
        for struct in ["metrics", "metrics_min", "metrics_max"]:
            check_leaf(store, paths, struct, key)
    check_leaf(store, paths, "tags", "sweep")
    check_leaf(store, paths, "data", "training")


def check_leaf(store: Store, paths: list[str], struct: str, key: str) -> None:
    ours = store.sql(f"SELECT run_id, {struct}['{key}'] AS v FROM runs")
    # Through JSON, since a struct of one file need not have the leaf.
    theirs = []
    for path in paths:
        fields = {row[0] for row in duckdb.sql(
            f"SELECT unnest(struct_keys({struct})) FROM (SELECT {struct} FROM read_parquet('{path}') LIMIT 1)"
        ).fetchall()}
        leaf = f'{struct}."{key}"' if key in fields else "NULL"
        if struct in ("metrics_min", "metrics_max") and key in fields:
            leaf = f'coalesce({leaf}, metrics."{key}")'
        theirs += duckdb.sql(f"SELECT run_id, {leaf} FROM read_parquet('{path}') WHERE NOT deleted").fetchall()
    mine = rows(ours, ["run_id", "v"])
    differ(f"{struct}.{key}", mine, [(r, repr(v) if isinstance(v, float) else v) for r, v in theirs])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runlake", required=True, help="the binary")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(args.runlake, pathlib.Path(folder) / "runlake-demo")
        store.run("init", store.folder)
        store.run("log", ROOT / "sample_data/runs.jsonl.gz")
        store.run("seal")
        # A second round, so that tables hold several files, and a run that other engines have to leave out.
        extra = pathlib.Path(folder) / "extra.jsonl"
        gone = store.sql("SELECT min(run_id) AS r FROM runs WHERE experiment = 'wine'")["r"][0].as_py()
        extra.write_text(
            '{"type":"run","run":"late-1","experiment":"wine","name":"late"}\n'
            '{"type":"params","run":"late-1","values":{"C":{"$float":"NaN"},"odd key":"x"}}\n'
            '{"type":"metrics","run":"late-1","step":1,"values":{"auc":"Infinity","loss":"NaN"}}\n'
            '{"type":"finish","run":"late-1"}\n'
            f'{{"type":"delete","run":"{gone}"}}\n'
        )
        store.run("log", extra)
        store.run("seal")
        log = DeltaTable(str(store.folder / "runs")).to_pyarrow_table(columns=["run_id", "deleted"])
        deleted = {r for r, d in zip(log["run_id"].to_pylist(), log["deleted"].to_pylist()) if d}
        if deleted != {gone}:
            sys.exit(f"other engines see {deleted} as deleted, not {gone}")
        names = store.sql("SHOW TABLES")["table_name"].to_pylist()
        total = 0
        for name in names:
            count = compare(store, name, deleted)
            total += count
            print(f"  {name}: {count} rows are the same to deltalake and DuckDB")
            if count == 0:
                sys.exit(f"{name} is empty, which proves nothing")
        wide(store)
        documented(store)
        print(f"  {len(names)} tables, {total} rows, the wide columns, and the query of docs/sql.md")


if __name__ == "__main__":
    main()
