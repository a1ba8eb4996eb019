"""Writers of event files write a log folder, runlake imports it, and what TensorBoard reads from it is compared value by value.

With --data FOLDER the event files in FOLDER/tensorboard are compared as well, with what TensorBoard reads here and with what it read
once (the .jsonl.gz beside each).
"""

import argparse
import collections
import gzip
import json
import math
import pathlib
import shutil
import sys
import tempfile

import numpy as np
import tensorboard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.plugins.text import metadata as text_metadata
from tensorboard.util import tensor_util

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "engines"))
from program import Store, cell  # noqa: E402

START = 1_700_000_000.123456
EVERYTHING = {kind: 0 for kind in ["scalars", "tensors", "histograms", "images", "audio", "compressedHistograms"]}


class Writer:
    """An event file; the framing is TensorBoard's own."""

    def __init__(self, folder: pathlib.Path, seconds: int, version: bool = True):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"events.out.tfevents.{1_700_000_000 + seconds}.host.{seconds}.0"
        self.file, self.seconds = self.path.open("wb"), seconds
        if version:
            self.event(seconds, file_version="brain.Event:2")

    def event(self, seconds: float, **fields: object) -> None:
        content = event_pb2.Event(wall_time=START + seconds, **fields).SerializeToString()
        length = len(content).to_bytes(8, "little")
        for part in [length, masked_crc32c(length).to_bytes(4, "little"), content, masked_crc32c(content).to_bytes(4, "little")]:
            self.file.write(part)
        self.file.flush()

    def values(self, step: int, *values: summary_pb2.Summary.Value) -> None:
        self.event(self.seconds + step % 100, step=step, summary=summary_pb2.Summary(value=values))

    def simple(self, step: int, tag: str, value: float) -> None:
        self.values(step, summary_pb2.Summary.Value(tag=tag, simple_value=value))

    def tensor(self, step: int, tag: str, value: object, metadata: summary_pb2.SummaryMetadata) -> None:
        tensor = tensor_util.make_tensor_proto(value)
        self.values(step, summary_pb2.Summary.Value(tag=tag, tensor=tensor, metadata=metadata))


def fill(root: pathlib.Path) -> None:
    """Scalars of both generations, several files of a run, restarts, a torn tail, hparams, text, histograms."""
    special = [0.1, math.nan, math.inf, -math.inf, 1e-45, -0.0, 3.4e38]
    old = Writer(root / "old", 0, version=False)
    for step, value in enumerate(special):
        old.simple(step, "loss/α β", value)
    for step in [5, 3, 4, 8]:
        old.simple(step, "back", step / 7)
    new = Writer(root / "deep" / "er", 1)
    for step, value in enumerate(special):
        new.tensor(step, "loss", np.float32(value), scalar_metadata.create_summary_metadata("Loss", "what it costs"))
        new.tensor(step, "double", np.float64(0.1 + step), scalar_metadata.create_summary_metadata("", ""))
    for step in [-3, 2**40]:
        new.simple(step, "far", 1.5)
    first = Writer(root / "restarted", 2)
    for step in range(100):
        first.simple(step, "loss", step / 3)
    with first.path.open("ab") as torn:
        torn.write(b"\x20\0\0\0\0\0\0\0")
    second = Writer(root / "restarted", 300)
    second.event(300, step=50, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))
    for step in range(50, 80):
        second.simple(step, "loss", step / 2)
    told = Writer(root / "tuned", 4)
    values = {"lr": 0.01, "opt": "adam", "bn": True, "layers": 3}
    config = hparams.hparams_config_pb([hparams.HParam("lr", hparams.RealInterval(1e-4, 0.1))], [hparams.Metric("loss")])
    for summary in [config, hparams.hparams_pb(values, trial_id="t", start_time_secs=START)]:
        told.values(0, *summary.value)
    told.simple(0, "loss", 0.5)
    told.tensor(1, "words", ["zwei\nzeilen"], text_metadata.create_summary_metadata("", ""))
    histogram = summary_pb2.HistogramProto(min=-1, max=2, num=3, bucket_limit=[0, 1, 2], bucket=[1, 0, 2])
    told.values(2, summary_pb2.Summary.Value(tag="weights", histo=histogram))


class Comparison:
    """What TensorBoard says against what SQL says."""

    def __init__(self, name: str, store: Store):
        self.name, self.store, self.compared = name, store, collections.Counter()

    def rows(self, sql: str) -> dict[str, list[tuple]]:
        return self.store.grouped(sql, cell)

    def equal(self, what: str, place: str, theirs: list, ours: list) -> None:
        theirs, ours = sorted(theirs, key=repr), sorted(ours, key=repr)
        if theirs != ours:
            missing, more = collections.Counter(theirs) - collections.Counter(ours), collections.Counter(ours) - collections.Counter(theirs)
            sys.exit(f"{self.name}: {what} of {place} differ\n  only TensorBoard: {list(missing)[:5]}\n  only runlake: {list(more)[:5]}")
        self.compared[what] += len(theirs)

    def all(self, root: pathlib.Path) -> None:
        us = "CAST(round(EXTRACT(EPOCH FROM m.time) * 1000000) AS BIGINT)"
        points = self.rows(f"SELECT r.name, key, step, {us}, value FROM metrics m JOIN runs r USING (run_id)")
        shown = self.rows(f"SELECT r.name, key, step, {us}, value FROM metrics m JOIN runs r USING (run_id) WHERE context IS NULL")
        folders = {path.parent for path in root.rglob("*tfevents*")}
        names = {str(folder.relative_to(root)) if folder != root else root.name: folder for folder in folders}
        self.equal("runs", "-", list(names), list(self.rows("SELECT name, 1 FROM runs")))
        for name, folder in names.items():
            self.equal("scalars", name, self.scalars(folder, purge=False), points[name])
            self.equal("scalars that are shown", name, self.scalars(folder, purge=True), shown[name])
        print(f"{self.name}: " + ", ".join(f"{n} {what}" for what, n in self.compared.items()))

    @staticmethod
    def scalars(folder: pathlib.Path, purge: bool) -> list[tuple]:
        events = EventAccumulator(str(folder), EVERYTHING, purge_orphaned_data=purge)
        events.Reload()
        found = []
        for tag in events.Tags()["scalars"]:
            found += [(tag, e.step, round(e.wall_time * 1e6), cell(e.value)) for e in events.Scalars(tag)]
        for tag in events.Tags()["tensors"]:
            if events.summary_metadata[tag].plugin_data.plugin_name == "scalars":
                for e in events.Tensors(tag):
                    value = cell(float(tensor_util.make_ndarray(e.tensor_proto)))
                    found.append((tag, e.step, round(e.wall_time * 1e6), value))
        return found

    def hparams(self) -> None:
        """What `fill` said to the hparams plugin."""
        found = self.rows("SELECT r.name, key, value, type FROM params p JOIN runs r USING (run_id)")
        theirs = [("lr", "0.01", "float"), ("opt", "adam", "text"), ("bn", "true", "bool"), ("layers", "3.0", "float")]
        self.equal("params", "tuned", theirs, found["tuned"])
        series = self.rows("SELECT r.name, key, step, kind, payload FROM series s JOIN runs r USING (run_id)")["tuned"]
        histogram = json.dumps({"counts": [1.0, 0.0, 2.0], "edges": [-1.0, 0.0, 1.0, 2.0]}, separators=(",", ":"))
        self.equal("series", "tuned", [("words", 1, "text", "zwei\nzeilen"), ("weights", 2, "histogram", histogram)], series)


def imported(binary: str, folder: str, root: pathlib.Path) -> Store:
    store = Store(binary, pathlib.Path(folder) / "store")
    store.bring("tensorboard", root)
    return store


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runlake", required=True)
    parser.add_argument("--data", type=pathlib.Path)
    args = parser.parse_args()
    binary = str(pathlib.Path(args.runlake).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        root = folder / "logs"
        fill(root)
        compared = Comparison("log folder", imported(binary, name, root))
        compared.hparams()
        compared.all(root)
    if not args.data or not (args.data / "tensorboard").is_dir():
        print("event files of others: skipped, no folder of data")
    else:
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name) / "logs"
            read = {}
            for n, found in enumerate(sorted((args.data / "tensorboard").glob("*.v2"))):
                place = root / f"run{n}"
                place.mkdir(parents=True)
                shutil.copy(found, place / found.name.split("__")[-1])
                with gzip.open(f"{found}.tensorboard-2.21.0.jsonl.gz", "rt") as lines:
                    read[place.name] = [json.loads(line) for line in lines]
            compared = Comparison("files of others", imported(binary, name, root))
            ours = compared.rows("SELECT r.name, key, step, value FROM metrics m JOIN runs r USING (run_id)")
            for run, lines in read.items():
                theirs = [(line["tag"], line["step"], cell(line["value"])) for line in lines]
                compared.equal("values that were read once", run, theirs, ours[run])
            compared.all(root)
    print(f"TensorBoard {tensorboard.__version__}: all is the same")


if __name__ == "__main__":
    main()
