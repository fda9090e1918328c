"""What a search chooses from: optimizer, learning rate, main decay, start, parameterization. Pure; no engine is here.

The learning rate is a multiple of the optimizer's own default, so that one range serves them all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scipy.stats import qmc

from jaxstyle.optimize.optimizers import DECAYS, OPTIMIZERS
from jaxstyle.optimize.settings import AUTO

#: Tried where nobody names any: the two that people compare, and four that did well at 64x64 in `learning_rates`.
SHORTLIST = ("lbfgs", "adam", "nadam", "adabelief", "adan", "rmsprop")

#: Multiples of the default learning rate.
RATE_FACTORS = (0.1, 10.0)

#: 1 minus the main decay, from averages over 2 steps to averages over 100.
FORGETTING = (0.01, 0.5)

#: Pairs that L-BFGS remembers. Each is a program of its own, so there are few.
MEMORY_SIZES = (5, 20, 50)

#: Shares of noise in the start: the content itself, or noise alone.
NOISE_BLENDS = (1.0, 0.0)

#: Coordinates of a point: learning rate, decay, memory, start, parameterization.
DIMENSIONS = 5


@dataclass(frozen=True)
class Candidate:
    """Settings to be tried.

    Attributes:
        optimizer: A name in `OPTIMIZERS`.
        rate_factor: Learning rate, as a multiple of that optimizer's default.
        options: Others that differ from their defaults.
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
        name = rate_name(self.optimizer)
        return None if name is None else _rounded(self.rate_factor * float(OPTIMIZERS[self.optimizer].defaults[name]))

    def all_options(self) -> dict[str, Any]:
        """Returns the options that differ from their defaults, and the learning rate."""
        name = rate_name(self.optimizer)
        return {**({} if name is None else {name: self.rate}), **self.options}


def rate_name(optimizer: str) -> str | None:
    """Returns what an optimizer calls its learning rate, or None if it has none."""
    defaults = OPTIMIZERS[optimizer].defaults
    return next((name for name in ("learning_rate", "max_learning_rate") if name in defaults), None)


def decay_name(optimizer: str) -> str | None:
    """Returns the name of an optimizer's main decay: of its momentum, or else of what it has; None if it has none."""
    defaults = OPTIMIZERS[optimizer].defaults
    return next((name for name in DECAYS if float(defaults.get(name, 0)) > 0), None)


def sample(optimizers: Sequence[str], count: int, parameterizations: Sequence[str], seed: int) -> list[Candidate]:
    """Returns `count` candidates, the optimizers in turn, so that each has as many as the others, or one more.

    The first of each optimizer has its defaults, in the first of `parameterizations`, from noise; that of `--optimizer
    auto` is as `auto` has it, so that no search ends with less. The others are points of a scrambled Halton sequence,
    the same points for each optimizer.

    Args:
        optimizers: Names.
        count: At least one for each.
        parameterizations: Names.
        seed: Seed of the scrambling.
    """
    halton = qmc.Halton(DIMENSIONS, scramble=True, seed=seed)  # pyright: ignore[reportCallIssue]  (SciPy 1.13 has no `rng`)
    points = halton.random(-(-count // len(optimizers)))
    candidates = []
    for number in range(count):
        turn, place = divmod(number, len(optimizers))
        if turn == 0:
            candidates.append(first_of(optimizers[place], parameterizations))
        else:
            candidates.append(candidate_at(optimizers[place], points[turn - 1], parameterizations))
    return candidates


def first_of(optimizer: str, parameterizations: Sequence[str]) -> Candidate:
    """Returns what is tried first of an optimizer."""
    if optimizer != AUTO.optimizer or AUTO.parameterization not in parameterizations:
        return Candidate(optimizer, parameterization=parameterizations[0])
    name = rate_name(optimizer) or ""
    options = {option: value for option, value in AUTO.options.items() if option != name}
    rate = AUTO.options.get(name)
    factor = 1.0 if rate is None else float(rate) / float(OPTIMIZERS[optimizer].defaults[name])
    return Candidate(optimizer, factor, options, AUTO.parameterization, float(AUTO.initial_noiseblend or 0.0))


def candidate_at(optimizer: str, point: Sequence[float], parameterizations: Sequence[str]) -> Candidate:
    """Returns the candidate at a point of `[0, 1)^5`: learning rate and forgetting are uniform in their logarithms."""
    rate, decay, memory, start, made_of = (float(share) for share in point)
    options: dict[str, float | int] = {}
    if (name := decay_name(optimizer)) is not None:
        options[name] = _rounded(1 - _between(FORGETTING, decay))
    if "memory_size" in OPTIMIZERS[optimizer].defaults:
        options["memory_size"] = _one_of(MEMORY_SIZES, memory)
    return Candidate(
        optimizer,
        1.0 if rate_name(optimizer) is None else _rounded(_between(RATE_FACTORS, rate)),
        options,
        _one_of(parameterizations, made_of),
        _one_of(NOISE_BLENDS, start),
    )


def _between(ends: tuple[float, float], share: float) -> float:
    low, high = ends
    return low * (high / low) ** share


def _one_of(choices: Sequence[Any], share: float) -> Any:
    return choices[int(share * len(choices))]


def _rounded(number: float) -> float:
    """Returns a number with three digits: nobody can tell more of them apart."""
    return float(f"{number:.3g}")
