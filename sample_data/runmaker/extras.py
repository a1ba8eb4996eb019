"""Tables, artifacts and series of a run."""

from __future__ import annotations

import base64
import json
import pickle
import struct
import zlib
from collections import Counter, defaultdict
from typing import Any

import numpy as np
from sklearn import metrics
from sklearn.tree import export_text

from .data import Array, Data
from .models import class_scores
from .record import Recorder, RunSpec
from .text import Json, number, numbers, stamp


def log_predictions(recorder: Recorder, spec: RunSpec, data: Data, model: Any, folds: list[tuple[int, Array, Any]]) -> None:
    """Logs a frame with a row per validated and per test row: `predictions`, or `residuals` for a regression."""
    if "predictions" not in spec.extras:
        return
    columns = data.columns(spec.subset.features)
    parts: list[tuple[str, int | None, Array, Array, Array, Any]] = [
        ("validation", fold, data.train_rows[rows], data.train_x[rows][:, columns], data.train_y[rows], fitted)
        for fold, rows, fitted in folds
    ]
    parts.append(("test", None, data.test_rows, data.test_x[:, columns], data.test_y, model))
    table: dict[str, list[Json]] = defaultdict(list)
    for split, fold, rows, x, y, fitted in parts:
        predicted = fitted.predict(x)
        table["split"] += [split] * len(rows)
        table["row_id"] += rows.tolist()
        table["fold"] += [fold] * len(rows)
        table["target"] += y.tolist()
        table["prediction"] += numbers(predicted) if data.task == "regression" else predicted.tolist()
        if data.task == "regression":
            table["residual"] += numbers(y - predicted)
        else:
            table["score"] += numbers(reported_score(class_scores(fitted, x, len(data.classes))[0]))
    recorder.log("table", name="residuals" if data.task == "regression" else "predictions", columns=dict(table))


def reported_score(scores: Array) -> Array:
    """The score of class 1 if there are two classes, else that of the predicted class."""
    return scores[:, 1] if scores.shape[1] == 2 else scores.max(axis=1)


def log_extras(recorder: Recorder, spec: RunSpec, data: Data, model: Any, x: Array, y: Array) -> None:
    """Logs the artifacts and series that the spec asks for."""
    if "card" in spec.extras:
        log_card(recorder, spec, data)
    if "pickle" in spec.extras:
        content = base64.b64encode(pickle.dumps(model)).decode()
        recorder.log("artifact", path="model/model.pkl", base64=content)
    if "reports" in spec.extras:
        columns = data.columns(spec.subset.features)
        train_report = metrics.classification_report(data.train_y, model.predict(data.train_x[:, columns]))
        test_report = metrics.classification_report(y, model.predict(x))
        recorder.log("artifact", path="train/report.txt", text=train_report)
        recorder.log("artifact", path="test/report.txt", text=test_report)
        recorder.log("artifact", path="logs/stderr.txt", text="")
        recorder.log("text", key="test_report", text=test_report, time=stamp(recorder.now()))
    if "rules" in spec.extras:
        rules = export_text(model[-1], feature_names=list(spec.subset.features), max_depth=3)
        recorder.log("text", key="rules", text=rules, time=stamp(recorder.now()))
    if "histogram" in spec.extras:
        counts, edges = np.histogram(reported_score(class_scores(model, x, len(data.classes))[0]), bins=10, range=(0, 1))
        log_histogram(recorder, "test_score", counts, edges)
    if "confusion" in spec.extras:
        log_confusion(recorder, y, model.predict(x))


def log_card(recorder: Recorder, spec: RunSpec, data: Data) -> None:
    """Logs a model card: what was trained on what, and how good it is."""
    card = {
        "model": spec.model,
        "data": [data.name, data.version],
        "features": len(spec.subset.features),
        "scores": {key: number(value) for key, value in recorder.scores.items()},
    }
    recorder.log("artifact", path="model/card.json", text=json.dumps(card, indent=1, allow_nan=False))


def log_histogram(recorder: Recorder, key: str, counts: Array, edges: Array, step: int | None = None) -> None:
    """Logs one histogram."""
    moment = stamp(recorder.now())
    recorder.log("histogram", key=key, edges=numbers(edges, 4), counts=numbers(counts), step=step, time=moment)


def log_confusion(recorder: Recorder, y: Array, predicted: Array) -> None:
    """Logs the cells of the confusion matrix that are not zero, as the frame `confusion`."""
    cells = sorted(Counter(zip(y.tolist(), predicted.tolist())).items())
    columns = {
        "actual": [actual for (actual, _), _ in cells],
        "predicted": [guess for (_, guess), _ in cells],
        "count": [count for _, count in cells],
    }
    recorder.log("table", name="confusion", columns=columns)


def grey_png(pixels: Array) -> bytes:
    """Encodes a matrix of bytes as a grey PNG."""
    height, width = pixels.shape
    rows = b"".join(b"\0" + row.astype(np.uint8).tobytes() for row in pixels)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def log_weight_image(recorder: Recorder, coefficients: Array, step: int) -> None:
    """Draws the weights of each digit's pixels, two rows of five digits, as one point of a series of files."""
    pictures = coefficients[:, :64].reshape(2, 5, 8, 8).transpose(0, 2, 1, 3).reshape(16, 40)
    grey = 255 * (pictures - pictures.min()) / np.ptp(pictures)
    source = f"files/weights-{step:02d}.png"
    recorder.files[source] = grey_png(grey)
    recorder.log("file", key="weights_image", source=source, step=step, time=stamp(recorder.now()))
    if step == IMAGE_STEPS[-1]:
        recorder.log("artifact", path="plots/weights.png", source=source)


IMAGE_STEPS = (1, 5, 20)
