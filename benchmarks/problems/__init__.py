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
        name: What users type; also in records.
        title: What it is, in half a line, for reports.
        make: `make(instance)`, for one of the names in `tuning` and `scoring`; where unknowns are pixels
            `make(instance, shrink)`, 1 for full size, 2 for half the height and width. The problem's `init_fn(key)` is
            the start: with the same key the same for every optimizer.
        tuning: Instances (pictures, data) that settings may be chosen on.
        scoring: Instances that they are scored on; none of `tuning` is among them.
        budget: Evaluations of value and gradient that a run may take, unless its suite says otherwise.
        reference: `reference(params, args)`: the frozen loss that scores every optimizer, whatever it minimizes itself;
            the problem's own loss, where that does not draw anything at random, if left out.
        is_stochastic: Whether its loss draws something at random at each step.
        has_bounds: Whether its unknowns are kept within bounds after each step.
        defaults: By an optimizer's name, its default settings on this problem. Where none are given, they are those of
            `jaxstyle.optimize.optimizer_table`, which are made for 0..255 pixels.
        methods: Names of the methods that it is for; all of them, if left out.
        is_picture: Whether what it renders is a picture, to be shown in reports.
        has_pixels: Whether its unknowns are pixels, so that parameterizations and sizes apply.
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
