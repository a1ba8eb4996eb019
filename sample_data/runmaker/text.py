"""Numbers, times, ids and JSON as the lines want them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np

Json = Any
Params = dict[str, Any]


def number(value: float, digits: int = 6) -> Json:
    """Rounds to significant digits, whole numbers aside; NaN and infinities become the strings that docs/log.md names."""
    if isinstance(value, (int, np.integer)):
        return int(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(f"{value:.{digits}g}")


def numbers(values: Iterable[float], digits: int = 6) -> list[Json]:
    """Rounds a sequence as `number` does."""
    return [number(value, digits) for value in values]


def param_value(value: Any) -> Json:
    """Spells a param as docs/log.md wants it: floats that JSON cannot hold are wrapped."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": number(value)}
    return value


def utc(text: str) -> datetime:
    """Reads `2026-09-01T09:00` as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def stamp(moment: datetime) -> str:
    """Writes a time as RFC 3339 with milliseconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def sha256(*parts: bytes) -> bytes:
    """Hashes the parts one after the other."""
    return hashlib.sha256(b"".join(parts)).digest()


def run_id(start: datetime, identity: Json) -> str:
    """Makes an id in the layout of UUIDv7 whose random bits are a hash, so that every making gives the same ids."""
    random_bits = int.from_bytes(sha256(compact(identity).encode())[:10], "big")
    millis = int(start.timestamp() * 1000)
    high = millis << 16 | 0x7000 | random_bits >> 62 & 0x0FFF
    low = 0b10 << 62 | random_bits & (1 << 62) - 1
    return f"{high << 64 | low:032x}"


def compact(value: Json) -> str:
    """Writes JSON without spaces; a stray NaN is a fault here, not a token that no other reader takes."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
