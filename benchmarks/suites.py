"""The suites: the problems and methods of a comparison, and the numbers of seeds, trials and evaluations."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from benchmarks.methods import METHODS, RENAMED
from benchmarks.problems.registry import PROBLEMS
from jaxstyle.checks import InputError, check_choice, check_positive


@dataclass(frozen=True)
class Suite:
    """A comparison. The records have all of its fields; everything that changes a run is one of them.

    Attributes:
        name: Name on the command line.
        problems: Names of `PROBLEMS`.
        methods: Names of `METHODS`.
        seeds: Starts of each problem and instance that settings are scored from, the same for all methods.
        trials: Settings tried for each method, its defaults first.
        instances: Instances of each problem to score on, at most; 0 for all.
        budget: Evaluations that each run may take; 0 for the problem's own.
        timeout: Seconds that a run may take, compilation included.
    """

    name: str
    problems: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: int
    trials: int
    instances: int = 0
    budget: int = 0
    timeout: float = 3600.0

    def __post_init__(self) -> None:
        for problem in self.problems:
            check_choice("problem", problem, PROBLEMS)
        for method in self.methods:
            if method in RENAMED:
                raise InputError("the present name of a method", repr(method), f"it is {RENAMED[method]!r} now")
            check_choice("optimizer", method, METHODS)
        for name in ("seeds", "trials", "timeout"):
            check_positive(name, getattr(self, name))
        for name in ("problems", "methods"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise InputError(f"{name} that differ, one at least", " ".join(values) or "none", "name each once")
        if min(self.instances, self.budget) < 0:
            raise InputError("instances and a budget of at least 0", min(self.instances, self.budget), "use 0 for all")


#: The best-known methods of each family, and combinations of them.
MAIN_METHODS = (
    *("sgd", "momentum", "adagrad", "rmsprop", "adam", "adabelief", "lion", "rprop"),
    *("lbfgs", "lbfgs_backtracking", "lbfgs_fixed", "lbfgs_preconditioned", "scipy_lbfgsb", "torch_lbfgs"),
    *("adam_then_lbfgs", "lbfgs_coarse_to_fine", "lbfgs_preconditioned_coarse_to_fine"),
)

_PICTURES_FIRST = tuple(sorted(PROBLEMS, key=lambda name: not PROBLEMS[name].is_picture))

_SUITES = (
    Suite(
        "smoke",
        ("sine-tanh", "style-32-shallow"),
        ("adam", "lbfgs", "scipy_lbfgsb", "adam_then_lbfgs"),
        seeds=2,
        trials=2,
        instances=1,
        budget=12,
    ),
    Suite(
        "quick",
        ("style-64-noise", "descent1d", "sine-tanh", "sine-tanh-batches"),
        MAIN_METHODS,
        seeds=10,
        trials=4,
        instances=1,
        budget=100,
    ),
    Suite("style", ("style-128-noise", "style-128-content"), MAIN_METHODS, seeds=10, trials=8, budget=300),
    Suite(
        "full",
        _PICTURES_FIRST,
        tuple(METHODS),
        seeds=10,
        trials=16,
    ),
)

#: Every suite by name.
SUITES: Mapping[str, Suite] = MappingProxyType({suite.name: suite for suite in _SUITES})
