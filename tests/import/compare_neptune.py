"""Exports of Neptune as pyarrow reads them against what runlake says after an import, value by value.

Neptune is gone, and its exporter with it: exports are written here with pyarrow in the schema of the exporter, as its
versions for Neptune 2 and 3 did. With --data FOLDER the export in FOLDER/neptune is compared as well.
"""

import argparse
import collections
import datetime
import decimal
import json
import math
import pathlib
import random
import re
import sys
import tempfile

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "engines"))
from program import Store, cell  # noqa: E402

UTC = datetime.timezone.utc
START = datetime.datetime(2025, 11, 1, 10, tzinfo=UTC)
# As neptune_exporter.model.SCHEMA has it.
SCHEMA = pa.schema([
    ("project_id", pa.string()), ("run_id", pa.string()), ("attribute_path", pa.string()), ("attribute_type", pa.string()),
    ("step", pa.decimal128(18, 6)), ("timestamp", pa.timestamp("ms", "UTC")), ("int_value", pa.int64()), ("float_value", pa.float64()),
    ("string_value", pa.string()), ("bool_value", pa.bool_()), ("datetime_value", pa.timestamp("ms", "UTC")),
    ("string_set_value", pa.list_(pa.string())), ("file_value", pa.struct([("path", pa.string())])),
    ("histogram_value", pa.struct([("type", pa.string()), ("edges", pa.list_(pa.float64())), ("values", pa.list_(pa.float64()))])),
])  # fmt: skip
VALUES = {"int": "int_value", "float": "float_value", "string": "string_value", "bool": "bool_value", "datetime": "datetime_value", "string_set": "string_set_value"}


def fill(export: pathlib.Path, generation: int) -> None:
    """Runs with every type of attribute; Neptune 2 had numbered runs and file sets, Neptune 3 forks and histograms."""
    dice = random.Random(generation)
    for p in range(2):
        project = f"ws/project {p}"
        folder = f"ws_project_{p}-{p:016x}"
        for n in range(6):
            run = f"PR{p}-{n + 1}" if generation == 2 else f"run {p}/{n}" if n == 3 else f"run-{p}-{n}"
            rows = []

            def add(path: str, kind: str, value: object = None, step: object = None, time: object = None, **more: object) -> None:
                column = {VALUES[kind]: value} if kind in VALUES else more
                rows.append({"project_id": project, "run_id": run, "attribute_path": path, "attribute_type": kind, "step": step, "timestamp": time, **column})

            add("sys/id", "string", f"PR{p}-{n + 1}")
            add("sys/name", "string", f"name {n}")
            add("sys/owner", "string", "ana")
            add("sys/creation_time", "datetime", START)
            add("sys/tags", "string_set", ["b", "a", "żółć"][: n % 4])
            add("sys/failed", "bool", n == 1)
            add("sys/running_time", "float", 1.5)
            add("sys/trashed" if generation == 2 else "sys/archived", "bool", n == 2)
            if generation == 3:
                add("sys/custom_run_id", "string", run)
                add("sys/forking/parent", "string", f"run-{p}-0" if n in (3, 4) else None)
                add("sys/forking/step", "float", {3: 2.0, 4: 2.5}.get(n))
            values = [0.1 + n, -0.0, 5e-324, 1e300]
            for i, value in enumerate(values):
                add(f"params/float{i}", "float", value)
            for name, value in {"text": "zwei\nlines", "empty": "", "none": "None", "spelt": "1e-05", "true": "True", "zip": "007"}.items():
                add(f"params/{name}", "string", value)
            add("params/int", "int", 2**62 + n)
            add("params/bool", "bool", n % 2 == 0)
            add("params/time", "datetime", START + datetime.timedelta(milliseconds=n))
            add("params/set", "string_set", ["x", "y"])
            add("params/ghost", "int", None)
            add("params/ghost text", "string", None)
            for i in range(40):
                step = decimal.Decimal(i) if generation == 2 else decimal.Decimal(i) / 8 + decimal.Decimal("0.000001") * (i % 3)
                time = START + datetime.timedelta(milliseconds=i)
                value = math.inf if i == 7 else None if i == 9 else dice.uniform(-1, 1)
                add("metrics/loss (train)", "float_series", step=step, time=time, float_value=value)
                add("metrics/acc", "float_series", step=step, time=None if i % 5 == 0 else time, float_value=None if i % 5 == 0 else i / 7)
            add("metrics/late", "float_series", step=decimal.Decimal("999999999.999999"), time=START, float_value=1.0)
            add("metrics/early", "float_series", step=decimal.Decimal("-3"), time=START, float_value=1.0)
            for i in range(3):
                add("monitoring/stdout", "string_series", step=decimal.Decimal(i), time=START, string_value=f"line {i} \\ \"quoted\"")
                if generation == 3:
                    histogram = {"type": "DENSITY" if i else "COUNTING", "edges": [0.0, 0.5, 1.0], "values": [0.25, 1e-7]}
                    add("hist", "histogram_series", step=decimal.Decimal(i), time=START, histogram_value=histogram)
            files = {"files/note": "files/note.txt", "model.pt": "model.pt"}
            for attribute, path in files.items():
                add(attribute, "file", file_value={"path": f"{run}/{path}"})
            for i in range(2):
                add("images", "file_series", step=decimal.Decimal(i), time=START, file_value={"path": f"{run}/images/step_{i}.png"})
                files[f"images{i}"] = f"images/step_{i}.png"
            add("files/ghost", "file", file_value=None)
            if generation == 2:
                add("source_code/files", "file_set", file_value={"path": f"{run}/source"})
                files["a"], files["b"] = "source/train.py", "source/lib/x.py"
            for path in files.values():
                target = export / "files" / folder / run / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(f"{run} {path}".encode())
            target = export / "data" / folder
            target.mkdir(parents=True, exist_ok=True)
            safe = re.sub(r"[^\w-]", "_", run) + f"-{n:016x}"
            # A run of several parts; one whose export was not finished has no part 0.
            parts = [(0, rows[:50]), (1, rows[50:])] if n < 5 else [(1, rows)]
            for number, part in parts:
                with pq.ParquetWriter(target / f"{safe}_part_{number}.parquet", SCHEMA, compression="snappy") as writer:
                    for chunk in range(0, len(part), 17):
                        writer.write_batch(pa.RecordBatch.from_pylist(part[chunk : chunk + 17], schema=SCHEMA))


def micros(value: datetime.datetime | None) -> int | None:
    return None if value is None else (value.astimezone(UTC) - datetime.datetime(1970, 1, 1, tzinfo=UTC)) // datetime.timedelta(microseconds=1)


class Comparison:
    """What pyarrow reads against what SQL says."""

    def __init__(self, name: str, export: pathlib.Path, store: Store):
        self.name, self.export, self.store, self.compared = name, export, store, collections.Counter()

    def rows(self, sql: str) -> dict[str, list[tuple]]:
        return self.store.grouped(sql, lambda value: value)

    def equal(self, what: str, place: object, theirs: object, ours: object) -> None:
        if isinstance(theirs, list):
            theirs, ours = (sorted(map(repr, side)) for side in (theirs, ours))
        self.compared[what] += len(theirs) if isinstance(theirs, list) else 1
        if theirs != ours:
            if isinstance(theirs, list):
                theirs, ours = ([row for row in side if row not in other] for side, other in [(theirs, ours), (ours, theirs)])
            sys.exit(f"{self.name}: {what} of {place} differ\n  pyarrow: {theirs}\n  runlake: {ours}")

    def all(self) -> None:
        at = "CAST(arrow_cast({}, 'Timestamp(Microsecond, None)') AS BIGINT)"
        ids = self.rows("SELECT value, run_id FROM environment WHERE key = 'neptune.run_id'")
        runs = self.rows(f"SELECT run_id, experiment, name, status, user, {at.format('start_time')} FROM runs")
        params = self.rows("SELECT run_id, key, value, type FROM params")
        points = self.rows(f"SELECT run_id, key, step, x, {at.format('time')}, value FROM metrics")
        series = self.rows(f"SELECT run_id, key, step, x, {at.format('time')}, kind, payload FROM series")
        tags = self.rows("SELECT run_id, key, value FROM tags")
        facts = self.rows("SELECT run_id, key, value FROM environment WHERE key NOT LIKE 'neptune.%'")
        links = self.rows("SELECT run_id, target_run_id, kind, step FROM links")
        self.files = {run: dict(found) for run, found in self.rows("SELECT run_id, path, uri FROM artifacts").items()}
        seen = []
        for folder in sorted((self.export / "data").iterdir()):
            for whole in sorted(folder.glob("*_part_0.parquet")):
                parts = sorted(folder.glob(whole.name.replace("_part_0.", "_part_*.")))
                rows = [row for part in parts for row in pq.read_table(part, schema=SCHEMA).to_pylist()]
                self.counts(parts, rows)
                run, project = rows[0]["run_id"], rows[0]["project_id"]
                values = {}
                for row in rows:
                    if (column := VALUES.get(row["attribute_type"])) and row[column] is not None:
                        values[row["attribute_path"]] = (row["attribute_type"], row[column])
                sys_values = {path: value for path, (_, value) in values.items() if path.startswith("sys/")}
                if sys_values.get("sys/archived") or sys_values.get("sys/trashed"):
                    # In the trash there, deleted here.
                    self.equal("deleted runs", run, False, run in ids)
                    continue
                [(id,)] = ids[run]
                seen.append(id)
                fits = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", run)
                self.equal("ids", run, (run if fits else id), id)
                status = "FAILED" if sys_values.get("sys/failed") else "FINISHED"
                theirs = (project, sys_values.get("sys/name"), status, sys_values.get("sys/owner"), micros(sys_values["sys/creation_time"]))
                self.equal("fields", run, theirs, runs[id][0])
                theirs = [(path, *self.param(kind, value)) for path, (kind, value) in values.items() if not path.startswith("sys/")]
                self.equal("params", run, theirs, [(key, *self.read(value, kind)) for key, value, kind in params[id]])
                theirs = [(path, self.fact(*values[path])) for path in sys_values]
                self.equal("facts", run, theirs, facts[id])
                self.equal("tags", run, [(tag, None) for tag in sys_values.get("sys/tags", [])], tags[id])
                theirs, others = self.series_of(rows, folder, id)
                self.equal("metric points", run, theirs, [(k, s, cell(x), t, cell(v)) for k, s, x, t, v in points[id]])
                ours = [(k, s, cell(x), t, kind, json.loads(p) if kind == "histogram" else p) for k, s, x, t, kind, p in series[id]]
                self.equal("series points", run, others, ours)
                self.equal("other files", run, {}, self.files.get(id, {}))
                parent, step = sys_values.get("sys/forking/parent"), sys_values.get("sys/forking/step")
                forks = [(ids[parent][0][0], "fork", int(step) if step == int(step) else None)] if parent else []
                self.equal("forks", run, forks, links[id])
        self.equal("runs", "-", seen, list(runs))
        print(f"{self.name}: " + ", ".join(f"{n} {what}" for what, n in self.compared.items()))

    def counts(self, parts: list[pathlib.Path], rows: list[dict]) -> None:
        """DuckDB sees the same rows: pyarrow is not the only witness."""
        [(n, total)] = duckdb.sql(f"SELECT count(*), count(float_value) FROM read_parquet({[str(part) for part in parts]})").fetchall()
        self.equal("files", parts[0].name, (n, total), (len(rows), sum(row["float_value"] is not None for row in rows)))

    @staticmethod
    def param(kind: str, value: object) -> tuple:
        return (kind, micros(value) if kind == "datetime" else cell(value))

    @staticmethod
    def read(text: str, kind: str) -> tuple:
        """The value in a param; text that spells a number is text in Neptune."""
        if kind == "list":
            return ("string_set", cell(json.loads(text)))
        if kind == "datetime":
            return (kind, micros(datetime.datetime.fromisoformat(text)))
        spelt = {"1e-05", "True"}
        if kind == "text" or text in spelt:
            return ("string", text)
        return (kind, {"int": int, "float": lambda t: cell(float(t)), "bool": lambda t: t == "true"}[kind](text))

    @staticmethod
    def fact(kind: str, value: object) -> str:
        if kind == "datetime":
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        if kind == "string_set":
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return str(value).lower() if kind == "bool" else str(value)

    def series_of(self, rows: list[dict], folder: pathlib.Path, id: str) -> tuple[list, list]:
        points, others = [], []
        for row in rows:
            path, kind, step, time = (row[name] for name in ["attribute_path", "attribute_type", "step", "timestamp"])
            where = (None, cell(float(step))) if step is not None and step != int(step) else (None if step is None else int(step), None)
            if kind == "float_series" and (time is not None or row["float_value"] is not None):
                value = math.nan if row["float_value"] is None else row["float_value"]
                points.append((path, *where, micros(time), cell(value)))
            elif kind == "string_series" and row["string_value"] is not None:
                others.append((path, *where, micros(time), "text", row["string_value"]))
            elif kind == "histogram_series" and row["histogram_value"] is not None:
                histogram = {"counts": row["histogram_value"]["values"], "edges": row["histogram_value"]["edges"]}
                histogram |= {"type": row["histogram_value"]["type"]} if row["histogram_value"]["type"] != "COUNTING" else {}
                others.append((path, *where, micros(time), "histogram", histogram))
            elif kind.startswith("file") and row["file_value"] is not None:
                source = self.export / "files" / folder.name / row["file_value"]["path"]
                if kind == "file_set":
                    for file in (f for f in source.rglob("*") if f.is_file()):
                        self.file(id, f"{path}/{file.relative_to(source)}", file)
                    continue
                name = path if kind == "file" else f"{path}/{int(step)}"
                name += "" if name.endswith(source.suffix) else source.suffix
                self.file(id, name, source)
                if kind == "file_series":
                    others.append((path, *where, micros(time), "file", name))
        return points, others

    def file(self, id: str, name: str, source: pathlib.Path) -> None:
        content = (self.store.folder / self.files[id].pop(name)).read_bytes()
        self.equal("artifacts", f"{id} {name}", source.read_bytes(), content)


def compare(binary: str, name: str, export: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(binary, pathlib.Path(folder) / "store")
        store.bring("neptune", export)
        Comparison(name, export, store).all()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runlake", required=True)
    parser.add_argument("--data", type=pathlib.Path)
    args = parser.parse_args()
    binary = str(pathlib.Path(args.runlake).resolve())
    with tempfile.TemporaryDirectory() as name:
        for generation in (2, 3):
            export = pathlib.Path(name) / f"exports{generation}"
            fill(export, generation)
            compare(binary, f"export of Neptune {generation}", export)
    if args.data and (args.data / "neptune" / "data").is_dir():
        compare(binary, "export of others", args.data / "neptune")
    else:
        print("export of others: skipped, no folder of data")
    print("Neptune: all is the same")


if __name__ == "__main__":
    main()
