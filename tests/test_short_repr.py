"""Records print names, numbers and shapes: never arrays, and never more than a screen."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxstyle
from jaxstyle.optimize.records import Progress, Status, StopRule
from jaxstyle.optimize.step import make_loop
from jaxstyle.short_repr import short_repr

from .toys import make_bowl


@pytest.fixture(scope="module")
def told() -> dict:
    """One of each public record, of a run of L-BFGS with large parameters."""
    problem = make_bowl()
    seen: list[Progress] = []
    make = lambda: jaxstyle.minimize(
        problem, jaxstyle.make_optimizer("lbfgs"), key=jax.random.key(0), num_steps=3, callback=seen.append
    )
    result = make()
    large = jnp.arange(30_000.0).reshape(100, 100, 3)
    return {
        "result": result._replace(params=large),
        "progress": seen[0],
        "state": seen[0].state,
        "info": result.trace,
        "problem": problem,
        "network": jaxstyle.Network("tiny", "vgg19", {"mean": np.ones(3), "conv1_1": {"bias": large}}, "0", "random"),
        "cell": jaxstyle.Cell(large),
        "stylized": jaxstyle.Stylized(np.asarray(large), result, problem),
    }


@pytest.mark.parametrize("name", ["result", "progress", "state", "info", "problem", "network", "cell", "stylized"])
def test_records_are_short(told: dict, name: str):
    for text in (repr(told[name]), str(told[name])):
        assert text.startswith(f"{type(told[name]).__name__}(")
        assert len(text) < 1500
        assert "\n" not in text
        assert "Array(" not in text
        assert "array(" not in text
        assert " at 0x" not in text


def test_what_they_say(told: dict):
    text = repr(told["result"])
    for part in (
        "params=float32[100,100,3]",
        "status=BUDGET_SPENT",
        "best_terms={'a': ",
        "trace=StepInfo(loss=float32[4]",
    ):
        assert part in text
    assert "params={'mean': float64[3], 'conv1_1': {'bias': float32[100,100,3]}}" in repr(told["network"])
    assert "loss_fn=make_bowl.<locals>.loss" in repr(told["problem"])
    assert "key=key<fry>[]" in repr(told["state"])


def test_records_can_be_printed_where_they_have_no_values():
    problem = make_bowl()
    loop = make_loop(problem, optax.sgd(0.1))
    key = jax.random.key(0)
    seen = []

    def start(params: dict) -> jax.Array:
        state = loop.init(params, key)
        seen.append(repr(state))
        return state.step

    jax.jit(start)(problem.init_fn(key))
    assert seen[0].startswith("LoopState(step=")
    state = loop.init(problem.init_fn(key), key)
    for leaf in jax.tree.leaves(state):
        leaf.delete()  # what `minimize` does to the state that a callback kept
    assert "loss=float32[]" in short_repr(state)


def test_a_status_says_its_name_and_what_it_means():
    for text in (str(Status.BUDGET_SPENT), f"{Status.BUDGET_SPENT}", f"{Status.BUDGET_SPENT:s}"):
        assert text == "BUDGET_SPENT: All steps or evaluations were taken; more may still lower the loss."
    assert Status.BUDGET_SPENT == 2  # it stays a number
    assert f"{Status.BUDGET_SPENT:d} {Status.BUDGET_SPENT:03d}" == "2 002"
    assert repr(StopRule()) == "StopRule(relative_delta=0.0, patience=0, max_evaluations=0)"
