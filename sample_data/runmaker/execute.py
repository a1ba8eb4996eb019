"""Training one run, whichever way it is trained."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from .curves import train_epochs, train_stages
from .data import Data, load
from .record import Killed, Recorder, Result, RunSpec, log_features, log_head
from .text import stamp
from .train import cross_validate, stack

PROTOCOLS: dict[str, Callable[[Recorder, RunSpec, Data], None]] = {
    "cross_validate": cross_validate,
    "epochs": train_epochs,
    "stages": train_stages,
    "stack": stack,
}


def execute(spec: RunSpec) -> Result:
    """Trains one run; an exception of scikit-learn ends it as FAILED, with its text."""
    warnings.simplefilter("ignore")  # as in `main`: this is another process
    data = load(spec.experiment, spec.version)
    recorder = Recorder(spec.id, spec.start)
    tags: dict[str, str | None] = {"sweep": spec.sweep, "subset": spec.subset.label}
    if spec.model == "dummy":
        tags["baseline"] = None
    log_head(recorder, spec, spec.name, spec.params, tags)
    for role in ("training", "test"):
        recorder.log("data", **data.describe(role))
    for link in spec.links:
        recorder.log("link", target=link.target, kind=link.kind, **link.fields)
    status, error = "FINISHED", None
    try:
        PROTOCOLS[spec.protocol](recorder, spec, data)
    except Killed as stop:
        status, error = "KILLED", str(stop)
    except (ValueError, ArithmeticError) as failure:
        status, error = "FAILED", f"{type(failure).__name__}: {failure}"
    if status != "FINISHED":
        log_features(recorder, spec, data)
    end = recorder.now()
    recorder.log("finish", status=status, end_time=stamp(end), error=error)
    return Result(spec, recorder.events, recorder.scores, status, end, recorder.files)
