"""JSON according to its standard: numbers that are not finite are written as null."""

import json
import math
from typing import Any


def to_json(record: Any, *, indent: int | None = None) -> str:
    """Returns `record` as JSON text.

    >>> to_json({"total": float("inf"), "terms": [1.5, float("nan")]})
    '{"total": null, "terms": [1.5, null]}'
    """
    return json.dumps(_finite(record), indent=indent, allow_nan=False)


def as_number(value: Any) -> Any:
    """Returns the number that a text contains, or `value` unchanged if it is anything else.

    >>> as_number("50"), as_number("0.5"), as_number("keep"), as_number(1.0)
    (50, 0.5, 'keep', 1.0)
    """
    for kind in (int, float) if isinstance(value, str) else ():
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
