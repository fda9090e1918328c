"""How to optimize, as a small file: optimizer, its options, learning rates by step, start, stop rule, where from.

`python -m benchmarks tune` writes such files, `jaxstyle stylize --settings FILE` takes them. A file is JSON, an object
with the fields of `Settings` and a `format`; fields that are left out have their defaults.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxstyle.checks import MOST_SCALES, MOST_STEPS, InputError, check_between, check_choice, check_positive
from jaxstyle.optimize.optimizers import OPTIMIZERS, make_optimizer
from jaxstyle.optimize.pyramid import growing_sizes
from jaxstyle.optimize.records import StopRule
from jaxstyle.output_files import replace_file
from jaxstyle.problems.parameterizations import PARAMETERIZATIONS
from jaxstyle.types import Scalar

#: What the key `format` of a file says.
FORMAT = "jaxstyle settings 1"

#: What to do about a file that holds none.
ADVICE = "name a file that `python -m benchmarks tune` or `jaxstyle stylize --summary` wrote"

#: A file with a learning rate for each of ten thousand steps has a third of that.
MOST_BYTES = 1_000_000

#: Pairs of pictures, and how many bytes they may take, that L-BFGS keeps where nothing says how many.
MEMORY_SIZE, MEMORY_BYTES = 20, 2e9

#: Optimizers that look at their learning rate once, at the start.
LOOK_ONCE = ("rprop",)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to optimize a picture.

    Attributes:
        optimizer: A name in `jaxstyle.optimize.optimizers.OPTIMIZERS`.
        options: Options of that optimizer; its defaults, where left out.
        schedule: Pairs of a step and the learning rate from that step on, instead of the option `learning_rate`. The
            first step is 0, and they grow. With several scales, steps are counted through all of them as long as the
            optimizer's moments are carried from one to the next. Empty: one rate throughout.
        parameterization: A name in `jaxstyle.problems.parameterizations.PARAMETERIZATIONS`.
        scales: As the flag `--scales`: how many sizes to go through, or their widths.
        scale_iterations: Steps at each size; `iterations` at each, if empty.
        iterations: Steps.
        initial_noiseblend: Share of noise in the initial picture, in [0, 1]; None leaves it to whoever starts the run.
        stop_delta: Stop when the best loss improved by less than this share over `stop_patience` steps.
        stop_patience: 0 never stops early.
        provenance: Who found these settings, on what, and how good they were: anything that JSON can hold.
    """

    optimizer: str
    options: Mapping[str, float | int | str] = field(default_factory=dict)
    schedule: tuple[tuple[int, float], ...] = ()
    parameterization: str = "pixels"
    scales: tuple[int, ...] = (1,)
    scale_iterations: tuple[int, ...] = ()
    iterations: int
    initial_noiseblend: float | None = None
    stop_delta: float = 0.0
    stop_patience: int = 0
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        for name in ("optimizer", "parameterization"):
            _check_type(name, getattr(self, name), str, "text")
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("parameterization", self.parameterization, PARAMETERIZATIONS)
        for name in ("options", "provenance"):
            _check_type(name, getattr(self, name), Mapping, "an object of names and values")
            object.__setattr__(self, name, dict(getattr(self, name)))
        for name in ("schedule", "scales", "scale_iterations"):
            _check_type(name, getattr(self, name), list | tuple, "a list")
        object.__setattr__(self, "schedule", _check_schedule(self.optimizer, self.options, self.schedule))
        _check_whole("iterations", self.iterations, 1, MOST_STEPS)
        self._check_scales()
        if self.initial_noiseblend is not None:
            check_between("initial_noiseblend", _check_number("initial_noiseblend", self.initial_noiseblend), 0, 1)
        if self.parameterization == "network" and self.initial_noiseblend not in (None, 1):
            raise InputError(
                "an initial_noiseblend of 1 with the parameterization network", self.initial_noiseblend, "leave it out"
            )
        check_between("stop_delta", _check_number("stop_delta", self.stop_delta), 0, 1)
        _check_whole("stop_patience", self.stop_patience, 0, MOST_STEPS)
        self._check_provenance()
        self._check_options()

    def make_optimizer(self, height: int = 0, width: int = 0) -> optax.GradientTransformation:
        """Returns the optimizer with its options and, where there is a schedule, the learning rate of each step.

        Args:
            height: Height of the largest picture to come; it limits the memory of L-BFGS where the options do not.
            width: Width of that picture.
        """
        if not self.schedule:
            options = dict(self.options)
            if "memory_size" in OPTIMIZERS[self.optimizer].defaults and height * width > 0:
                options = {"memory_size": choose_memory_size(height, width), **options}
            return make_optimizer(self.optimizer, **options)

        def build(learning_rate: Scalar) -> optax.GradientTransformation:
            return make_optimizer(self.optimizer, **{**self.options, "learning_rate": learning_rate})

        # Not every optimizer takes a function of the step for its rate; built anew at each step, every one does.
        return optax.inject_hyperparams(build)(learning_rate=schedule_of(self.schedule))

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Returns the `(height, width)` to go through for a picture of that size, which is the last of them."""
        first, *others = self.scales
        if others:
            return growing_sizes(height, width, widths=self.scales)
        return growing_sizes(height, width, count=first)

    def steps(self) -> list[int]:
        """Returns the steps at each size."""
        first, *others = self.scales
        count = 1 + len(others) if others else first
        return list(self.scale_iterations) or [self.iterations] * count

    def stop_rule(self) -> StopRule:
        """Returns when to stop early."""
        return StopRule(self.stop_delta, self.stop_patience)

    def _check_options(self) -> None:
        for name, value in self.options.items():
            _check_type("each name of an option", name, str, "text")
            if not isinstance(value, str):
                _check_number(f"the option {name!r}", value)
        make_optimizer(self.optimizer, **self.options)

    def _check_scales(self) -> None:
        for name in ("scales", "scale_iterations"):
            steps = tuple(_check_whole(f"each of the {name}", value, 1, MOST_STEPS) for value in getattr(self, name))
            object.__setattr__(self, name, steps)
        if not self.scales:
            raise InputError("at least one number in scales", "none", "write [1] for one size")
        first, *others = self.scales
        count = 1 + len(others) if others else first
        check_between("the number of scales", count, 1, MOST_SCALES)
        if len(self.scales) > 1 and any(after <= before for before, after in pairwise(self.scales)):
            raise InputError("scales that grow", list(self.scales), "order them from the smallest to the largest")
        if self.scale_iterations and len(self.scale_iterations) != count:
            raise InputError(
                f"{count} scale_iterations, one for each scale", len(self.scale_iterations), "give each one"
            )

    def _check_provenance(self) -> None:
        try:
            json.dumps(self.provenance, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError("provenance that JSON can hold", error, "use text, finite numbers, lists, names") from None


def choose_memory_size(height: int, width: int) -> int:
    """Returns the memory of L-BFGS for a picture: 20 pairs, or fewer, for one beyond four million pixels.

    >>> choose_memory_size(512, 512), choose_memory_size(4096, 4096)
    (20, 4)
    """
    pair = 2 * 3 * 4 * height * width  # two float32 pictures of three colors
    return int(max(3, min(MEMORY_SIZE, MEMORY_BYTES // pair)))


def schedule_of(pairs: Sequence[tuple[int, float]]) -> Callable[[Any], Scalar]:
    """Returns the learning rate as a function of the step, constant from each pair's step to the next one's.

    Args:
        pairs: Steps that grow from 0, and the rates from there on.

    >>> rate = schedule_of([(0, 10.0), (100, 1.0)])
    >>> float(rate(99)), float(rate(100))
    (10.0, 1.0)
    """
    steps, rates = (list(column) for column in zip(*pairs, strict=True))

    def rate(step: int | jax.Array) -> Scalar:
        place = jnp.searchsorted(jnp.asarray(steps, jnp.int32), jnp.asarray(step, jnp.int32), side="right") - 1
        return jnp.asarray(rates, jnp.float32)[place]

    return rate


def read_settings(path: str | Path) -> Settings:
    """Reads a file of settings, or those in the summary of an earlier run, without trusting it.

    Raises:
        FileNotFoundError: If there is none.
        InputError: If it is too large, or not JSON, or says what settings cannot say.
    """
    record, name = read_record(path), repr(str(path))
    if "flags" in record:  # a summary of `jaxstyle stylize --summary`
        record = record.get("settings")
    if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
        raise InputError(f"an object whose format is {FORMAT!r}", f"none in {name}", ADVICE)
    known = [each.name for each in fields(Settings)]
    for key in record:
        check_choice("each key of a file of settings", key, known)
    for key in ("optimizer", "iterations"):
        if key not in record:
            raise InputError(f"settings with the key {key!r}", f"none in {name}", "add it")
    in_tuples = lambda value: tuple(map(in_tuples, value)) if isinstance(value, list) else value  # JSON has only lists
    tuples: dict[str, Any] = {
        key: in_tuples(record[key]) for key in ("schedule", "scales", "scale_iterations") if key in record
    }
    return Settings(**(record | tuples))


def read_record(path: str | Path) -> dict[str, Any]:
    """Reads a JSON object from a file, without trusting it: each name once, finite numbers, no more than 1 MB.

    Raises:
        FileNotFoundError: If there is none.
        InputError: If it is too large, or not an object of JSON.
    """
    path = Path(path)
    name = repr(str(path))
    if not path.is_file():
        raise FileNotFoundError(f"expected a file of settings, got no file at {name}; check the path")
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise InputError(f"a file of settings of at most {MOST_BYTES} bytes", f"more in {name}", "name another file")
    try:
        record = json.loads(content.decode(), parse_constant=_refuse_constant, object_pairs_hook=_without_doubles)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError("settings as JSON", f"{name} ({error})", ADVICE) from None
    if not isinstance(record, dict):
        raise InputError(f"an object whose format is {FORMAT!r}", f"another value in {name}", ADVICE)
    return record


def settings_record(settings: Settings) -> dict[str, Any]:
    """Returns what a file of settings holds, for JSON."""
    return {"format": FORMAT, **asdict(settings)}


def write_settings(path: str | Path, settings: Settings, *, overwrite: bool = False) -> None:
    """Writes settings to a file, which is there whole or not at all.

    Raises:
        OSError: As `jaxstyle.output_files.check_new_file`.
        InputError: If they are larger than `read_settings` would take.
    """
    content = (json.dumps(settings_record(settings), indent=1, allow_nan=False) + "\n").encode()
    if len(content) > MOST_BYTES:
        raise InputError(f"settings of at most {MOST_BYTES} bytes", len(content), "shorten the provenance")
    with replace_file(path, overwrite=overwrite) as part:
        part.write_bytes(content)


def _check_schedule(optimizer: str, options: Mapping[str, Any], pairs: Sequence[Any]) -> tuple[tuple[int, float], ...]:
    if pairs and ("learning_rate" not in OPTIMIZERS[optimizer].defaults or optimizer in LOOK_ONCE):
        raise InputError(
            "an optimizer that has a learning rate at every step",
            optimizer,
            "leave the schedule out or choose another",
        )
    if pairs and "learning_rate" in options:
        raise InputError("a schedule or the option learning_rate", "both", "leave one of them out")
    checked = []
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise InputError("each entry of the schedule as a step and a learning rate", repr(pair), "write [0, 10.0]")
        step = _check_whole("each step of the schedule", pair[0], 0, MOST_STEPS)
        checked.append((step, check_positive("each learning rate", _check_number("each learning rate", pair[1]))))
    steps = [step for step, _ in checked]
    if steps and (steps[0] != 0 or any(after <= before for before, after in pairwise(steps))):
        raise InputError("a schedule whose steps grow from 0", steps[:20], "begin with step 0 and order the others")
    return tuple(checked)


def _check_type(name: str, value: Any, kind: Any, description: str) -> None:
    if not isinstance(value, kind):
        raise InputError(f"{description} for {name}", repr(value)[:100], "change its type")


def _check_number(name: str, value: Any) -> float:
    """Returns `value` as it is, if it is a number that float32 can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"a number for {name}", repr(value)[:100], "write it without quotes")
    if not abs(value) <= float(np.finfo(np.float32).max) or math.isnan(value):
        raise InputError(f"a finite number for {name}", repr(value)[:100], "write one that float32 can hold")
    return value


def _check_whole(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"a whole number for {name}", repr(value)[:100], "write it without quotes and without a point")
    return int(check_between(name, value, low, high))


def _refuse_constant(name: str) -> float:
    raise InputError("finite numbers in a file of settings", name, "write another number")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        (double, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise InputError("each key once in a file of settings", f"{double!r} twice", "leave one of them out")
    return record


#: What neural-style users know: the widely used TensorFlow program's.
CLASSIC_ITERATIONS = 1000

#: What `--optimizer auto` of `jaxstyle stylize` stands for: a choice among variants of L-BFGS, tried on one pair of
#: pictures at 256x256 from one start (`benchmarks/README.md`, "The automatic choice"); it goes from the content, until
#: 20 steps gain less than 1 %.
AUTO = Settings(
    optimizer="lbfgs",
    parameterization="preconditioned",
    iterations=500,
    initial_noiseblend=0.0,
    stop_delta=0.01,
    stop_patience=20,
)
