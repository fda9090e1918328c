"""The optimizers by name: one literal table, which imports neither JAX nor optax.

Learning rates are for pixels on the 0..255 scale. Those marked "measured" are the best of a grid, in factors of about
3, on style transfer at 64x64 in 60 steps: `python -m benchmarks.experiments.learning_rates` makes that table again.
Methods whose step is in proportion to the gradient (sgd and similar ones) need another rate at another size, at least
in proportion to the number of pixels, because the losses are means over them; those that normalize the gradient do not.

`tests/optimize/test_optimizer_updates.py` compares each row with the published update in NumPy; the `source` of a row
names its deviations. Reference programs: https://github.com/sail-sg/Adan, https://github.com/iShohei220/adopt,
https://github.com/facebookresearch/madgrad.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pkgutil import resolve_name
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optax


@dataclass(frozen=True)
class OptimizerSpec:
    """A row of the table.

    Attributes:
        name: Name on the command line and in Python.
        defaults: Every hyper-parameter that may be set, with its default.
        source: Source of the method and of the defaults, with deviations.
        builder: `module:function` of the function that returns the optax optimizer, imported when it is first used;
            empty for the function of optax with the row's name.
        rate: Name of the option that is its learning rate; empty if it has none.
        decay: Name of the option that is its main decay: the share of the first average that is kept from step to step;
            empty if it has none.
        fixed: Arguments of the builder that are not options.
        searches_line: Whether it evaluates the loss several times per step.
        needs_fixed_objective: Whether it compares losses or gradients of different steps, so that nothing in the loss
            may be drawn at random from step to step.
        reads_rate_once: Whether it reads its learning rate at the first step only, so that a schedule has no effect.
    """

    name: str
    defaults: Mapping[str, float | int | str]
    source: str
    builder: str = ""
    rate: str = "learning_rate"
    decay: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    searches_line: bool = False
    needs_fixed_objective: bool = False
    reads_rate_once: bool = False

    @cached_property
    def build(self) -> "Callable[..., optax.GradientTransformation]":
        """The function that returns the optax optimizer from `defaults` and what overrides them."""
        function = resolve_name(self.builder or f"optax:{self.name}")
        return partial(function, **self.fixed) if self.fixed else function


#: Hyper-parameters of Adam, and of those that have the same.
_ADAM = {"learning_rate": 10.0, "b1": 0.9, "b2": 0.999, "eps": 1e-8}

#: Rows whose main decay has the name that Adam or momentum gives it, and rows with a line search.
_adam = partial(OptimizerSpec, decay="b1")
_momentum = partial(OptimizerSpec, decay="momentum")
_line_search = partial(OptimizerSpec, rate="", searches_line=True, needs_fixed_objective=True)

_SPECS = (
    _adam("adam", _ADAM, "Kingma and Ba (2015); rate of github.com/anishathalye/neural-style"),
    _line_search(
        "lbfgs",
        {"memory_size": 20, "max_linesearch_steps": 20, "initial_guess": "one"},
        "Liu and Nocedal (1989); zoom line search of Nocedal and Wright (2006), algorithms 3.5 and 3.6",
        "jaxstyle.optimize.optimizers:lbfgs",
    ),
    _line_search(
        "lbfgs_backtracking",
        {"memory_size": 20, "max_linesearch_steps": 20, "decrease_factor": 0.5},
        "Liu and Nocedal (1989); backtracking of Nocedal and Wright (2006), algorithm 3.1",
        "jaxstyle.optimize.optimizers:lbfgs_backtracking",
    ),
    OptimizerSpec(
        "lbfgs_fixed",
        {"memory_size": 20, "learning_rate": 1.0},
        "Liu and Nocedal (1989) with no line search, as in github.com/ProGamerGov/neural-style-pt",
        "jaxstyle.optimize.optimizers:lbfgs_fixed",
        needs_fixed_objective=True,
    ),
    OptimizerSpec("sgd", {"learning_rate": 0.001}, "gradient descent, Cauchy (1847); rate measured"),
    _momentum("momentum", {"learning_rate": 0.0003, "momentum": 0.9}, "Polyak (1964); rate measured", "optax:sgd"),
    _momentum(
        "nesterov",
        {"learning_rate": 0.0003, "momentum": 0.9},
        "Nesterov (1983) in the form of Sutskever et al. (2013); rate measured",
        "optax:sgd",
        fixed={"nesterov": True},
    ),
    OptimizerSpec(
        "adagrad",
        {"learning_rate": 30.0, "initial_accumulator_value": 0.1, "eps": 1e-7},
        "Duchi, Hazan and Singer (2011); rate measured",
    ),
    OptimizerSpec(
        "adadelta",
        {"learning_rate": 1000.0, "rho": 0.9, "eps": 1e-6},
        "Zeiler (2012), whose rate of 1 makes steps of eps**0.5; rate measured",
        decay="rho",
    ),
    OptimizerSpec(
        "rmsprop",
        {"learning_rate": 3.0, "decay": 0.9, "eps": 1e-8, "momentum": 0.0},
        "Tieleman and Hinton (2012), lecture 6.5; rate measured",
        decay="decay",
    ),
    OptimizerSpec(
        "ftrl",
        {"learning_rate": 30.0, "beta": 1.0, "l1": 0.0, "l2": 0.0},
        "McMahan et al. (2013), algorithm 1; rate measured",
        "jaxstyle.optimize.transforms.ftrl:ftrl_proximal",
    ),
    _adam("adabelief", _ADAM | {"learning_rate": 30.0, "eps": 1e-16}, "Zhuang et al. (2020); rate measured"),
    _adam("adamax", _ADAM | {"learning_rate": 30.0}, "Kingma and Ba (2015), algorithm 2; rate measured"),
    _adam(
        "adan",
        {"learning_rate": 30.0, "b1": 0.98, "b2": 0.92, "b3": 0.99, "eps": 1e-8},
        "Xie et al. (2022), with the bias corrections of the authors' program; rate measured",
        "jaxstyle.optimize.transforms.adan:adan",
    ),
    _adam(
        "ademamix",
        {"learning_rate": 30.0, "b1": 0.9, "b2": 0.999, "b3": 0.9999, "alpha": 5.0, "eps": 1e-8},
        "Pagliardini, Ablin and Grangier (2024), with alpha and b3 constant from the start; rate measured",
        "optax.contrib:ademamix",
    ),
    _adam(
        "adopt",
        _ADAM | {"b2": 0.9999, "eps": 1e-6},
        "Taniguchi et al. (2024), algorithm 2, clipped; rate measured",
        "optax.contrib:adopt",
    ),
    _adam(
        "amsgrad",
        _ADAM | {"learning_rate": 30.0},
        "Reddi, Kale and Kumar (2018), with Adam's bias corrections; rate measured",
    ),
    OptimizerSpec("fromage", {"learning_rate": 0.03}, "Bernstein et al. (2020); rate measured"),
    _adam(
        "lamb", _ADAM | {"learning_rate": 0.03, "eps": 1e-6}, "You et al. (2020), without weight decay; rate measured"
    ),
    _momentum(
        "lars",
        {"learning_rate": 10.0, "momentum": 0.9, "trust_coefficient": 0.001},
        "You, Gitman and Ginsburg (2017), without weight decay; rate measured",
    ),
    _adam(
        "lion",
        {"learning_rate": 3.0, "b1": 0.9, "b2": 0.99},
        "Chen et al. (2023), without weight decay; rate measured",
        fixed={"weight_decay": 0.0},
    ),
    _momentum(
        "madgrad",
        {"learning_rate": 3.0, "momentum": 0.9, "eps": 1e-6},
        "Defazio and Jelassi (2021); rate measured",
        "optax.contrib:madgrad",
    ),
    _adam("nadam", _ADAM, "Dozat (2016); rate measured"),
    _adam(
        "novograd",
        {"learning_rate": 100.0, "b1": 0.9, "b2": 0.25, "eps": 1e-6},
        "Ginsburg et al. (2019); rate measured",
    ),
    _adam(
        "optimistic_adam",
        _ADAM,
        "Daskalakis et al. (2018), whose first step is twice as long; rate measured",
        "optax:optimistic_adam_v2",
        fixed={"nesterov": False},
    ),
    OptimizerSpec(
        "optimistic_sgd",
        {"learning_rate": 0.001, "alpha": 1.0, "beta": 1.0},
        "Mokhtari, Ozdaglar and Pattathil (2020); rate measured",
        "optax:optimistic_gradient_descent",
    ),
    OptimizerSpec(
        "prodigy",
        {"learning_rate": 1.0, "estim_lr0": 1.0, "eps": 1e-8},
        "Mishchenko and Defazio (2023), algorithm 4, but always with Adam's bias correction: the first step is 0.32 of "
        "the paper's; finds its own rate from estim_lr0, here one gray level",
        "optax.contrib:prodigy",
    ),
    OptimizerSpec(
        "polyak_sgd",
        {"max_learning_rate": 0.1, "scaling": 1.0, "f_min": 0.0},
        "Polyak (1987), step (f - f_min) / |g|^2, capped; cap measured",
        rate="max_learning_rate",
    ),
    OptimizerSpec(
        "rprop",
        {"learning_rate": 10.0, "eta_minus": 0.5, "eta_plus": 1.2, "min_step_size": 1e-6, "max_step_size": 50.0},
        "Riedmiller and Braun (1993) in the variant iRprop- of Igel and Hüsken (2000); rate (the first step) measured",
        "jaxstyle.optimize.transforms.rprop:rprop",
        reads_rate_once=True,
    ),
    OptimizerSpec("sign_sgd", {"learning_rate": 3.0}, "Bernstein et al. (2018); rate measured"),
    OptimizerSpec(
        "signum", {"learning_rate": 3.0, "beta": 0.9}, "Bernstein et al. (2018); rate measured", decay="beta"
    ),
    _momentum("sm3", {"learning_rate": 30.0, "momentum": 0.9}, "Anil et al. (2019); rate measured"),
    _adam(
        "yogi",
        _ADAM | {"learning_rate": 30.0, "eps": 1e-3},
        "Zaheer et al. (2018), with moments that start at 1e-6 and Adam's bias corrections; rate measured",
    ),
)

#: Every optimizer by name.
OPTIMIZERS: Mapping[str, OptimizerSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})
