"""Checks of the arguments of Python functions: pictures, features, layers, and objects of a wrong type.

Pure functions that are jitted use these checks too. For arrays that are traced, only shape and type are known and
checked; values are checked in concrete arrays only.
"""

import os
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from jaxstyle.checks import InputError

#: Largest distance from [0, 1] of a picture's values, averaged over them. Pixels that are optimized without bounds
#: leave [0, 1], single ones as far as -0.8 and 2.3 with a mean distance below 0.01, so a bound for each value would
#: refuse good pictures. Values of 0..255 have a mean distance of about 100, values divided by the deviation of ImageNet
#: 0.5, and values of [-1, 1] 0.25 in a picture of medium brightness.
MOST_OUTSIDE = 0.1

#: The same for a picture that is only shown or written, and clipped for that; above it, the values must be 0..255.
MOST_CLIPPED = 5.0


def describe(value: Any) -> str:
    """Returns a short description of a value, with its type or shape.

    >>> describe(np.zeros((2, 3), np.float32)), describe("relu4_2"), describe([1, 2])
    ('an array float32 [2, 3]', "the text 'relu4_2'", 'a list')
    """
    if value is None:
        return "None"
    if isinstance(value, str):
        return f"the text {value[:80]!r}"
    if isinstance(value, os.PathLike):
        return f"the path {os.fspath(value)[:80]!r}"
    if is_array(value):
        return f"an array {value.dtype} {list(value.shape)}"
    kind = type(value)
    is_known = kind.__module__.startswith(("jaxstyle", "builtins"))
    name = kind.__name__ if is_known else f"{kind.__module__}.{kind.__name__}"
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def is_array(value: Any) -> bool:
    """Returns whether `value` is an array of NumPy or JAX, or a traced one."""
    if isinstance(value, np.ndarray):
        return True
    jax = sys.modules.get("jax")  # if JAX is not loaded, `value` cannot be an array of JAX
    return jax is not None and isinstance(value, jax.Array)


def check_kind(name: str, value: Any, kind: type, advice: str = "") -> None:
    """Raises `InputError` unless `value` is an instance of `kind`."""
    if not isinstance(value, kind):
        raise InputError(f"a {kind.__name__} as {name}", describe(value), advice or "check the arguments' order")


def check_path(name: str, path: Any, advice: str = "check the arguments' order") -> None:
    """Raises `InputError` unless `path` can name a file."""
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"the path of {name}", describe(path), advice)


def check_key(key: Any) -> None:
    """Raises `InputError` unless `key` is an array, as `jax.random.key` returns it; an integer seed is not a key."""
    if not is_array(key):
        raise InputError("a key of jax.random", describe(key), "pass jax.random.key(0), or of another seed")


def check_picture(
    name: str, picture: Any, *, channels: Collection[int] = (3,), most_outside: float = MOST_OUTSIDE
) -> None:
    """Raises `InputError` unless `picture` is an array of floats, `[height, width, 3]`, with values in or near [0, 1].

    Args:
        name: Name of the argument in a message.
        picture: The value to check, of any type.
        channels: The numbers of channels that are accepted.
        most_outside: Largest distance from [0, 1] of its values, averaged over them.
    """
    check_picture_shape(name, picture, channels=channels)
    if not _is_traced(picture):
        _check_values(name, np.asarray(picture), most_outside)


def check_picture_shape(name: str, picture: Any, *, channels: Collection[int] = (3,)) -> None:
    """Raises `InputError` unless `picture` is an array of floats, `[height, width, 3]`; values are not checked."""
    if not is_array(picture):
        raise InputError(f"{name} as an array [height, width, 3]", describe(picture), _how_to_make_array(picture))
    shape = tuple(picture.shape)
    if len(shape) != 3 or shape[2] not in channels or 0 in shape:
        raise InputError(f"{name} [height, width, 3]", f"the shape {list(shape)}", _how_to_reshape(shape, channels))
    check_floats(name, picture, advice="divide bytes by 255, so that they lie in [0, 1]")


def check_features(name: str, features: Any, *, dimensions: int = 3) -> None:
    """Raises `InputError` unless `features` is an array of floats with this number of dimensions, channels last."""
    shape = "[height, width, channels]" if dimensions == 3 else f"of {dimensions} dimensions"
    if not is_array(features) or features.ndim != dimensions:
        raise InputError(f"{name} as an array {shape}", describe(features), "map over a batch with jax.vmap")
    check_floats(name, features)


def check_same_shape(name: str, array: Any, shape: tuple[int, ...]) -> None:
    """Raises `InputError` unless `array` has this shape, so that arrays are not broadcast by mistake."""
    if tuple(array.shape) != tuple(shape):
        raise InputError(f"{name} of shape {tuple(shape)}", tuple(array.shape), "make their sizes equal")


def check_floats(name: str, array: Any, *, advice: str = "convert it with astype('float32')") -> None:
    """Raises `InputError` unless the elements of `array` are floating-point numbers."""
    if "float" not in np.dtype(array.dtype).name:  # bfloat16 is not a subtype of np.floating
        raise InputError(f"{name} of floats", np.dtype(array.dtype).name, advice)


def check_layer_names(layers: Any) -> tuple[str, ...]:
    """Returns `layers` as a tuple, or raises `InputError` if it is not a collection of names."""
    if isinstance(layers, str):
        raise InputError("a list of layers", describe(layers), f"pass [{layers[:80]!r}]")
    if not isinstance(layers, Iterable) or is_array(layers):
        raise InputError("a list of layers", describe(layers), "pass for instance ['relu4_2']")
    names = tuple(layers)
    for name in names:
        if not isinstance(name, str):
            raise InputError("names of layers", describe(name), "pass for instance ['relu4_2']")
    return names


def check_layer_weights(name: str, layers: Any) -> None:
    """Raises `InputError` unless `layers` maps names of layers to numbers."""
    if not isinstance(layers, Mapping):
        raise InputError(f"{name} with their weights", describe(layers), "pass for instance {'relu4_2': 1.0}")
    check_layer_names(layers)
    for layer, weight in layers.items():
        try:
            float(weight)
        except (TypeError, ValueError):
            raise InputError(
                f"a number as the weight of {layer} in {name}", describe(weight), "pass for instance 1.0"
            ) from None


def _is_traced(array: Any) -> bool:
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(array, jax.core.Tracer)


def _check_values(name: str, picture: np.ndarray, most_outside: float) -> None:
    low, high = picture.min(), picture.max()  # NaN if any value is NaN
    if low >= 0 and high <= 1:
        return
    is_finite = np.isfinite(picture)
    if not is_finite.all():
        got = f"{int((~is_finite).sum())} that are infinite or NaN in {name}"
        raise InputError("finite values only", got, "find out where they come from")
    outside = np.abs(picture - picture.clip(0, 1)).mean(dtype=np.float64)
    if outside > most_outside:
        advice = "divide values of 0..255 by 255" if outside > MOST_CLIPPED else "scale it to [0, 1], or clip it"
        raise InputError(f"{name} in [0, 1]", f"values from {float(low):.4g} to {float(high):.4g}", advice)


def _how_to_make_array(value: Any) -> str:
    if isinstance(value, str | os.PathLike):
        return "read it first, with jaxstyle.read_picture (or load_sample)"
    if type(value) in (list, tuple):
        return "pass one picture, as numpy.asarray(picture, 'float32')"
    if type(value).__module__.startswith("PIL"):
        return "pass numpy.asarray(image.convert('RGB'), 'float32') / 255"
    if hasattr(value, "__array__"):
        return "convert it with numpy.asarray"
    return "check the arguments' order"


def _how_to_reshape(shape: tuple[int, ...], channels: Collection[int]) -> str:
    if 0 in shape:
        return "pass a picture that has pixels"
    if len(shape) == 2:
        return "repeat what is gray: numpy.stack([picture] * 3, axis=-1)"
    if len(shape) == 4:
        return "pass one picture of the batch, or map over it with jax.vmap"
    if len(shape) == 3 and shape[2] == 1:
        return "repeat what is gray: numpy.repeat(picture, 3, axis=-1)"
    if len(shape) == 3 and shape[2] == 4:
        return "leave its transparency out: picture[..., :3]"
    if len(shape) == 3 and shape[0] in channels:
        return "move the channels to the end: numpy.moveaxis(picture, 0, -1)"
    return "pass one RGB picture"
