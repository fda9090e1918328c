"""JSON as its standard has it: numbers that are not finite become null."""

import json
import math
from typing import Any


def to_json(record: Any, *, indent: int | None = None) -> str:
    """Returns `record` as JSON text.

    >>> to_json({"total": float("inf"), "terms": [1.5, float("nan")]})
    '{"total": null, "terms": [1.5, null]}'
    """
    return json.dumps(_finite(record), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
