"""The problems on which optimizers are compared: what a problem is, and where its functions are found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxstyle.problems.problem import Args, Params, Problem
    from jaxstyle.types import Scalar


@dataclass(frozen=True)
class BenchmarkProblem:
    """A problem for optimizers to be compared on.

    Attributes:
        name: Name on the command line and in records.
        title: Short description for reports.
        make: Function `make(instance)` for one of the names in `tuning` and `scoring`; if the parameters are pixels
            `make(instance, shrink)`, 1 for full size, 2 for half the height and width. The problem's `init_fn(key)` is
            the start: with the same key the same for every optimizer.
        tuning: Instances (pictures, data) on which settings are chosen.
        scoring: Instances on which settings are scored; none of `tuning` is among them.
        budget: Evaluations of value and gradient of a run, if its suite has no other number.
        reference: Function `reference(params, args)`: the deterministic loss that scores every optimizer, whatever it
            minimizes itself; None for the problem's own loss, if that is deterministic.
        is_stochastic: Whether the loss draws something at random at each step.
        has_bounds: Whether the parameters are kept within bounds after each step.
        defaults: Default settings on this problem, by the optimizer's name. For other optimizers they are those of
            `jaxstyle.optimize.optimizer_table`, which are made for pixels on 0..255.
        methods: Names of the methods that run on this problem; empty for all of them.
        is_picture: Whether the problem renders a picture, which reports show.
        has_pixels: Whether the parameters are pixels, so that parameterizations and sizes apply.
    """

    name: str
    title: str
    make: "Callable[..., Problem]"
    tuning: tuple[str, ...]
    scoring: tuple[str, ...]
    budget: int
    reference: "Callable[[Params, Args], Scalar] | None" = None
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    methods: tuple[str, ...] | None = None
    is_stochastic: bool = False
    has_bounds: bool = False
    is_picture: bool = False
    has_pixels: bool = False

    def __post_init__(self) -> None:
        if shared := set(self.tuning) & set(self.scoring):
            raise ValueError(f"expected other instances to score on than to tune on, got {sorted(shared)} in both")


def import_on_call(name: str) -> Callable[..., Any]:
    """Returns a function that calls `module:function`, which is imported then: tables need no JAX."""
    return lambda *args, **options: resolve_name(name)(*args, **options)
