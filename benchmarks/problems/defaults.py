"""Default settings of the optimizers for problems whose unknowns are not pixels.

The defaults of `jaxstyle.optimize.optimizer_table` are rates for pixels on the 0..255 scale, whose steps are far too
long for the weights of a network, which are around 0.1. The rates for networks are those of the literature: of the
method's own paper if it names a rate, otherwise the default of a widely used implementation, otherwise an estimate,
which the comment calls a judgment.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

#: For small networks and regressions, by optimizer: the options that differ from the table of optimizers.
NETWORK_DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "adam": {"learning_rate": 1e-3},  # Kingma and Ba (2015), algorithm 1
        "lbfgs": {},  # its line search finds the scale by itself
        "lbfgs_backtracking": {},  # the same
        "lbfgs_fixed": {"learning_rate": 1.0},  # PyTorch's default
        "sgd": {"learning_rate": 0.01},  # Keras's default; also the lecture notes' rate for the line
        "momentum": {"learning_rate": 0.01, "momentum": 0.9},  # Sutskever et al. (2013): 0.9 to 0.999; rate as sgd
        "nesterov": {"learning_rate": 0.01, "momentum": 0.9},  # as momentum
        "adagrad": {"learning_rate": 0.01},  # PyTorch's default; Duchi et al. (2011) give none
        "adadelta": {"learning_rate": 1.0, "rho": 0.95},  # Zeiler (2012), whose method has no rate: 1
        "rmsprop": {"learning_rate": 1e-3},  # Tieleman and Hinton (2012), lecture 6.5, as Keras and PyTorch read it
        "ftrl": {"learning_rate": 0.1},  # McMahan et al. (2013) tune it; a judgment: ten of Adagrad's, as beta is 1
        "adabelief": {"learning_rate": 1e-3},  # Zhuang et al. (2020), section 3
        "adamax": {"learning_rate": 2e-3},  # Kingma and Ba (2015), algorithm 2
        "adan": {"learning_rate": 1e-3},  # sail-sg/Adan
        "ademamix": {"learning_rate": 1e-3},  # as Adam, which it is at alpha 0
        "adopt": {"learning_rate": 1e-3},  # iShohei220/adopt
        "amsgrad": {"learning_rate": 1e-3},  # as Adam
        "fromage": {"learning_rate": 0.01},  # Bernstein et al. (2020): the rate they recommend
        "lamb": {"learning_rate": 1e-3},  # as Adam, whose direction it scales; a common default of programs
        "lars": {"learning_rate": 0.1},  # a judgment; You et al. (2017) give rates for ImageNet only, above 1
        "lion": {"learning_rate": 1e-4},  # Chen et al. (2023): three to ten times below AdamW's
        "madgrad": {"learning_rate": 0.01},  # facebookresearch/madgrad
        "nadam": {"learning_rate": 2e-3},  # Dozat (2016); PyTorch's default
        "novograd": {"learning_rate": 0.01},  # Ginsburg et al. (2019), image classification
        "optimistic_adam": {"learning_rate": 1e-3},  # as Adam
        "optimistic_sgd": {"learning_rate": 0.01},  # as sgd
        "prodigy": {"learning_rate": 1.0, "estim_lr0": 1e-6},  # Mishchenko and Defazio (2023), algorithm 4
        "polyak_sgd": {"max_learning_rate": 1.0},  # optax's default; Loizou et al. (2021) cap it as well
        "rprop": {"learning_rate": 0.1},  # Riedmiller and Braun (1993): the first step
        "sign_sgd": {"learning_rate": 1e-4},  # Bernstein et al. (2018), their ImageNet runs
        "signum": {"learning_rate": 1e-4},  # the same
        "sm3": {"learning_rate": 0.1},  # Anil et al. (2019): 0.1 to 0.3 in most of their runs
        "yogi": {"learning_rate": 0.01},  # Zaheer et al. (2018), with eps 1e-3
    }
)

#: For the descent on sin(10x) exp(-x). Methods whose step is in proportion to the gradient take the course's middle
#: rate; a place is about as large as a gray level, so that for all others the rates of the table of optimizers serve.
DESCENT_DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {name: {"learning_rate": 1.0} for name in ("sgd", "momentum", "nesterov", "optimistic_sgd")}
    | {"polyak_sgd": {"max_learning_rate": 500.0}}
)
