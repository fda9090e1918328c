"""The optimizers by name: one literal table.

Learning rates are for pixels on the 0..255 scale. Those marked "measured" are the best of a grid, in factors of about
3, on style transfer at 64x64 in 60 steps: `python -m benchmarks.learning_rates` makes that table again. Methods whose
step is in proportion to the gradient (sgd and its kin) want another rate at another size, in proportion to the number
of pixels at least, since the losses are means over them; those that normalize the gradient do not.

`tests/optimize/test_optimizer_updates.py` holds each row to the published update in NumPy; what a row does otherwise is
said in its `source`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import optax
from optax import contrib

from jaxstyle.checks import InputError, check_choice, check_not_negative, check_positive
from jaxstyle.optimize.transforms.adan import adan
from jaxstyle.optimize.transforms.ftrl import ftrl_proximal
from jaxstyle.optimize.transforms.lbfgs import lengthen_first_step, scale_by_skipping_lbfgs
from jaxstyle.optimize.transforms.rprop import rprop

#: Options that say how much of an average is kept: at 1 it would never move.
DECAYS = ("b1", "b2", "b3", "rho", "decay", "momentum")

#: A backtracking search begins at the last step times this, at most at 1: so that quasi-Newton steps begin at 1.
ALWAYS_FROM_ONE = 1e9


@dataclass(frozen=True)
class OptimizerSpec:
    """A row of the table.

    Attributes:
        name: What people type.
        build: Returns the optax optimizer from `defaults` and what overrides them.
        defaults: Every hyper-parameter that may be set, with its default.
        source: Where method and defaults come from.
        searches_line: Whether it evaluates the loss several times per step; such a method needs a deterministic loss.
    """

    name: str
    build: Callable[..., optax.GradientTransformation]
    defaults: Mapping[str, float | int | str]
    source: str
    searches_line: bool = False


def _lbfgs(memory_size: int, max_linesearch_steps: int, initial_guess: str) -> optax.GradientTransformation:
    search = optax.scale_by_zoom_linesearch(
        max_linesearch_steps=int(max_linesearch_steps), initial_guess_strategy=initial_guess
    )
    # optax.lbfgs but for the length of the first step.
    return optax.chain(optax.scale_by_lbfgs(int(memory_size)), lengthen_first_step(), optax.scale(-1.0), search)


def _lbfgs_backtracking(
    memory_size: int, max_linesearch_steps: int, decrease_factor: float | jax.Array
) -> optax.GradientTransformation:
    search = optax.scale_by_backtracking_linesearch(
        max_backtracking_steps=int(max_linesearch_steps),
        decrease_factor=decrease_factor,
        max_learning_rate=1.0,
        increase_factor=ALWAYS_FROM_ONE,
        store_grad=True,
    )
    return optax.chain(scale_by_skipping_lbfgs(int(memory_size)), optax.scale(-1.0), search)


def _lbfgs_fixed(memory_size: int, learning_rate: float | jax.Array) -> optax.GradientTransformation:
    return optax.chain(scale_by_skipping_lbfgs(int(memory_size)), optax.scale_by_learning_rate(learning_rate))


_SPECS = (
    OptimizerSpec(
        "adam",
        optax.adam,
        {"learning_rate": 10.0, "b1": 0.9, "b2": 0.999, "eps": 1e-8},
        "Kingma and Ba (2015); rate of the widely used TensorFlow style transfer program",
    ),
    OptimizerSpec(
        "lbfgs",
        _lbfgs,
        {"memory_size": 20, "max_linesearch_steps": 20, "initial_guess": "one"},
        "Liu and Nocedal (1989); zoom line search of Nocedal and Wright (2006), algorithms 3.5 and 3.6",
        searches_line=True,
    ),
    OptimizerSpec(
        "lbfgs_backtracking",
        _lbfgs_backtracking,
        {"memory_size": 20, "max_linesearch_steps": 20, "decrease_factor": 0.5},
        "Liu and Nocedal (1989); backtracking of Nocedal and Wright (2006), algorithm 3.1",
        searches_line=True,
    ),
    OptimizerSpec(
        "lbfgs_fixed",
        _lbfgs_fixed,
        {"memory_size": 20, "learning_rate": 1.0},
        "Liu and Nocedal (1989) with no line search, as the known PyTorch programs run it",
    ),
    OptimizerSpec("sgd", optax.sgd, {"learning_rate": 0.001}, "gradient descent, Cauchy (1847); rate measured"),
    OptimizerSpec(
        "momentum",
        optax.sgd,
        {"learning_rate": 0.0003, "momentum": 0.9},
        "Polyak (1964); rate measured",
    ),
    OptimizerSpec(
        "nesterov",
        partial(optax.sgd, nesterov=True),
        {"learning_rate": 0.0003, "momentum": 0.9},
        "Nesterov (1983) in the form of Sutskever et al. (2013); rate measured",
    ),
    OptimizerSpec(
        "adagrad",
        optax.adagrad,
        {"learning_rate": 30.0, "initial_accumulator_value": 0.1, "eps": 1e-7},
        "Duchi, Hazan and Singer (2011); rate measured",
    ),
    OptimizerSpec(
        "adadelta",
        optax.adadelta,
        {"learning_rate": 1000.0, "rho": 0.9, "eps": 1e-6},
        "Zeiler (2012), whose rate of 1 makes steps of eps**0.5; rate measured",
    ),
    OptimizerSpec(
        "rmsprop",
        optax.rmsprop,
        {"learning_rate": 3.0, "decay": 0.9, "eps": 1e-8, "momentum": 0.0},
        "Tieleman and Hinton (2012), lecture 6.5; rate measured",
    ),
    OptimizerSpec(
        "ftrl",
        ftrl_proximal,
        {"learning_rate": 30.0, "beta": 1.0, "l1": 0.0, "l2": 0.0},
        "McMahan et al. (2013), algorithm 1; rate measured",
    ),
    OptimizerSpec(
        "adabelief",
        optax.adabelief,
        {"learning_rate": 30.0, "b1": 0.9, "b2": 0.999, "eps": 1e-16},
        "Zhuang et al. (2020); rate measured",
    ),
    OptimizerSpec(
        "adamax",
        optax.adamax,
        {"learning_rate": 30.0, "b1": 0.9, "b2": 0.999, "eps": 1e-8},
        "Kingma and Ba (2015), algorithm 2; rate measured",
    ),
    OptimizerSpec(
        "adan",
        adan,
        {"learning_rate": 30.0, "b1": 0.98, "b2": 0.92, "b3": 0.99, "eps": 1e-8},
        "Xie et al. (2022), with the bias corrections of the authors' program; rate measured",
    ),
    OptimizerSpec(
        "ademamix",
        contrib.ademamix,
        {"learning_rate": 30.0, "b1": 0.9, "b2": 0.999, "b3": 0.9999, "alpha": 5.0, "eps": 1e-8},
        "Pagliardini, Ablin and Grangier (2024), with alpha and b3 constant from the start; rate measured",
    ),
    OptimizerSpec(
        "adopt",
        contrib.adopt,
        {"learning_rate": 10.0, "b1": 0.9, "b2": 0.9999, "eps": 1e-6},
        "Taniguchi et al. (2024), algorithm 2, clipped; rate measured",
    ),
    OptimizerSpec(
        "amsgrad",
        optax.amsgrad,
        {"learning_rate": 30.0, "b1": 0.9, "b2": 0.999, "eps": 1e-8},
        "Reddi, Kale and Kumar (2018), with Adam's bias corrections; rate measured",
    ),
    OptimizerSpec("fromage", optax.fromage, {"learning_rate": 0.03}, "Bernstein et al. (2020); rate measured"),
    OptimizerSpec(
        "lamb",
        optax.lamb,
        {"learning_rate": 0.03, "b1": 0.9, "b2": 0.999, "eps": 1e-6},
        "You et al. (2020), without weight decay; rate measured",
    ),
    OptimizerSpec(
        "lars",
        optax.lars,
        {"learning_rate": 10.0, "momentum": 0.9, "trust_coefficient": 0.001},
        "You, Gitman and Ginsburg (2017), without weight decay; rate measured",
    ),
    OptimizerSpec(
        "lion",
        partial(optax.lion, weight_decay=0.0),
        {"learning_rate": 3.0, "b1": 0.9, "b2": 0.99},
        "Chen et al. (2023), without weight decay; rate measured",
    ),
    OptimizerSpec(
        "madgrad",
        contrib.madgrad,
        {"learning_rate": 3.0, "momentum": 0.9, "eps": 1e-6},
        "Defazio and Jelassi (2021); rate measured",
    ),
    OptimizerSpec(
        "nadam",
        optax.nadam,
        {"learning_rate": 10.0, "b1": 0.9, "b2": 0.999, "eps": 1e-8},
        "Dozat (2016); rate measured",
    ),
    OptimizerSpec(
        "novograd",
        optax.novograd,
        {"learning_rate": 100.0, "b1": 0.9, "b2": 0.25, "eps": 1e-6},
        "Ginsburg et al. (2019); rate measured",
    ),
    OptimizerSpec(
        "optimistic_adam",
        partial(optax.optimistic_adam_v2, nesterov=False),
        {"learning_rate": 10.0, "b1": 0.9, "b2": 0.999, "eps": 1e-8},
        "Daskalakis et al. (2018), whose first step is twice as long; rate measured",
    ),
    OptimizerSpec(
        "optimistic_sgd",
        optax.optimistic_gradient_descent,
        {"learning_rate": 0.001, "alpha": 1.0, "beta": 1.0},
        "Mokhtari, Ozdaglar and Pattathil (2020); rate measured",
    ),
    OptimizerSpec(
        "prodigy",
        contrib.prodigy,
        {"learning_rate": 1.0, "estim_lr0": 1.0, "eps": 1e-8},
        "Mishchenko and Defazio (2023), algorithm 4, but always with Adam's bias correction: the first step is 0.32 of "
        "the paper's; finds its own rate from estim_lr0, here one gray level",
    ),
    OptimizerSpec(
        "polyak_sgd",
        optax.polyak_sgd,
        {"max_learning_rate": 0.1, "scaling": 1.0, "f_min": 0.0},
        "Polyak (1987), step (f - f_min) / |g|^2, capped; cap measured",
    ),
    OptimizerSpec(
        "rprop",
        rprop,
        {"learning_rate": 10.0, "eta_minus": 0.5, "eta_plus": 1.2, "min_step_size": 1e-6, "max_step_size": 50.0},
        "Riedmiller and Braun (1993) in the variant iRprop- of Igel and Hüsken (2000); rate (the first step) measured",
    ),
    OptimizerSpec("sign_sgd", optax.sign_sgd, {"learning_rate": 3.0}, "Bernstein et al. (2018); rate measured"),
    OptimizerSpec(
        "signum",
        optax.signum,
        {"learning_rate": 3.0, "beta": 0.9},
        "Bernstein et al. (2018); rate measured",
    ),
    OptimizerSpec(
        "sm3",
        optax.sm3,
        {"learning_rate": 30.0, "momentum": 0.9},
        "Anil et al. (2019); rate measured",
    ),
    OptimizerSpec(
        "yogi",
        optax.yogi,
        {"learning_rate": 30.0, "b1": 0.9, "b2": 0.999, "eps": 1e-3},
        "Zaheer et al. (2018), with moments that start at 1e-6 and Adam's bias corrections; rate measured",
    ),
)

#: Every optimizer by name.
OPTIMIZERS: Mapping[str, OptimizerSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})


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
