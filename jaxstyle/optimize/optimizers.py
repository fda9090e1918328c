"""Makes the optimizers of `jaxstyle.optimize.optimizer_table`."""

from typing import Any

import jax
import optax

from jaxstyle.checks import InputError, check_choice, check_not_negative, check_positive
from jaxstyle.optimize.optimizer_table import OPTIMIZERS as OPTIMIZERS
from jaxstyle.optimize.transforms.lbfgs import lengthen_first_step, scale_by_skipping_lbfgs

#: Options that say how much of an average is kept: at 1 it would never move.
DECAYS = ("b1", "b2", "b3", "rho", "decay", "momentum")

#: A backtracking search begins at the last step times this, at most at 1: so that quasi-Newton steps begin at 1.
ALWAYS_FROM_ONE = 1e9


def lbfgs(memory_size: int, max_linesearch_steps: int, initial_guess: str) -> optax.GradientTransformation:
    """Returns L-BFGS with the zoom line search: `optax.lbfgs` but for the length of the first step."""
    search = optax.scale_by_zoom_linesearch(
        max_linesearch_steps=int(max_linesearch_steps), initial_guess_strategy=initial_guess
    )
    return optax.chain(optax.scale_by_lbfgs(int(memory_size)), lengthen_first_step(), optax.scale(-1.0), search)


def lbfgs_backtracking(
    memory_size: int, max_linesearch_steps: int, decrease_factor: float
) -> optax.GradientTransformation:
    """Returns L-BFGS with a backtracking line search, without pairs of wrong curvature."""
    search = optax.scale_by_backtracking_linesearch(
        max_backtracking_steps=int(max_linesearch_steps),
        decrease_factor=decrease_factor,
        max_learning_rate=1.0,
        increase_factor=ALWAYS_FROM_ONE,
        store_grad=True,
    )
    return optax.chain(scale_by_skipping_lbfgs(int(memory_size)), optax.scale(-1.0), search)


def lbfgs_fixed(memory_size: int, learning_rate: float) -> optax.GradientTransformation:
    """Returns L-BFGS with steps of a fixed length, without pairs of wrong curvature."""
    return optax.chain(scale_by_skipping_lbfgs(int(memory_size)), optax.scale_by_learning_rate(learning_rate))


def make_optimizer(name: str, **overrides: Any) -> optax.GradientTransformation:
    """Returns the optimizer called `name`, with its defaults but for `overrides`.

    Raises:
        InputError: If there is no such optimizer, or it has no such hyper-parameter, or a value has the wrong sign.

    >>> make_optimizer("momentum", learning_rate=1e-3, momentum=0.8).init(1.0)[1]
    EmptyState()
    """
    if name == "auto":  # the command line's word for a whole setting
        raise InputError(
            "the name of an optimizer",
            "'auto', which stands for a start, unknowns and a stop rule as well",
            "call jaxstyle.stylize(content, styles), whose default it is, or see jaxstyle.AUTO",
        )
    spec = OPTIMIZERS[check_choice("optimizer", name, OPTIMIZERS)]
    settings = dict(spec.defaults)
    for option, value in overrides.items():
        if option not in settings:
            raise InputError(
                f"an option that {name} has ({', '.join(settings)})", option, "leave it out or choose another optimizer"
            )
        settings[option] = _check_option(option, value, settings[option])
    return spec.build(**settings)


def _check_option(option: str, value: Any, default: float | int | str) -> Any:
    """Returns `value` in the type of `default`, or says what is wrong with it."""
    if callable(value) or isinstance(value, jax.Array):  # a schedule, or one of a batch's scalars: nothing to check yet
        return value
    if isinstance(default, str):
        return check_choice(option, value, ("one", "keep"))
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"a number for {option}", repr(value), f"its default is {default}") from None
    if option in ("learning_rate", "max_learning_rate"):
        return check_positive(option, number)
    check_not_negative(option, number)
    if option in DECAYS and number >= 1:
        raise InputError(f"{option} below 1", value, f"its default is {default}")
    if isinstance(default, int):
        if number != int(number) or number < 1:
            raise InputError(f"a whole number above 0 for {option}", value, f"its default is {default}")
        return int(number)
    return number
