"""The space of a search: optimizer, learning rate, main decay, start, parameterization. Pure, without an engine.

The learning rate is a multiple of the optimizer's own default, so that one range serves all optimizers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.methods import DECAY, Range, halton_points
from jaxstyle.optimize.optimizer_table import OPTIMIZERS
from jaxstyle.run_config import AUTO

#: Optimizers tried by default: the two that are compared most often, and four that did well at 64x64 in
#: `benchmarks.experiments.learning_rates`.
SHORTLIST = ("lbfgs", "adam", "nadam", "adabelief", "adan", "rmsprop")

#: Multiples of the default learning rate.
RATE_FACTOR = Range(0.1, 10.0)

#: Numbers of pairs that L-BFGS stores. Each number needs a program of its own, so that there are few.
MEMORY = Range(kind="choice", choices=(5, 20, 50))

#: Shares of noise in the start: noise alone, or the content itself.
NOISE_BLEND = Range(kind="choice", choices=(1.0, 0.0))


@dataclass(frozen=True)
class Candidate:
    """Settings to be tried.

    Attributes:
        optimizer: A name in `OPTIMIZERS`.
        rate_factor: Learning rate, as a multiple of that optimizer's default.
        options: Other options that differ from their defaults.
        parameterization: A name in `jaxstyle.problems.parameterizations.PARAMETERIZATIONS`.
        noise_blend: Share of noise in the start.
    """

    optimizer: str
    rate_factor: float = 1.0
    options: Mapping[str, float | int | str] = field(default_factory=dict)
    parameterization: str = "pixels"
    noise_blend: float = 1.0

    @property
    def rate(self) -> float | None:
        """The learning rate; None for an optimizer that has none."""
        spec = OPTIMIZERS[self.optimizer]
        return _rounded(self.rate_factor * float(spec.defaults[spec.rate])) if spec.rate else None

    def all_options(self) -> dict[str, Any]:
        """Returns the options that differ from their defaults, and the learning rate."""
        rate = OPTIMIZERS[self.optimizer].rate
        return {**({rate: self.rate} if rate else {}), **self.options}


def sample(optimizers: Sequence[str], count: int, parameterizations: Sequence[str], seed: int) -> list[Candidate]:
    """Returns `count` candidates, the optimizers in turn, so that each has as many as the others, or one more.

    The first of each optimizer has its defaults, in the first of `parameterizations`, from noise; that of `--optimizer
    auto` is as `auto` has it, so that no search ends with a higher loss. The others are points of a scrambled Halton
    sequence, the same points for each optimizer.

    Args:
        optimizers: Names of optimizers.
        count: Number of candidates, at least one for each optimizer.
        parameterizations: Names of parameterizations.
        seed: Seed of the scrambling.
    """
    points = halton_points(5, -(-count // len(optimizers)), seed)  # see `candidate_at`
    candidates = []
    for number in range(count):
        turn, place = divmod(number, len(optimizers))
        if turn == 0:
            candidates.append(first_of(optimizers[place], parameterizations))
        else:
            candidates.append(candidate_at(optimizers[place], points[turn - 1], parameterizations))
    return candidates


def first_of(optimizer: str, parameterizations: Sequence[str]) -> Candidate:
    """Returns the first candidate of an optimizer."""
    if optimizer != AUTO.optimizer or AUTO.parameterization not in parameterizations:
        return Candidate(optimizer, parameterization=parameterizations[0])
    spec, options = OPTIMIZERS[optimizer], dict(AUTO.options)
    factor = float(options.pop(spec.rate)) / float(spec.defaults[spec.rate]) if spec.rate in options else 1.0
    return Candidate(optimizer, factor, options, AUTO.parameterization, float(AUTO.initial_noiseblend or 0.0))


def candidate_at(optimizer: str, point: Sequence[float], parameterizations: Sequence[str]) -> Candidate:
    """Returns the candidate at a point of `[0, 1)^5`: rate and 1 - decay are uniform in their logarithms."""
    rate, decay, memory, start, parameterization = (float(share) for share in point)
    spec, options = OPTIMIZERS[optimizer], {}
    if spec.decay:
        options[spec.decay] = _rounded(DECAY.at(1 - decay))
    if "memory_size" in spec.defaults:
        options["memory_size"] = MEMORY.at(memory)
    return Candidate(
        optimizer,
        _rounded(RATE_FACTOR.at(rate)) if spec.rate else 1.0,
        options,
        Range(kind="choice", choices=tuple(parameterizations)).at(parameterization),
        NOISE_BLEND.at(start),
    )


def _rounded(number: float) -> float:
    """Returns a number with three digits: smaller differences have no effect."""
    return float(f"{number:.3g}")
