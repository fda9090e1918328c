"""What is compared: an optimizer, or a sequence of them, and which of its settings are tuned within which ranges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from jaxstyle.optimize.optimizers import OPTIMIZERS

#: Options that set the size of a step, whichever an optimizer has.
RATES = ("learning_rate", "max_learning_rate", "estim_lr0")

#: Options that say how much of an average of gradients is kept.
DECAYS = ("b1", "momentum", "beta", "rho", "decay")

#: Standard deviation of a perturbation, relative to the root mean square of the unknowns: about 10 gray levels.
PERTURBATION = 0.08


@dataclass(frozen=True)
class Range:
    """Where a setting is looked for.

    Attributes:
        low: See `kind`.
        high: See `kind`.
        kind: `factor`: the default times `low` to `high`, on a logarithmic scale. `decay`: from `low` to `high`, with
            1 - value on a logarithmic scale. `choice`: one of `choices`.
        choices: See `kind`.
    """

    low: float = 0.0
    high: float = 0.0
    kind: str = "factor"
    choices: tuple[Any, ...] = ()

    def at(self, share: float, default: Any) -> Any:
        """Returns the value a `share` in [0, 1) of the way through the range."""
        if self.kind == "choice":
            return self.choices[int(share * len(self.choices))]
        if self.kind == "decay":
            return 1 - (1 - self.low) * ((1 - self.high) / (1 - self.low)) ** share
        return default * self.low * (self.high / self.low) ** share


@dataclass(frozen=True)
class Phase:
    """A part of a run.

    Attributes:
        optimizer: A name in `jaxstyle.optimize.optimizers`.
        share: Share of the budget.
        shrink: Divisor of the picture's size.
        parameterization: See `jaxstyle.problems.parameterizations`.
        begin: `continue` from what the phase before hands on (its best by its own loss; the last, where that is drawn
            at random), `perturb` that first, or begin `anew` from another start.
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
    """What is compared.

    Attributes:
        name: What people type; also in records.
        phases: One after the other; their shares sum to 1. None for an optimizer that is not jaxstyle's.
        space: Settings to tune. Each goes to every phase whose optimizer has such an option.
        peer: `scipy` or `torch`, for an optimizer of theirs.
        defaults: A peer's default settings.
    """

    name: str
    phases: tuple[Phase, ...] = ()
    space: Mapping[str, Range] = field(default_factory=dict)
    peer: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs_pixels(self) -> bool:
        """Whether it needs a problem whose unknowns are pixels."""
        return any(phase.shrink > 1 or phase.parameterization != "pixels" for phase in self.phases)

    @property
    def needs_determinism(self) -> bool:
        """Whether it compares values of the loss, so that these must not be drawn at random."""
        return bool(self.peer) or any(
            OPTIMIZERS[phase.optimizer].searches_line or phase.optimizer == "lbfgs_fixed" for phase in self.phases
        )


_MEMORY = {"memory_size": Range(kind="choice", choices=(5, 10, 20, 40))}


def _space_of(optimizer: str) -> dict[str, Range]:
    """Returns the ranges of an optimizer's rate, and of its first decay; of the memory of L-BFGS."""
    options = OPTIMIZERS[optimizer].defaults
    if OPTIMIZERS[optimizer].searches_line:
        return dict(_MEMORY)
    rates = {name: Range(1 / 50, 50.0) for name in RATES if name in options}
    decays = [
        name for name in DECAYS if name in options and isinstance(value := options[name], float) and 0 < value < 1
    ]
    return rates | {name: Range(0.5, 0.99, "decay") for name in decays[:1]}


def _single(optimizer: str) -> Method:
    space = _space_of(optimizer) if optimizer != "lbfgs_fixed" else {"learning_rate": Range(0.1, 2.0), **_MEMORY}
    return Method(optimizer, (Phase(optimizer),), space)


def _cycles(optimizer: str) -> tuple[Phase, ...]:
    """Returns three cycles, each twice as long as the one before, as in Loshchilov and Hutter (2017), table 1."""
    return tuple(
        Phase(optimizer, share / 7, begin="perturb" if index else "continue", schedule="cosine")
        for index, share in enumerate((1, 2, 4))
    )


_METHODS = (
    *(_single(name) for name in OPTIMIZERS),
    Method("lbfgs_preconditioned", (Phase("lbfgs", parameterization="preconditioned"),), _MEMORY),
    Method("lbfgs_laplacian", (Phase("lbfgs", parameterization="laplacian"),), _MEMORY),
    Method("adam_preconditioned", (Phase("adam", parameterization="preconditioned"),), _space_of("adam")),
    Method("adam_laplacian", (Phase("adam", parameterization="laplacian"),), _space_of("adam")),
    Method("adam_then_lbfgs", (Phase("adam", 0.25), Phase("lbfgs", 0.75)), _space_of("adam")),
    Method("adam_cosine", (Phase("adam", schedule="cosine"),), _space_of("adam")),
    Method("adam_warm_restarts", _cycles("adam"), _space_of("adam")),
    Method("lbfgs_perturbed", (Phase("lbfgs", 0.5), Phase("lbfgs", 0.5, begin="perturb")), _MEMORY),
    Method("lbfgs_random_restarts", (Phase("lbfgs", 0.5), Phase("lbfgs", 0.5, begin="anew")), _MEMORY),
    Method("lbfgs_coarse_to_fine", (Phase("lbfgs", 0.1, shrink=2), Phase("lbfgs", 0.9)), _MEMORY),
    Method(
        "lbfgs_preconditioned_coarse_to_fine",
        (
            Phase("lbfgs", 0.1, shrink=2, parameterization="preconditioned"),
            Phase("lbfgs", 0.9, parameterization="preconditioned"),
        ),
        _MEMORY,
    ),
    Method("adam_coarse_to_fine", (Phase("adam", 0.1, shrink=2), Phase("adam", 0.9)), _space_of("adam")),
    Method("scipy_lbfgsb", space=_MEMORY, peer="scipy", defaults={"memory_size": 20}),
    Method("torch_lbfgs", space={"learning_rate": Range(0.1, 2.0)}, peer="torch", defaults={"learning_rate": 1.0}),
)

#: Names that methods had in older records, and those that they have now: `fourier` is another parameterization.
RENAMED: Mapping[str, str] = MappingProxyType(
    {
        "lbfgs_fourier": "lbfgs_preconditioned",
        "adam_fourier": "adam_preconditioned",
        "lbfgs_fourier_coarse_to_fine": "lbfgs_preconditioned_coarse_to_fine",
    }
)

#: Every method by name.
METHODS: Mapping[str, Method] = MappingProxyType({method.name: method for method in _METHODS})
