"""Makes the optimizers of `jaxstyle.optimize.optimizer_table`."""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxstyle.checks import InputError, check_choice, check_not_negative, check_positive
from jaxstyle.optimize.optimizer_table import OPTIMIZERS as OPTIMIZERS
from jaxstyle.optimize.transforms.lbfgs import lengthen_first_step, scale_by_skipping_lbfgs

#: Options that say how much of an average is kept: at 1 it would never move.
DECAYS = ("b1", "b2", "b3", "rho", "decay", "momentum")

#: A backtracking search begins with its last step length times this, but at most with 1: with a factor so large always
#: with 1, the natural step length of quasi-Newton methods.
INCREASE_FACTOR = 1e9


def lbfgs(memory_size: int, max_linesearch_steps: int, initial_guess: str) -> optax.GradientTransformation:
    """Returns L-BFGS with the zoom line search: `optax.lbfgs` but for the length of the first step."""
    search = optax.scale_by_zoom_linesearch(
        max_linesearch_steps=int(max_linesearch_steps), initial_guess_strategy=initial_guess
    )
    return optax.chain(optax.scale_by_lbfgs(int(memory_size)), lengthen_first_step(), optax.scale(-1.0), search)


def lbfgs_backtracking(
    memory_size: int, max_linesearch_steps: int, decrease_factor: float | jax.Array
) -> optax.GradientTransformation:
    """Returns L-BFGS with a backtracking line search, without pairs of wrong curvature."""
    search = optax.scale_by_backtracking_linesearch(
        max_backtracking_steps=int(max_linesearch_steps),
        decrease_factor=decrease_factor,
        max_learning_rate=1.0,
        increase_factor=INCREASE_FACTOR,
        store_grad=True,
    )
    return optax.chain(scale_by_skipping_lbfgs(int(memory_size)), optax.scale(-1.0), search)


def lbfgs_fixed(memory_size: int, learning_rate: float | jax.Array) -> optax.GradientTransformation:
    """Returns L-BFGS with steps of a fixed length, without pairs of wrong curvature."""
    return optax.chain(scale_by_skipping_lbfgs(int(memory_size)), optax.scale_by_learning_rate(learning_rate))


def make_optimizer(name: str, *, traced: Collection[str] = (), **overrides: Any) -> optax.GradientTransformation:
    """Returns the optimizer called `name`, with its defaults but for `overrides`.

    Args:
        name: A name in `OPTIMIZERS`.
        traced: Hyper-parameters that are kept in the optimizer's state (`optax.inject_hyperparams`) and so are
            arguments of a compiled program; the others are its constants. Optimizers that differ only in the values of
            traced ones share a program (`ProgramCache`), and `with_hyperparams` changes them in the middle of a run.
        **overrides: Hyper-parameters by name.

    Raises:
        InputError: If there is no such optimizer, or it has no such hyper-parameter, or a value has the wrong sign, or
            a traced one is no real number.

    >>> make_optimizer("momentum", learning_rate=1e-3, momentum=0.8).init(1.0)[1]
    EmptyState()
    >>> float(make_optimizer("sgd", traced=["learning_rate"], learning_rate=0.5).init(1.0).hyperparams["learning_rate"])
    0.5
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
    if not traced:
        return spec.build(**settings)
    for option in traced:
        check_choice(f"a traced option of {name}", option, real_options(name))
    return trace_options(spec.build, traced, settings)


def trace_options(
    build: Callable[..., optax.GradientTransformation], traced: Collection[str], settings: Mapping[str, Any]
) -> optax.GradientTransformation:
    """Returns `build(**settings)` with the hyper-parameters that `traced` names in its state, as float32."""
    constants = [option for option in inspect.signature(build).parameters if option not in traced]
    settings = {
        option: float(value) if isinstance(value, int) and option in traced else value
        for option, value in settings.items()
    }
    return optax.inject_hyperparams(build, static_args=constants, hyperparam_dtype=jnp.float32)(**settings)


def real_options(name: str) -> tuple[str, ...]:
    """Returns the hyper-parameters of an optimizer that are real numbers, and so may be traced."""
    return tuple(option for option, default in OPTIMIZERS[name].defaults.items() if isinstance(default, float))


def with_hyperparams(opt_state: optax.OptState, values: Mapping[str, float]) -> optax.OptState:
    """Returns the state of an optimizer with other values of its traced hyper-parameters, from the next step on.

    For a new run, make the optimizer with them instead: some use them in `init` as well.
    """
    if not values:
        return opt_state
    arrays = {option: jnp.asarray(value, jnp.float32) for option, value in values.items()}
    return optax.tree.set(opt_state, hyperparams={**optax.tree.get(opt_state, "hyperparams"), **arrays})


def _check_option(option: str, value: Any, default: float | int | str) -> Any:
    """Returns `value` in the type of `default`, or says what is wrong with it."""
    if callable(value) or isinstance(value, jax.Array):  # a schedule, or a traced value: nothing to check yet
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
