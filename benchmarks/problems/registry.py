"""The table of all problems. Nothing here imports JAX: a problem's functions are imported when they are called.

The default rates of `jaxstyle.optimize.optimizer_table` were measured on the astronaut with the swirl; therefore
methods are tuned on that pair, and never scored on it.
"""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from benchmarks.problems import BenchmarkProblem, import_on_call
from benchmarks.problems.defaults import DESCENT_DEFAULTS, NETWORK_DEFAULTS

#: Content and style, joined by a plus.
TUNING_PAIRS = ("astronaut+swirl",)
SCORING_PAIRS = ("chelsea+waves", "coffee+garden", "rocket+mosaic")

#: Widths and heights of the pictures.
SIZES = (64, 128, 256)

_PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
_PAINTINGS = ("swirl", "waves", "garden", "mosaic")


def _of_pixels(name: str, title: str, size: int, names: tuple[str, ...], **options: Any) -> BenchmarkProblem:
    """Returns a problem of one picture, tuned on the first of `names`."""
    return BenchmarkProblem(
        name=f"{name}-{size}",
        title=f"{title}, {size}x{size}",
        make=partial(import_on_call(f"benchmarks.problems.pictures:make_{name}"), size=size),
        tuning=names[:1],
        scoring=names[1:],
        budget=400,
        is_picture=True,
        **options,
    )


def _style(name: str, title: str, budget: int = 400, **options: Any) -> BenchmarkProblem:
    return BenchmarkProblem(
        name=f"style-{name}",
        title=f"style transfer{title}",
        make=partial(import_on_call("benchmarks.problems.pictures:make_style_transfer"), **options),
        tuning=TUNING_PAIRS,
        scoring=SCORING_PAIRS,
        budget=budget,
        is_picture=True,
        has_pixels=True,
    )


def _descent(dimensions: int) -> BenchmarkProblem:
    return BenchmarkProblem(
        name=f"descent{dimensions}d",
        title=f"sin(10x) exp(-x) in {dimensions} dimension{'s' * (dimensions > 1)}, places 0..199",
        make=partial(import_on_call("benchmarks.teaching.descent:make_instance"), dimensions=dimensions),
        tuning=("sin9", "sin11"),
        scoring=("sin10",),
        budget=500,  # the course's number of steps
        defaults=DESCENT_DEFAULTS,
        has_bounds=True,
    )


def _sine(name: str, batch_size: int) -> BenchmarkProblem:
    options: dict[str, Any] = {"model": name}
    if name.startswith("degree"):
        options = {"model": "polynomial", "degree": int(name.removeprefix("degree"))}
    return BenchmarkProblem(
        name=f"sine-{name}{'-batches' if batch_size else ''}",
        title=f"noisy sine by {name}, {f'batches of {batch_size}' if batch_size else 'full batch'}",
        make=partial(import_on_call("benchmarks.teaching.regression:make_instance"), batch_size=batch_size, **options),
        tuning=("noise-0", "noise-1"),
        scoring=("noise-2", "noise-3"),
        budget=500,  # the course's number of steps: 500 epochs of all points, 100 epochs of five batches
        reference=partial(import_on_call("benchmarks.teaching.regression:full_error"), model=options["model"]),
        is_stochastic=batch_size > 0,
        defaults=NETWORK_DEFAULTS,
    )


_PROBLEMS = (
    _style(
        "32-shallow",
        " with the two shallowest layers, 32x32, from noise: for trying things out",
        60,
        size=32,
        start="noise",
        layers=2,
    ),
    *(
        _style(f"{size}-{start}", f", {size}x{size}, from {text}", size=size, start=start)
        for size in SIZES
        for start, text in (("noise", "noise"), ("content", "the content"))
    ),
    *(
        _of_pixels("reconstruction", "reconstruction from relu3_1", size, _PHOTOGRAPHS, has_pixels=True)
        for size in SIZES
    ),
    *(_of_pixels("texture", "texture synthesis", size, _PAINTINGS, has_pixels=True) for size in SIZES),
    *(_of_pixels("dream", "a dream in bounded pixels", size, _PHOTOGRAPHS) for size in SIZES),
    *(_descent(dimensions) for dimensions in (1, 2)),
    *(
        _sine(name, batch_size)
        for batch_size in (0, 200)  # all points, or the course's mini-batches
        for name in ("line", "degree1", "degree2", "degree3", "degree4", "tanh")
    ),
    BenchmarkProblem(
        name="painter",
        title="2-64x6-3 network that paints a picture of 64x64",
        make=import_on_call("benchmarks.teaching.painting:make_problem"),
        tuning=("chelsea", "rocket"),
        scoring=("astronaut", "coffee"),
        budget=5000,  # about 60 epochs
        reference=import_on_call("jaxstyle.problems.painter:full_cost"),
        is_stochastic=True,
        defaults=NETWORK_DEFAULTS,
        is_picture=True,
    ),
    BenchmarkProblem(
        name="waves",
        title="LSTM of 6 units, two coupled waves 23 steps ahead",
        make=import_on_call("benchmarks.teaching.waves:make_instance"),
        tuning=("waves-0",),
        scoring=("waves-1",),
        budget=20_000,
        reference=import_on_call("benchmarks.teaching.waves:validation_loss"),
        is_stochastic=True,
        defaults={**NETWORK_DEFAULTS, "adam": {"learning_rate": 6e-4}},  # the published rate
    ),
    BenchmarkProblem(
        name="stocks",
        title="900-100-30 network, next change of 30 stocks of a generated market",
        make=import_on_call("benchmarks.teaching.stocks:make_instance"),
        tuning=("market-0", "market-1"),
        scoring=("market-2", "market-3"),
        budget=1500,  # 100 epochs
        reference=import_on_call("benchmarks.teaching.stocks:validation_error"),
        is_stochastic=True,
        defaults=NETWORK_DEFAULTS,
    ),
)

#: Every problem by name.
PROBLEMS: Mapping[str, BenchmarkProblem] = MappingProxyType({problem.name: problem for problem in _PROBLEMS})
