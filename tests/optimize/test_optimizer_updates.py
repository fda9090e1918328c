"""Every row of the table of optimizers against its published update, in NumPy and in double precision.

A reference is a generator of one leaf of the parameters: it yields where it is, and is sent the gradient there, the
loss, and where the row went from there. Each says which equations it is; what jaxstyle's row does otherwise is marked
"Deviation".
"""

from collections.abc import Callable, Generator
from itertools import count

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxstyle.optimize.optimizers import OPTIMIZERS, make_optimizer

#: What a reference is: sent (gradient, loss, where the row went), it yields the parameters after the step.
Path = Generator[np.ndarray, tuple[np.ndarray, float, np.ndarray], None]

STEPS = 30
#: Steps begin with weights far from 0 in a matrix and a vector: some methods use the norm of each.
SHAPES = ((3, 2), (4,))
START = [np.random.default_rng(0).normal(0, 2, shape) for shape in SHAPES]
TARGET = [np.random.default_rng(1).normal(0, 2, shape) for shape in SHAPES]
CURVATURE = [np.random.default_rng(2).uniform(0.3, 3, shape) for shape in SHAPES]


def loss_of(leaves: list[np.ndarray]) -> float:
    """A bowl with waves: gradients change their signs in it, in some coordinates again and again."""
    return float(
        sum(
            np.sum(c / 2 * (w - t) ** 2 + 0.3 * np.cos(3 * w)) + 2
            for w, t, c in zip(leaves, TARGET, CURVATURE, strict=True)
        )
    )


def grad_of(leaves: list[np.ndarray]) -> list[np.ndarray]:
    return [c * (w - t) - 0.9 * np.sin(3 * w) for w, t, c in zip(leaves, TARGET, CURVATURE, strict=True)]


def adam(w: np.ndarray, learning_rate: float, b1: float, b2: float, eps: float) -> Path:
    """Kingma and Ba (2015), algorithm 1."""
    m = v = np.zeros_like(w)
    for t in count(1):
        g, *_ = yield w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        w = w - learning_rate * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)


def adamax(w: np.ndarray, learning_rate: float, b1: float, b2: float, eps: float) -> Path:
    """Kingma and Ba (2015), algorithm 2. Deviation: `eps` is added to |g|, so that nothing is divided by 0."""
    m = u = np.zeros_like(w)
    for t in count(1):
        g, *_ = yield w
        m, u = b1 * m + (1 - b1) * g, np.maximum(b2 * u, np.abs(g) + eps)
        w = w - learning_rate / (1 - b1**t) * m / u


def sgd(w: np.ndarray, learning_rate: float) -> Path:
    """Cauchy (1847)."""
    while True:
        g, *_ = yield w
        w = w - learning_rate * g


def momentum(w: np.ndarray, learning_rate: float, momentum: float) -> Path:
    """Polyak (1964), equation 9: w' = w - a g + b (w - w_before)."""
    before = w
    while True:
        g, *_ = yield w
        w, before = w - learning_rate * g + momentum * (w - before), w


def nesterov(w: np.ndarray, learning_rate: float, momentum: float) -> Path:
    """Sutskever et al. (2013), equations 3 and 4, seen from the point at which the gradient is taken.

    There v' = b v - a grad(x + b v) and x' = x + v'; here w is x + b v.
    """
    v, x = np.zeros_like(w), w
    while True:
        g, *_ = yield w
        v = momentum * v - learning_rate * g
        x = x + v
        w = x + momentum * v


def adagrad(w: np.ndarray, learning_rate: float, initial_accumulator_value: float, eps: float) -> Path:
    """Duchi, Hazan and Singer (2011), figure 1 with a diagonal matrix. Deviation: `eps` is under the root."""
    total = np.full_like(w, initial_accumulator_value)
    while True:
        g, *_ = yield w
        total = total + g**2
        w = w - learning_rate * g / np.sqrt(total + eps)


def adadelta(w: np.ndarray, learning_rate: float, rho: float, eps: float) -> Path:
    """Zeiler (2012), algorithm 1, times a rate that is 1 there."""
    grads = steps = np.zeros_like(w)
    while True:
        g, *_ = yield w
        grads = rho * grads + (1 - rho) * g**2
        step = np.sqrt(steps + eps) / np.sqrt(grads + eps) * g
        steps = rho * steps + (1 - rho) * step**2
        w = w - learning_rate * step


def rmsprop(w: np.ndarray, learning_rate: float, decay: float, eps: float, momentum: float) -> Path:
    """Tieleman and Hinton (2012), lecture 6.5, slide 29. `eps` under the root and a momentum are not there."""
    square = v = np.zeros_like(w)
    while True:
        g, *_ = yield w
        square = decay * square + (1 - decay) * g**2
        v = momentum * v + g / np.sqrt(square + eps)
        w = w - learning_rate * v


def ftrl(w: np.ndarray, learning_rate: float, beta: float, l1: float, l2: float) -> Path:
    """McMahan et al. (2013), algorithm 1. Deviation: z starts where w would follow from it, not at 0."""
    z, n = -w * (beta / learning_rate + l2) - np.sign(w) * l1, np.zeros_like(w)
    while True:
        g, *_ = yield w
        sigma = (np.sqrt(n + g**2) - np.sqrt(n)) / learning_rate
        z, n = z + g - sigma * w, n + g**2
        w = np.where(np.abs(z) <= l1, 0, -(z - np.sign(z) * l1) / ((beta + np.sqrt(n)) / learning_rate + l2))


def adabelief(w: np.ndarray, learning_rate: float, b1: float, b2: float, eps: float) -> Path:
    """Zhuang et al. (2020), algorithm 2. Its `eps` inside s is 1e-16 in the row, whatever the one outside."""
    m = s = np.zeros_like(w)
    for t in count(1):
        g, *_ = yield w
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * (g - m) ** 2 + 1e-16
        w = w - learning_rate * m / (1 - b1**t) / (np.sqrt(s / (1 - b2**t)) + eps)


def adan(w: np.ndarray, learning_rate: float, b1: float, b2: float, b3: float, eps: float) -> Path:
    """Xie et al. (2022), algorithm 1, with b for 1 - beta. Deviation: the authors' program's bias corrections."""
    m = v = n = np.zeros_like(w)
    before = None
    for t in count(1):
        g, *_ = yield w
        change = np.zeros_like(g) if before is None else g - before
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * change
        n = b3 * n + (1 - b3) * (g + b2 * change) ** 2
        step = m / (1 - b1**t) + b2 * v / (1 - b2**t)
        w, before = w - learning_rate * step / (np.sqrt(n / (1 - b3**t)) + eps), g


def ademamix(w: np.ndarray, learning_rate: float, b1: float, b2: float, b3: float, alpha: float, eps: float) -> Path:
    """Pagliardini, Ablin and Grangier (2024), algorithm 1. Deviation: alpha and b3 are constant from the start."""
    fast = slow = v = np.zeros_like(w)
    for t in count(1):
        g, *_ = yield w
        fast, slow = b1 * fast + (1 - b1) * g, b3 * slow + (1 - b3) * g
        v = b2 * v + (1 - b2) * g**2
        w = w - learning_rate * (fast / (1 - b1**t) + alpha * slow) / (np.sqrt(v / (1 - b2**t)) + eps)


def adopt(w: np.ndarray, learning_rate: float, b1: float, b2: float, eps: float) -> Path:
    """Taniguchi et al. (2024), algorithm 2: the first gradient only starts v; then clipped at t^(1/4)."""
    g, *_ = yield w
    m, v = np.zeros_like(w), g**2
    for t in count(1):
        g, *_ = yield w
        m = b1 * m + (1 - b1) * np.clip(g / np.maximum(np.sqrt(v), eps), -(t**0.25), t**0.25)
        v = b2 * v + (1 - b2) * g**2
        w = w - learning_rate * m


def amsgrad(w: np.ndarray, learning_rate: float, b1: float, b2: float, eps: float) -> Path:
    """Reddi, Kale and Kumar (2018), algorithm 2. Deviation: both moments are corrected for their bias, as Adam's."""
    m = v = most = np.zeros_like(w)
    for t in count(1):
        g, *_ = yield w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        most = np.maximum(most, v / (1 - b2**t))
        w = w - learning_rate * m / (1 - b1**t) / (np.sqrt(most) + eps)


def fromage(w: np.ndarray, learning_rate: float) -> Path:
    """Bernstein et al. (2020), algorithm 1."""
    while True:
        g, *_ = yield w
        w = (w - learning_rate * g * np.linalg.norm(w) / np.linalg.norm(g)) / np.sqrt(1 + learning_rate**2)


def lamb(w: np.ndarray, learning_rate: float, b1: float, b2: float, eps: float) -> Path:
    """You et al. (2020), algorithm 2, without weight decay, phi the identity."""
    m = v = np.zeros_like(w)
    for t in count(1):
        g, *_ = yield w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        r = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        w = w - learning_rate * np.linalg.norm(w) / np.linalg.norm(r) * r


def lars(w: np.ndarray, learning_rate: float, momentum: float, trust_coefficient: float) -> Path:
    """You, Gitman and Ginsburg (2017), algorithm 1, without weight decay."""
    v = np.zeros_like(w)
    while True:
        g, *_ = yield w
        local = trust_coefficient * np.linalg.norm(w) / np.linalg.norm(g)
        v = momentum * v + learning_rate * local * g
        w = w - v


def lion(w: np.ndarray, learning_rate: float, b1: float, b2: float) -> Path:
    """Chen et al. (2023), algorithm 2, without weight decay."""
    m = np.zeros_like(w)
    while True:
        g, *_ = yield w
        w, m = w - learning_rate * np.sign(b1 * m + (1 - b1) * g), b2 * m + (1 - b2) * g


def madgrad(w: np.ndarray, learning_rate: float, momentum: float, eps: float) -> Path:
    """Defazio and Jelassi (2021), algorithm 1. Deviation, as in the authors' program: `eps` is added to the rate."""
    start, s, v = w, np.zeros_like(w), np.zeros_like(w)
    for k in count():
        g, *_ = yield w
        rate = (learning_rate + eps) * np.sqrt(k + 1)
        s, v = s + rate * g, v + rate * g**2
        w = momentum * w + (1 - momentum) * (start - s / (np.cbrt(v) + eps))


def nadam(w: np.ndarray, learning_rate: float, b1: float, b2: float, eps: float) -> Path:
    """Dozat (2016), algorithm 2, with a constant mu."""
    m = v = np.zeros_like(w)
    for t in count(1):
        g, *_ = yield w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        ahead = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        w = w - learning_rate * ahead / (np.sqrt(v / (1 - b2**t)) + eps)


def novograd(w: np.ndarray, learning_rate: float, b1: float, b2: float, eps: float) -> Path:
    """Ginsburg et al. (2019), algorithm 1, without weight decay: one second moment for each leaf."""
    g, *_ = yield w
    v = np.sum(g**2)
    m = g / (np.sqrt(v) + eps)
    while True:
        w = w - learning_rate * m
        g, *_ = yield w
        v = b2 * v + (1 - b2) * np.sum(g**2)
        m = b1 * m + g / (np.sqrt(v) + eps)


def optimistic_adam(w: np.ndarray, learning_rate: float, b1: float, b2: float, eps: float) -> Path:
    """Daskalakis et al. (2018), algorithm 1. Deviation: the first step is taken once, not twice."""
    m = v = np.zeros_like(w)
    before = None
    for t in count(1):
        g, *_ = yield w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        step = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        w = w - 2 * learning_rate * step + learning_rate * (step if before is None else before)
        before = step


def optimistic_sgd(w: np.ndarray, learning_rate: float, alpha: float, beta: float) -> Path:
    """Mokhtari, Ozdaglar and Pattathil (2020), generalized OGDA: w - (alpha + beta) g + beta g_before."""
    before = None
    while True:
        g, *_ = yield w
        before = g if before is None else before
        w, before = w - learning_rate * ((alpha + beta) * g - beta * before), g


def prodigy(w: np.ndarray, learning_rate: float, estim_lr0: float, eps: float) -> Path:
    """Mishchenko and Defazio (2023), algorithm 4, on all parameters at once.

    Deviation: rates have Adam's bias correction, which the authors' program has as an option and the paper has not.
    """
    b1, b2 = 0.9, 0.999
    start, d = w, estim_lr0
    m = v = s = np.zeros_like(w)
    r = 0.0
    for t in count(1):
        g, *_ = yield w
        rate = learning_rate * np.sqrt(1 - b2**t) / (1 - b1**t)
        m, v = b1 * m + (1 - b1) * d * g, b2 * v + (1 - b2) * d**2 * g**2
        r = np.sqrt(b2) * r + (1 - np.sqrt(b2)) * rate * d**2 * np.vdot(g, start - w)
        s = np.sqrt(b2) * s + (1 - np.sqrt(b2)) * rate * d**2 * g
        new = max(d, r / np.abs(s).sum())
        w, d = w - rate * d * m / (np.sqrt(v) + new * eps), new


def polyak_sgd(w: np.ndarray, max_learning_rate: float, scaling: float, f_min: float) -> Path:
    """Polyak (1987), step (f - f_min) / |g|^2 on all parameters at once; capped, then scaled."""
    while True:
        g, loss, _ = yield w
        w = w - scaling * min((loss - f_min) / np.sum(g**2), max_learning_rate) * g


def rprop(
    w: np.ndarray, learning_rate: float, eta_minus: float, eta_plus: float, min_step_size: float, max_step_size: float
) -> Path:
    """Igel and Hüsken (2000), iRprop-, coordinate by coordinate."""
    w, size, before = w.copy(), np.full_like(w, learning_rate), np.zeros_like(w)
    while True:
        g, *_ = yield w.copy()
        for place in np.ndindex(w.shape):
            slope = g[place]
            if slope * before[place] > 0:
                size[place] = min(size[place] * eta_plus, max_step_size)
            elif slope * before[place] < 0:
                size[place] = max(size[place] * eta_minus, min_step_size)
                slope = 0.0
            w[place] -= np.sign(slope) * size[place]
            before[place] = slope


def sign_sgd(w: np.ndarray, learning_rate: float) -> Path:
    """Bernstein et al. (2018), algorithm 1."""
    while True:
        g, *_ = yield w
        w = w - learning_rate * np.sign(g)


def signum(w: np.ndarray, learning_rate: float, beta: float) -> Path:
    """Bernstein et al. (2018), algorithm 2."""
    m = np.zeros_like(w)
    while True:
        g, *_ = yield w
        m = beta * m + (1 - beta) * g
        w = w - learning_rate * np.sign(m)


def sm3(w: np.ndarray, learning_rate: float, momentum: float) -> Path:
    """Anil et al. (2019), algorithm SM3-II, with the rows and columns of a matrix as its sets; section 5's momentum."""
    m = np.zeros_like(w)
    parts = [np.zeros(size) for size in w.shape]
    while True:
        g, *_ = yield w
        total = g**2 + np.min(np.broadcast_arrays(*np.ix_(*parts)), axis=0)
        parts = [np.max(total, axis=tuple(a for a in range(w.ndim) if a != axis)) for axis in range(w.ndim)]
        m = momentum * m + (1 - momentum) * g / np.sqrt(total + 1e-8)
        w = w - learning_rate * m


def yogi(w: np.ndarray, learning_rate: float, b1: float, b2: float, eps: float) -> Path:
    """Zaheer et al. (2018), algorithm 2. Deviation: moments start at 1e-6, and their bias is corrected as in Adam."""
    m = v = np.full_like(w, 1e-6)
    for t in count(1):
        g, *_ = yield w
        m, v = b1 * m + (1 - b1) * g, v - (1 - b2) * np.sign(v - g**2) * g**2
        w = w - learning_rate * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)


def skip_pair(s: np.ndarray, y: np.ndarray) -> bool:
    """Press et al. (2007), section 10.9, dfpmin."""
    return y @ s <= np.sqrt(np.finfo(float).eps * (y @ y) * (s @ s))


def bfgs_step(g: np.ndarray, pairs: list, scale: float) -> np.ndarray:
    """Returns `H g`: Nocedal and Wright (2006), equation 7.16, with whole matrices; `scale` is that of the first."""
    inverse = scale * np.eye(len(g))
    for s, y in pairs:
        v = np.eye(len(g)) - np.outer(y, s) / (y @ s)
        inverse = v.T @ inverse @ v + np.outer(s, s) / (y @ s)
    return inverse @ g


def lbfgs_path(w: np.ndarray, memory_size: int, choose: Callable, *, first_norm: int, keeps_all: bool = False) -> Path:
    """Liu and Nocedal (1989), equation 7.20 of Nocedal and Wright (2006) for the scale; `choose` gives the next place.

    The length of the first step is not theirs: it is 1, by the norm `first_norm`.
    """
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    before = None
    while True:
        g, loss, found = yield w
        if before is not None:
            s, y = w - before[0], g - before[1]
            if keeps_all or not skip_pair(s, y):
                pairs = [*pairs, (s, y)][-memory_size:]
        scale = 1 / np.linalg.norm(g, first_norm)
        if pairs:
            s, y = pairs[-1]
            scale = (s @ y) / (y @ y)
        elif before is not None:
            scale = max(1.0, scale)
        before = w, g
        w = choose(w, -bfgs_step(g, pairs, scale), g, loss, found)


def lbfgs_fixed(w: np.ndarray, memory_size: int, learning_rate: float) -> Path:
    """Liu and Nocedal (1989) with no line search."""
    return lbfgs_path(w, memory_size, lambda w, p, *_: w + learning_rate * p, first_norm=1)


def lbfgs_backtracking(w: np.ndarray, memory_size: int, max_linesearch_steps: int, decrease_factor: float) -> Path:
    """Nocedal and Wright (2006), algorithm 3.1, from a step of 1, with c = 1e-4."""

    def choose(w: np.ndarray, p: np.ndarray, g: np.ndarray, loss: float, found: np.ndarray) -> np.ndarray:
        step = 1.0
        for _ in range(max_linesearch_steps):
            if loss_of(split(w + step * p)) <= loss + 1e-4 * step * (g @ p):
                break
            step *= decrease_factor
        return w + step * p

    return lbfgs_path(w, memory_size, choose, first_norm=1)


def lbfgs(w: np.ndarray, memory_size: int, max_linesearch_steps: int, initial_guess: str) -> Path:
    """Nocedal and Wright (2006), algorithms 3.5 and 3.6: any step that fulfils the strong Wolfe conditions (3.7).

    The step is the row's, and must satisfy them: c1 = 1e-4, c2 = 0.9; or, where the loss is as low as can be told, the
    approximate decrease of Hager and Zhang (2005), equation 4.1, in place of the first.
    """

    def choose(w: np.ndarray, p: np.ndarray, g: np.ndarray, loss: float, found: np.ndarray) -> np.ndarray:
        if np.linalg.norm(g) < 1e-7:  # nothing is to be had any more
            return found
        step = (found - w) @ p / (p @ p)
        end, slope = loss_of(split(w + step * p)), flat(grad_of(split(w + step * p))) @ p
        is_low = abs(end - loss) <= 1e-6 * abs(loss) and slope <= (2e-4 - 1) * (g @ p)
        assert end <= loss + 1e-4 * step * (g @ p) or is_low
        assert abs(slope) <= 0.9 * abs(g @ p)
        return w + step * p

    return lbfgs_path(w, memory_size, choose, first_norm=2, keeps_all=True)


REFERENCES: dict[str, Callable[..., Path]] = {
    reference.__name__: reference
    for reference in (
        adabelief,
        adadelta,
        adagrad,
        adam,
        adamax,
        adan,
        ademamix,
        adopt,
        amsgrad,
        fromage,
        ftrl,
        lamb,
        lars,
        lbfgs,
        lbfgs_backtracking,
        lbfgs_fixed,
        lion,
        madgrad,
        momentum,
        nadam,
        nesterov,
        novograd,
        optimistic_adam,
        optimistic_sgd,
        polyak_sgd,
        prodigy,
        rmsprop,
        rprop,
        sgd,
        sign_sgd,
        signum,
        sm3,
        yogi,
    )
}

#: References of all parameters at once, not leaf by leaf.
WHOLE = ("lbfgs", "lbfgs_backtracking", "lbfgs_fixed", "polyak_sgd", "prodigy")

#: Options where the row's defaults would hide a part of the update, or are for pixels.
OPTIONS: dict[str, dict[str, float | int]] = {
    "adadelta": {"learning_rate": 100.0},
    "ademamix": {"learning_rate": 0.1, "b3": 0.99},
    "fromage": {"learning_rate": 0.05},
    "ftrl": {"learning_rate": 1.0, "l1": 0.5, "l2": 0.1},
    "lamb": {"learning_rate": 0.05},
    "lars": {"learning_rate": 10.0},
    "lbfgs": {"memory_size": 3},
    "lbfgs_backtracking": {"memory_size": 3},
    "lbfgs_fixed": {"memory_size": 3, "learning_rate": 0.8},
    "momentum": {"learning_rate": 0.05},
    "nesterov": {"learning_rate": 0.05},
    "optimistic_sgd": {"learning_rate": 0.05, "alpha": 1.5, "beta": 0.7},
    "polyak_sgd": {"max_learning_rate": 0.3, "scaling": 0.9, "f_min": 0.5},
    "prodigy": {"estim_lr0": 0.01},
    "rmsprop": {"learning_rate": 0.05, "momentum": 0.5},
    "rprop": {"learning_rate": 0.1, "max_step_size": 0.4, "min_step_size": 0.01},
    "sgd": {"learning_rate": 0.1},
}
DEFAULT_OPTIONS = {"learning_rate": 0.1}


def flat(leaves: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([leaf.ravel() for leaf in leaves])


def split(vector: np.ndarray) -> list[np.ndarray]:
    """Returns the leaves that `flat` put into a vector."""
    places = np.cumsum([np.prod(shape) for shape in SHAPES])[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(vector, places), SHAPES, strict=True)]


def test_every_row_has_a_reference():
    assert set(REFERENCES) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_are_the_published_ones(name: str, float64: None):
    options = {**OPTIMIZERS[name].defaults, **OPTIONS.get(name, DEFAULT_OPTIONS)}
    optimizer = optax.with_extra_args_support(make_optimizer(name, **options))
    # To compile is slower than 30 steps are, but for those with loops in them.
    update = jax.jit(optimizer.update, static_argnames="value_fn") if "lbfgs" in name else optimizer.update
    starts = [flat(START)] if name in WHOLE else START
    paths = [REFERENCES[name](start, **options) for start in starts]
    expected, found = [next(path) for path in paths], [jnp.asarray(leaf) for leaf in START]
    state = optimizer.init(found)
    for step in range(STEPS):
        here = split(expected[0]) if name in WHOLE else expected
        grads, loss = grad_of([np.asarray(leaf) for leaf in found]), loss_of([np.asarray(leaf) for leaf in found])
        grads = [jnp.asarray(grad) for grad in grads]
        moves, state = update(grads, state, found, value=jnp.asarray(loss), grad=grads, value_fn=traced_loss)
        found = [leaf + move for leaf, move in zip(found, moves, strict=True)]
        sent, there = (
            [flat(leaves)] if name in WHOLE else leaves
            for leaves in (grad_of(here), [np.asarray(leaf) for leaf in found])
        )
        expected = [path.send((grad, loss_of(here), goes)) for path, grad, goes in zip(paths, sent, there, strict=True)]
        np.testing.assert_allclose(flat(there), flat(expected), rtol=1e-6, atol=1e-6, err_msg=f"step {step}")
    assert np.abs(flat(there) - flat(START)).max() > 0.3  # it went somewhere


def traced_loss(leaves: list[jax.Array]) -> jax.Array:
    """`loss_of`, for line searches."""
    return sum(
        (
            jnp.sum(c / 2 * (w - t) ** 2 + 0.3 * jnp.cos(3 * w)) + 2
            for w, t, c in zip(leaves, TARGET, CURVATURE, strict=True)
        ),
        start=jnp.zeros(()),
    )
