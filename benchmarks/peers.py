"""Optimizers of other libraries on jaxstyle's problems: SciPy's L-BFGS-B and PyTorch's L-BFGS.

They get the same compiled value and gradient as jaxstyle's own optimizers. Their seconds also include their arithmetic,
on the host, and the copies between host and device.
"""

import importlib
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from benchmarks.instances import InstanceCache, make_instance
from benchmarks.methods import Method
from benchmarks.problems import BenchmarkProblem
from benchmarks.trace import Outcome, Trace
from jaxstyle.optimize.records import DIVERGENCE_FACTOR, DIVERGENCE_STEPS

if TYPE_CHECKING:
    import torch

#: History of L-BFGS in jcjohnson/neural-style and ProGamerGov/neural-style-pt: steps of 1 and no line search.
TORCH_HISTORY = 100


class _BudgetSpent(Exception):  # noqa: N818, it is no error
    """Raised inside an evaluation once the budget is spent."""


def run_peer(
    entry: BenchmarkProblem,
    instance: str,
    method: Method,
    settings: Mapping[str, Any],
    number: int,
    budget: int,
    cache: InstanceCache,
) -> Outcome:
    """Runs a peer from the start that all methods have, on the problem's own loss, until its budget is spent."""
    problem = make_instance(entry, instance, cache)
    start, unravel = ravel_pytree(problem.init_fn(jax.random.key(number)))

    def loss(flat: jax.Array, args: Any) -> jax.Array:
        return problem.loss_fn(unravel(flat), args, jax.random.key(0))[0]

    def compile_gradient() -> tuple[jax.stages.Compiled, float]:
        clock = time.perf_counter()
        compiled = jax.jit(jax.value_and_grad(loss)).lower(start, problem.args).compile()
        return compiled, time.perf_counter() - clock

    compiled, compile_seconds = cache.get(entry.name, ("gradient", start.shape), compile_gradient)
    settings = {**method.defaults, **settings}
    outcome = Outcome(Trace(), "budget", compile_seconds=compile_seconds)
    importlib.import_module(method.peer)  # before the clock runs
    if method.peer == "scipy":
        importlib.import_module("scipy.optimize")
    best = (np.inf, np.asarray(start))
    steps = [0] if method.peer == "scipy" else None  # PyTorch's takes one evaluation for each step
    clock = time.perf_counter()

    def evaluate(flat: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal best
        taken = len(outcome.trace.losses)
        if taken >= budget:
            raise _BudgetSpent
        value, grad = compiled(jnp.asarray(flat, start.dtype), problem.args)
        value, grad = float(value), np.asarray(grad)
        outcome.trace.add(taken + 1, taken if steps is None else steps[0], value, time.perf_counter() - clock)
        if value < best[0]:
            best = (value, np.array(flat))
        return value, grad

    try:
        _PEERS[method.peer](evaluate, np.asarray(start), settings, budget, steps)
        outcome.status = "done"
    except _BudgetSpent:
        pass
    losses = outcome.trace.losses
    outcome.initial = losses[0]
    is_high = len(losses) >= DIVERGENCE_STEPS and min(losses[-DIVERGENCE_STEPS:]) > DIVERGENCE_FACTOR * losses[0]
    if not np.isfinite(losses[-1]) or (problem.is_bounded_below and is_high):
        outcome.status, outcome.reason = "diverged", "not finite, or long above ten times the first loss"
    if entry.is_picture:
        outcome.picture = np.asarray(problem.render_fn(unravel(jnp.asarray(best[1], start.dtype)), problem.args))
    return outcome


def _scipy(evaluate: Callable, start: np.ndarray, settings: Mapping[str, Any], budget: int, steps: list[int]) -> None:
    from scipy.optimize import minimize

    def in_double(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, grad = evaluate(flat)
        return value, grad.astype(np.float64)

    # No tolerances: they are absolute, so that it would stop at once with losses of another scale.
    limits = {"maxfun": 10 * budget, "maxiter": 10 * budget}
    options = {"maxcor": settings["memory_size"], "ftol": 0.0, "gtol": 0.0, **limits}

    def count_step(flat: np.ndarray) -> None:
        steps[0] += 1

    minimize(in_double, start.astype(np.float64), jac=True, method="L-BFGS-B", options=options, callback=count_step)


def make_torch_lbfgs(params: "torch.Tensor", learning_rate: float, max_evaluations: int) -> "torch.optim.LBFGS":
    """Returns PyTorch's L-BFGS without a line search, which ends by its number of evaluations alone."""
    import torch

    return torch.optim.LBFGS(
        [params],
        lr=learning_rate,
        max_iter=10 * max_evaluations,
        max_eval=max_evaluations,
        history_size=TORCH_HISTORY,
        tolerance_grad=-1.0,
        tolerance_change=-1.0,
    )


def _torch(evaluate: Callable, start: np.ndarray, settings: Mapping[str, Any], budget: int, steps: None) -> None:
    import torch

    params = torch.tensor(start, requires_grad=True)
    optimizer = make_torch_lbfgs(params, settings["learning_rate"], 10 * budget)

    def closure() -> torch.Tensor:
        value, grad = evaluate(params.detach().numpy())
        params.grad = torch.tensor(grad)
        return torch.tensor(value)

    optimizer.step(closure)


_PEERS = {"scipy": _scipy, "torch": _torch}
