"""How to optimize, declared once: optimizer, options, learning rates, scales, start, stop rule. It loads no JAX.

The command line makes flags of `RunConfig`; a flag that is not given keeps the value of a preset (`AUTO`, `CLASSIC`) or
of a file. `python -m benchmarks tune` writes such files, `jaxstyle stylize --settings FILE` reads them. A file is JSON,
an object with the fields of `RunConfig` and a `format`; fields that are left out have their defaults. The `json` module
reads it and `RunConfig` checks it: a validating library such as msgspec accepts a duplicate key, and values from Python
callers would need the same checks again.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import pairwise
from math import isnan
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

from jaxstyle.checks import (
    LARGEST,
    MOST_SCALES,
    MOST_STEPS,
    InputError,
    check_between,
    check_choice,
    check_positive,
)
from jaxstyle.knobs import NO_FLAG, Knob
from jaxstyle.output_files import replace_file

#: Value of the key `format` of a file.
FORMAT = "jaxstyle settings 1"

#: Advice in errors about a file without settings.
ADVICE = "name a file that `python -m benchmarks tune` or `jaxstyle stylize --summary` wrote"

#: Maximum size of a file. A schedule with a learning rate for each of ten thousand steps takes a third of it.
MOST_BYTES = 1_000_000

#: Fields that are younger than the format, and therefore written only if they differ from their defaults.
NEW_FIELDS = ("scale_step", "restart_moments", "average")

#: Maximum of `scale_step`: the largest picture is this many times as wide as a single pixel.
MOST_SCALE_STEP = 1e5

#: Value of `stop_patience` where only `stop_delta` is given.
DEFAULT_PATIENCE = 50

#: What a picture can be made of: the names in `jaxstyle.problems.parameterizations`.
Parameterization = Literal["pixels", "bounded", "fourier", "preconditioned", "laplacian", "network"]
PARAMETERIZATIONS: tuple[Parameterization, ...] = get_args(Parameterization)


class StopRule(NamedTuple):
    """Stop when the best loss improved by less than `relative_delta` over the last `patience` steps, or at a budget.

    Attributes:
        relative_delta: Least relative improvement, in [0, 1); 0 never stops a run that still improves at all.
        patience: Steps over which the improvement is measured; 0 switches the rule off.
        max_evaluations: The first step that reaches this number of evaluations is the last; 0 for no such budget. A
            line search is completed, so that a run may take a few more.
    """

    relative_delta: float = 0.0
    patience: int = 0
    max_evaluations: int = 0


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How to optimize. `jaxstyle.optimize.configured` makes the optimizer and checks its name and options.

    Attributes:
        optimizer: Name of the optimizer: adam, lbfgs, sgd, momentum, ... (a wrong name lists all names).
        options: More options of the optimizer, for instance memory_size=50 for lbfgs.
        schedule: Pairs of a step and the learning rate from that step on, instead of the option `learning_rate`; the
            steps increase from 0. With several scales, steps are counted across all of them as long as the optimizer's
            moments are carried from one scale to the next. Empty for a constant rate.
        parameterization: What is optimized: pixels; bounded (pixels within 0..255); fourier (waves in uncorrelated
            colors); preconditioned (pixels whose large forms change as fast as fine detail); laplacian (a pyramid);
            network (a small network that maps positions to colors).
        scales: Sizes from coarse to fine: their number (--scale-step is the ratio of widths), or their widths, of which
            the last is that of the result.
        scale_step: Ratio of the width of each size to that of the size before.
        scale_iterations: Iterations at each size. Default: --iterations.
        restart_moments: Start the optimizer without the moments of the size before.
        average: Decay of a running average of the picture, for instance 0.99, which is then the result; 0 for none.
        iterations: Maximum number of iterations (steps of the optimizer).
        initial_noiseblend: Share of noise in the initial picture, in [0, 1]. None means that of the problem.
        stop_delta: Stop when the best loss improved by less than this share over --stop-patience iterations.
        stop_patience: Number of iterations over which --stop-delta measures; 0 never stops early. Default: 50 with
            --stop-delta.
        provenance: How these settings were found, and how good they were: anything that JSON can hold.
    """

    optimizer: str = "adam"
    options: Annotated[
        Mapping[str, float | int | str],
        Knob(
            "learning_rate",
            key="learning_rate",
            text="Step size, in levels of 0..255. Default: that of the optimizer, 10 for adam.",
        ),
        Knob("beta1", key="b1", text="Decay rate of the first moment (Adam and variants). Default: 0.9 for adam."),
        Knob("beta2", key="b2", text="Decay rate of the second moment (Adam and variants). Default: 0.999 for adam."),
        Knob("eps", key="eps", text="Small number in the denominator of the step. Default: 1e-8 for adam."),
        Knob("optimizer_options", metavar="NAME=X"),
    ] = field(default_factory=dict)
    schedule: Annotated[tuple[tuple[int, float], ...], NO_FLAG] = ()
    parameterization: Annotated[Parameterization, Knob(metavar="NAME")] = "pixels"
    scales: tuple[int, ...] = (1,)
    scale_step: float = 2**0.5
    scale_iterations: tuple[int, ...] = ()
    restart_moments: bool = False
    average: float = 0.0
    iterations: int = 1000
    initial_noiseblend: float | None = None
    stop_delta: float = 0.0
    stop_patience: int = 0
    provenance: Annotated[Mapping[str, Any], NO_FLAG] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("optimizer", "parameterization"):
            _check_type(name, getattr(self, name), str, "text")
        check_choice("parameterization", self.parameterization, PARAMETERIZATIONS)
        for name in ("options", "provenance"):
            _check_type(name, getattr(self, name), Mapping, "an object of names and values")
            object.__setattr__(self, name, dict(getattr(self, name)))
        for name in ("schedule", "scales", "scale_iterations"):
            _check_type(name, getattr(self, name), list | tuple, "a list")
        _check_type("restart_moments", self.restart_moments, bool, "true or false")
        _check_options(self.options)
        object.__setattr__(self, "schedule", _check_schedule(self.options, self.schedule))
        _check_whole("iterations", self.iterations, 1, MOST_STEPS)
        self._check_scales()
        _check_number("average", self.average, 0, 0.999999)
        if self.initial_noiseblend is not None:
            _check_number("initial_noiseblend", self.initial_noiseblend, 0, 1)
        if self.parameterization == "network" and self.initial_noiseblend not in (None, 1):
            raise InputError(
                "an initial_noiseblend of 1 with the parameterization network", self.initial_noiseblend, "leave it out"
            )
        _check_number("stop_delta", self.stop_delta, 0, 1)
        _check_whole("stop_patience", self.stop_patience, 0, MOST_STEPS)
        try:
            json.dumps(self.provenance, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError("provenance that JSON can hold", error, "use text, finite numbers, lists, names") from None

    def changed(self, **changes: Any) -> Self:
        """Returns a copy with other values, without the values that belong to what was changed.

        Options and schedule belong to the optimizer, and new options are added to those of the same optimizer. A
        learning rate replaces a schedule, other scales or iterations reset `scale_iterations`, another `stop_delta`
        resets `stop_patience`, and the parameterization `network` resets the share of noise.
        """
        keeps_optimizer = changes.get("optimizer", self.optimizer) == self.optimizer
        changes["options"] = {**(self.options if keeps_optimizer else {}), **changes.get("options", {})}
        if not keeps_optimizer or "learning_rate" in changes["options"]:
            changes.setdefault("schedule", ())
        if {"scales", "iterations"} & set(changes):
            changes.setdefault("scale_iterations", ())
        if changes.get("stop_delta", self.stop_delta) != self.stop_delta:
            changes.setdefault("stop_patience", DEFAULT_PATIENCE if changes["stop_delta"] else 0)
        if changes.get("parameterization") == "network":
            changes.setdefault("initial_noiseblend", None)
        return replace(self, **changes)

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Returns the `(height, width)` of each scale for a result of that size, which is the last of them."""
        if len(self.scales) > 1:
            return growing_sizes(height, width, widths=self.scales)
        return growing_sizes(height, width, count=self._scale_count(), step=self.scale_step)

    def steps(self) -> list[int]:
        """Returns the steps at each size."""
        return list(self.scale_iterations) or [self.iterations] * self._scale_count()

    def stop_rule(self) -> StopRule:
        """Returns when to stop early."""
        return StopRule(self.stop_delta, self.stop_patience)

    def _scale_count(self) -> int:
        first, *others = self.scales
        return 1 + len(others) if others else first

    def _check_scales(self) -> None:
        for name, least in (("scales", 0), ("scale_iterations", 1)):
            steps = tuple(
                _check_whole(f"each of the {name}", value, least, MOST_STEPS) for value in getattr(self, name)
            )
            object.__setattr__(self, name, steps)
        if not self.scales:
            raise InputError("at least one number in scales", "none", "write [1] for one size")
        check_between("the number of scales", self._scale_count(), 1, MOST_SCALES)
        if len(self.scales) > 1 and any(after <= before for before, after in pairwise(self.scales)):
            raise InputError(
                "scales that grow and end with the picture's width",
                " ".join(map(str, self.scales)),
                "order them from the smallest to the largest",
            )
        if not isinstance(self.scale_step, int | float) or not 1 < self.scale_step <= MOST_SCALE_STEP:
            raise InputError(f"a scale_step above 1, up to {MOST_SCALE_STEP}", self.scale_step, "use 1.414 or 2")
        if self.scale_iterations and len(self.scale_iterations) != self._scale_count():
            raise InputError(
                f"{self._scale_count()} scale_iterations, one for each scale",
                len(self.scale_iterations),
                "give each one",
            )


def growing_sizes(
    height: int, width: int, *, count: int = 1, step: float = 2**0.5, widths: Sequence[int] = ()
) -> list[tuple[int, int]]:
    """Returns `(height, width)` of pictures of one aspect ratio, the last of which has the size given.

    Args:
        height: Height of the last size.
        width: Width of the last size.
        count: Number of sizes.
        step: Ratio of each width to the one before.
        widths: Width of each size, instead of `count` and `step`.

    Raises:
        InputError: For widths that do not grow or do not end with `width`.

    >>> growing_sizes(300, 400, count=3, step=2.0)
    [(75, 100), (150, 200), (300, 400)]
    """
    if not widths:
        if step <= 1:
            raise InputError("a step between scales above 1", step, "use 1.414 or 2")
        widths = [round(width / step**back) for back in reversed(range(count))]
    if max(widths) > width:
        raise InputError(f"scales of at most the picture's width, {width}", max(widths), "leave the larger ones out")
    if list(widths) != sorted(set(widths)) or widths[-1] != width or widths[0] < 1:
        raise InputError(
            f"widths of scales that grow and end with the picture's, {width}",
            " ".join(map(str, widths)),
            "use fewer scales, or write them from the smallest to the picture's own width",
        )
    return [(max(1, round(height * narrow / width)), narrow) for narrow in widths]


def read_settings(path: str | Path) -> RunConfig:
    """Reads a file of settings, or those in the summary of an earlier run, without trusting it.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it is too large, not JSON, or has unusable settings.
    """
    record, name = read_record(path), repr(str(path))
    if "flags" in record:  # a summary of `jaxstyle stylize --summary`
        record = record.get("settings")
    if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
        raise InputError(f"an object whose format is {FORMAT!r}", f"none in {name}", ADVICE)
    known = [each.name for each in fields(RunConfig)]
    for key in record:
        check_choice("each key of a file of settings", key, known)
    for key in ("optimizer", "iterations"):
        if key not in record:
            raise InputError(f"settings with the key {key!r}", f"none in {name}", "add it")
    for key in ("schedule", "scales", "scale_iterations"):  # JSON has no tuples
        if isinstance(record.get(key), list):
            record[key] = tuple(tuple(each) if key == "schedule" and _is_pair(each) else each for each in record[key])
    return RunConfig(**record)


def read_record(path: str | Path) -> dict[str, Any]:
    """Reads a JSON object from a file, without trusting it: each name once, finite numbers, no more than 1 MB.

    Raises:
        FileNotFoundError: If there is no such file.
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


def settings_record(settings: RunConfig) -> dict[str, Any]:
    """Returns the content of a file of settings, for JSON."""
    defaults = {each.name: each.default for each in fields(RunConfig)}
    values = {
        name: value for name, value in asdict(settings).items() if name not in NEW_FIELDS or value != defaults[name]
    }
    return {"format": FORMAT, **values}


def write_settings(path: str | Path, settings: RunConfig, *, overwrite: bool = False) -> None:
    """Writes settings to a file, completely or not at all.

    Raises:
        OSError: If the file exists and `overwrite` is false, or if it cannot be written.
        InputError: If they are larger than `read_settings` accepts.
    """
    content = (json.dumps(settings_record(settings), indent=1, allow_nan=False) + "\n").encode()
    if len(content) > MOST_BYTES:
        raise InputError(f"settings of at most {MOST_BYTES} bytes", len(content), "shorten the provenance")
    with replace_file(path, overwrite=overwrite) as part:
        part.write_bytes(content)


def _check_options(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        _check_type("each name of an option", name, str, "text")
        if not isinstance(value, str):
            _check_number(f"the option {name!r}", value)


def _check_schedule(options: Mapping[str, Any], pairs: Sequence[Any]) -> tuple[tuple[int, float], ...]:
    if pairs and "learning_rate" in options:
        raise InputError("a schedule or the option learning_rate", "both", "leave one of them out")
    checked = []
    for pair in pairs:
        if not _is_pair(pair):
            raise InputError("each entry of the schedule as a step and a learning rate", repr(pair), "write [0, 10.0]")
        step = _check_whole("each step of the schedule", pair[0], 0, MOST_STEPS)
        checked.append((step, check_positive("each learning rate", _check_number("each learning rate", pair[1]))))
    steps = [step for step, _ in checked]
    if steps and (steps[0] != 0 or any(after <= before for before, after in pairwise(steps))):
        raise InputError("a schedule whose steps grow from 0", steps[:20], "begin with step 0 and order the others")
    return tuple(checked)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


def _check_type(name: str, value: Any, kind: Any, description: str) -> None:
    if not isinstance(value, kind):
        raise InputError(f"{description} for {name}", repr(value)[:100], "change its type")


def _check_number(name: str, value: Any, *bounds: float) -> float:
    """Returns `value` as it is, if it is a number between the bounds, or without them one that float32 can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"a number for {name}", repr(value)[:100], "write it without quotes")
    if bounds:
        return check_between(name, value, *bounds)
    if not abs(value) <= LARGEST or isnan(value):
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


#: The defaults of anishathalye/neural-style: 1000 iterations of Adam.
CLASSIC = RunConfig()

#: The settings of `jaxstyle stylize --optimizer auto`: a choice among variants of L-BFGS, tried on one pair of pictures
#: at 256x256 from one start (`benchmarks/README.md`, "The automatic choice"). It starts from the content and stops when
#: 20 steps gain less than 1 %.
AUTO = RunConfig(
    optimizer="lbfgs",
    parameterization="preconditioned",
    iterations=500,
    initial_noiseblend=0.0,
    stop_delta=0.01,
    stop_patience=20,
)

#: An older name of `RunConfig`.
Settings = RunConfig
