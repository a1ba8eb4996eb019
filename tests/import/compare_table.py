"""pandas writes tables in every format, runlake imports them, and what pandas and DuckDB read from them is compared value by value."""

import argparse
import collections
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import duckdb
import numpy as np
import pandas as pd
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "engines"))
from program import Store, cell  # noqa: E402

SUFFIX = {
    "csv": lambda t, p: t.to_csv(p, index=False),
    "tsv": lambda t, p: t.to_csv(p, index=False, sep="\t"),
    "jsonl": lambda t, p: t.to_json(p, orient="records", lines=True, double_precision=15, date_format="iso", date_unit="us"),
    "parquet": lambda t, p: t.to_parquet(p, index=False),
}


def sweep(rng: np.random.Generator) -> pd.DataFrame:
    """A row a run."""
    n = 200
    return pd.DataFrame({
        "trial": [f"trial-{i:04}" for i in range(n)],
        "hp_lr": np.exp(rng.uniform(-9, 0, n)),
        "hp_depth": rng.integers(1, 12, n),
        "hp_model": rng.choice(["gbm", "forest, random", 'quo"te', "zwei\nzeilen"], n),
        "val_auc": np.where(rng.random(n) < 0.1, np.nan, rng.random(n)),
        "val_loss": rng.normal(size=n) * 10.0 ** rng.integers(-300, 300, n),
        "note": rng.choice(["a", "b"], n),
    })  # fmt: skip


def courses(rng: np.random.Generator) -> pd.DataFrame:
    """Many rows a run, out of order."""
    rows = [
        {"run_id": f"r{run}", "step": step * 10, "time": pd.Timestamp("2024-03-01", tz="UTC") + pd.Timedelta(microseconds=step * 1_000_001 + run),
         "lr": 10.0 ** -run, "opt": "adam", "loss": rng.normal(), "acc": rng.random() if step % 3 else math.nan}
        for run in range(20) for step in range(50)
    ]  # fmt: skip
    return pd.DataFrame(rows).sample(frac=1, random_state=7).reset_index(drop=True)


class Comparison:
    """What pandas and DuckDB say against what SQL says."""

    def __init__(self, binary: str, folder: pathlib.Path, name: str):
        self.name, self.compared = name, collections.Counter()
        self.store = Store(binary, folder / f"store-{name.replace('/', '-')}")
        subprocess.run([binary, "init", str(self.store.folder)], check=True, stdout=subprocess.DEVNULL)

    def bring(self, *args: object) -> None:
        for command in [["import"], ["import", "--audit"], ["seal"], ["import", "--audit"]]:
            self.store.run(*command, *args) if command != ["seal"] else self.store.run("seal")

    def rows(self, sql: str) -> list[tuple]:
        table = self.store.sql(sql)
        return [tuple(cell(v) for v in row) for row in zip(*(table[name].to_pylist() for name in table.column_names))]

    def equal(self, what: str, theirs: list, ours: list) -> None:
        theirs, ours = sorted(theirs, key=repr), sorted(ours, key=repr)
        if theirs != ours:
            missing, more = collections.Counter(theirs) - collections.Counter(ours), collections.Counter(ours) - collections.Counter(theirs)
            sys.exit(f"{self.name}: {what} differ\n  only there: {list(missing)[:5]}\n  only runlake: {list(more)[:5]}")
        self.compared[what] += len(theirs)

    def told(self) -> None:
        print(f"{self.name}: " + ", ".join(f"{n} {what}" for what, n in self.compared.items()))


def numbers(frame: pd.DataFrame, index: list[str], columns: list[str]) -> list[tuple]:
    found = []
    for row in frame.to_dict("records"):
        # An empty cell is no point; pandas has NaN for it.
        found += [(*(row[i] for i in index), c, cell(float(row[c]))) for c in columns if row[c] is not None and row[c] == row[c]]
    return found


def read(path: pathlib.Path) -> pd.DataFrame:
    """By DuckDB, another reader than the one that wrote."""
    reader = {"parquet": "read_parquet('{0}')", "jsonl": "read_json('{0}')"}.get(path.suffix[1:], "read_csv('{0}')")
    return duckdb.sql(f"SELECT * FROM {reader.format(path)}").df()


def compare_sweep(binary: str, folder: pathlib.Path, ending: str) -> None:
    path = folder / f"sweep.{ending}"
    SUFFIX[ending](sweep(np.random.default_rng(1)), path)
    compared = Comparison(binary, folder, f"sweep.{ending}")
    mapping = folder / "mapping.json"
    options = ["--run-id", "trial", "--param", "hp_*", "--metric", "val_*", "--tag", "note", "--save-mapping", mapping]
    compared.bring("table", path, *options)
    # The saved mapping says the same.
    compared.store.run("import", "--audit", "table", path, "--mapping", mapping)
    frame = read(path)
    compared.equal("metric points", numbers(frame, ["trial"], ["val_auc", "val_loss"]), compared.rows("SELECT run_id, key, value FROM metrics"))
    compared.equal("numbers of params", numbers(frame, ["trial"], ["hp_lr", "hp_depth"]), compared.rows("SELECT run_id, key, num FROM params WHERE num IS NOT NULL"))
    texts = [(t, m, n) for t, m, n in zip(frame["trial"], frame["hp_model"], frame["note"])]
    ours = "SELECT p.run_id, p.value, t.value FROM params p JOIN tags t USING (run_id) WHERE p.key = 'hp_model' AND t.key = 'note'"
    compared.equal("texts", texts, compared.rows(ours))
    compared.told()


def compare_courses(binary: str, folder: pathlib.Path, ending: str) -> None:
    path = folder / f"courses.{ending}"
    SUFFIX[ending](courses(np.random.default_rng(2)), path)
    compared = Comparison(binary, folder, f"courses.{ending}")
    compared.bring(path, "--param", "lr")
    frame = read(path)
    compared.equal("metric points", numbers(frame, ["run_id", "step"], ["loss", "acc"]), compared.rows("SELECT run_id, step, key, value FROM metrics"))
    times = pd.to_datetime(frame["time"], utc=True).astype("datetime64[us, UTC]").astype("int64")
    theirs = list(zip(frame["run_id"], frame["step"], times))
    us = "CAST(round(EXTRACT(EPOCH FROM time) * 1000000) AS BIGINT)"
    compared.equal("times", theirs, compared.rows(f"SELECT run_id, step, {us} FROM metrics WHERE key = 'loss'"))
    theirs = [(run, cell(float(lr))) for run, lr in frame.groupby("run_id")["lr"].first().items()]
    compared.equal("params", theirs, compared.rows("SELECT run_id, num FROM params WHERE key = 'lr'"))
    compared.told()


def compare_tree(binary: str, folder: pathlib.Path) -> None:
    rng = np.random.default_rng(3)
    out, theirs, params = folder / "out", [], []
    for run in range(12):
        place = out / f"run-{run}"
        place.mkdir(parents=True)
        frame = pd.DataFrame({"epoch": range(30), "train/loss": rng.normal(size=30), "val/acc": rng.random(30).astype("float32")})
        frame.to_csv(place / "metrics.csv", index=False)
        config = {"optimizer": {"lr": float(rng.random()), "betas": [0.9, 0.999]}, "seed": run, "amp": bool(run % 2), "note": None}
        (place / "config.yaml").write_text(yaml.safe_dump(config))
        name = f"run-{run}".removeprefix("run-")
        theirs += [(name, *rest) for rest in numbers(pd.read_csv(place / "metrics.csv", float_precision="round_trip"), ["epoch"], ["train/loss", "val/acc"])]
        back = yaml.safe_load((place / "config.yaml").read_text())
        params += [(name, "optimizer.lr", cell(back["optimizer"]["lr"])), (name, "seed", cell(float(back["seed"])))]
        params += [(name, "optimizer.betas", json.dumps(back["optimizer"]["betas"])), (name, "amp", str(back["amp"]).lower()), (name, "note", None)]
    compared = Comparison(binary, folder, "out/run-*/metrics.csv")
    compared.bring("table", out / "run-*" / "metrics.csv", "--run-from-path", "--params-file", "config.yaml")
    compared.equal("metric points", theirs, compared.rows("SELECT r.name, step, key, value FROM metrics m JOIN runs r USING (run_id)"))
    ours = compared.rows("SELECT r.name, key, num, value FROM params p JOIN runs r USING (run_id)")
    compared.equal("params", params, [(n, k, v if num is None else num) for n, k, num, v in ours])
    compared.equal("experiments", [("out",)], compared.rows("SELECT experiment FROM experiments"))
    compared.told()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runlake", required=True)
    parser.add_argument("--data", type=pathlib.Path)
    args = parser.parse_args()
    binary = str(pathlib.Path(args.runlake).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for ending in SUFFIX:
            compare_sweep(binary, folder, ending)
            compare_courses(binary, folder, ending)
        compare_tree(binary, folder)
    print(f"pandas {pd.__version__}, DuckDB {duckdb.__version__}: all is the same")


if __name__ == "__main__":
    main()
