"""The methods that are compared: optimizers, or sequences of them, with the ranges of the settings that are tuned.

Nothing here imports JAX, so that methods can be listed and checked without delay.
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from jaxstyle.optimize.optimizer_table import OPTIMIZERS

#: Standard deviation of a perturbation, relative to the root mean square of the unknowns: about 10 gray levels.
PERTURBATION = 0.08


@dataclass(frozen=True)
class Range:
    """The values that are tried of a setting.

    Attributes:
        low: Lower end of the range, for the kinds `factor` and `decay`.
        high: Upper end of the range, for the kinds `factor` and `decay`.
        kind: `factor`: the default times `low` to `high`, on a logarithmic scale. `decay`: from `low` to `high`, with
            1 - value on a logarithmic scale. `choice`: one of `choices`.
        choices: The values of the kind `choice`.
    """

    low: float = 0.0
    high: float = 0.0
    kind: str = "factor"
    choices: tuple[Any, ...] = ()

    def at(self, share: float, default: Any = 1.0) -> Any:
        """Returns the value at a `share` in [0, 1) of the range."""
        if self.kind == "choice":
            return self.choices[int(share * len(self.choices))]
        if self.kind == "decay":
            return 1 - (1 - self.low) * ((1 - self.high) / (1 - self.low)) ** share
        return default * self.low * (self.high / self.low) ** share


#: Ranges of a learning rate, of one whose optimizer takes quasi-Newton steps, of a decay, and of the memory of L-BFGS.
RATE = Range(1 / 50, 50.0)
NEWTON_RATE = Range(0.1, 2.0)
DECAY = Range(0.5, 0.99, "decay")
MEMORY = Range(kind="choice", choices=(5, 10, 20, 40))


@dataclass(frozen=True)
class Phase:
    """A part of a run.

    Attributes:
        optimizer: A name in `jaxstyle.optimize.optimizer_table.OPTIMIZERS`.
        share: Share of the budget.
        shrink: Divisor of the picture's size.
        parameterization: A name in `jaxstyle.run_config.PARAMETERIZATIONS`.
        begin: `continue` from the result of the phase before (its best parameters, or its last ones for a loss that is
            drawn at random), `perturb` that first, or begin `anew` from another start.
        schedule: `constant`, or `cosine`: the learning rate falls to 0 within the phase.
        options: The optimizer's options that are not its defaults.
    """

    optimizer: str
    share: float = 1.0
    shrink: int = 1
    parameterization: str = "pixels"
    begin: str = "continue"
    schedule: str = "constant"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A method that is compared with others.

    Attributes:
        name: Name on the command line and in records.
        phases: The phases in their order; their shares sum to 1. Empty for an optimizer of another library.
        space: Ranges of the settings to tune. A setting applies to every phase whose optimizer has such an option.
        peer: `scipy` or `torch`, for an optimizer of that library.
        defaults: Default settings of an optimizer of another library.
    """

    name: str
    phases: tuple[Phase, ...] = ()
    space: Mapping[str, Range] = field(default_factory=dict)
    peer: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs_pixels(self) -> bool:
        """Whether the method needs a problem whose parameters are pixels."""
        return any(phase.shrink > 1 or phase.parameterization != "pixels" for phase in self.phases)

    @property
    def needs_fixed_objective(self) -> bool:
        """Whether the method compares losses or gradients of different steps, which must then be deterministic."""
        return bool(self.peer) or any(OPTIMIZERS[phase.optimizer].needs_fixed_objective for phase in self.phases)


def is_installed(peer: str) -> bool:
    """Returns whether a library is installed."""
    return importlib.util.find_spec(peer) is not None


def halton_points(dimensions: int, count: int, seed: int | None = None) -> np.ndarray:
    """Returns the points `[count, dimensions]` of a Halton sequence (1960) in [0, 1), scrambled if a seed is given."""
    from scipy.stats import qmc  # takes longer to import than `python -m benchmarks list` takes

    # Not `rng`, which scrambles in another way.
    sequence = qmc.Halton(dimensions, scramble=seed is not None, seed=seed)  # pyright: ignore[reportCallIssue]
    if seed is None:
        sequence.fast_forward(2)  # its first point is a corner of the space, its second the middle, the defaults
    return sequence.random(count) if count else np.empty((0, dimensions))


def _space_of(optimizer: str) -> dict[str, Range]:
    """Returns the ranges of an optimizer's learning rate, of its decay, and of the memory of L-BFGS."""
    spec = OPTIMIZERS[optimizer]
    space = {spec.rate: NEWTON_RATE if spec.needs_fixed_objective else RATE} if spec.rate else {}
    if "estim_lr0" in spec.defaults:  # Prodigy's initial estimate of the learning rate
        space["estim_lr0"] = RATE
    if spec.decay:
        space[spec.decay] = DECAY
    return space | ({"memory_size": MEMORY} if "memory_size" in spec.defaults else {})


def _sequence(name: str, *phases: Phase) -> Method:
    """Returns the method of several phases, or of one that is not as by default, with the space of the first one."""
    return Method(name, phases, _space_of(phases[0].optimizer))


def _cycles(optimizer: str) -> tuple[Phase, ...]:
    """Returns three cycles, each twice as long as the one before, as in Loshchilov and Hutter (2017), table 1."""
    return tuple(
        Phase(optimizer, share / 7, begin="perturb" if index else "continue", schedule="cosine")
        for index, share in enumerate((1, 2, 4))
    )


_METHODS = (
    *(_sequence(name, Phase(name)) for name in OPTIMIZERS),
    _sequence("lbfgs_preconditioned", Phase("lbfgs", parameterization="preconditioned")),
    _sequence("lbfgs_laplacian", Phase("lbfgs", parameterization="laplacian")),
    _sequence("adam_preconditioned", Phase("adam", parameterization="preconditioned")),
    _sequence("adam_laplacian", Phase("adam", parameterization="laplacian")),
    _sequence("adam_then_lbfgs", Phase("adam", 0.25), Phase("lbfgs", 0.75)),
    _sequence("adam_cosine", Phase("adam", schedule="cosine")),
    _sequence("adam_warm_restarts", *_cycles("adam")),
    _sequence("lbfgs_perturbed", Phase("lbfgs", 0.5), Phase("lbfgs", 0.5, begin="perturb")),
    _sequence("lbfgs_random_restarts", Phase("lbfgs", 0.5), Phase("lbfgs", 0.5, begin="anew")),
    _sequence("lbfgs_coarse_to_fine", Phase("lbfgs", 0.1, shrink=2), Phase("lbfgs", 0.9)),
    _sequence(
        "lbfgs_preconditioned_coarse_to_fine",
        Phase("lbfgs", 0.1, shrink=2, parameterization="preconditioned"),
        Phase("lbfgs", 0.9, parameterization="preconditioned"),
    ),
    _sequence("adam_coarse_to_fine", Phase("adam", 0.1, shrink=2), Phase("adam", 0.9)),
    Method("scipy_lbfgsb", space={"memory_size": MEMORY}, peer="scipy", defaults={"memory_size": 20}),
    Method("torch_lbfgs", space={"learning_rate": NEWTON_RATE}, peer="torch", defaults={"learning_rate": 1.0}),
)

#: Every method by name.
METHODS: Mapping[str, Method] = MappingProxyType({method.name: method for method in _METHODS})

#: Names that methods had in older records, and those that they have now: `fourier` is another parameterization.
RENAMED: Mapping[str, str] = MappingProxyType(
    {name.replace("preconditioned", "fourier"): name for name in METHODS if "preconditioned" in name}
)
