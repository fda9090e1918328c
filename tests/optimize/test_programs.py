"""Programs are found again by value: equal functions and shapes share one, and whatever differs has its own."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxstyle.checks import InputError
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.optimizers import OPTIMIZERS, make_optimizer, real_options, with_hyperparams
from jaxstyle.optimize.programs import ProgramCache, value_key
from jaxstyle.optimize.transforms.averaging import keep_average
from jaxstyle.problems.parameterizations import PARAMETERIZATIONS, make_parameterization

from ..toys import TARGET, make_bowl, make_rosenbrock

KEY = jax.random.key(0)


def make_adam(rate: float, **options: float) -> optax.GradientTransformation:
    return make_optimizer("adam", traced=["learning_rate"], learning_rate=rate, **options)


def test_runs_share_a_program_if_their_functions_and_shapes_are_equal(compilations: list[str]):
    programs = ProgramCache()
    moved = replace(make_bowl(), args=jax.tree.map(lambda leaf: leaf + 1, TARGET))
    runs = [
        (make_bowl(), make_adam(0.1)),
        (make_bowl(), make_adam(0.2)),
        (moved, make_adam(0.1)),
        (make_bowl(is_stochastic=True), make_adam(0.1)),
        (make_bowl(), make_adam(0.1, b1=0.5)),
        (make_bowl(), optax.adam(0.1)),
        (make_bowl(), optax.adam(0.1)),
        (make_rosenbrock(), make_adam(0.1)),
    ]
    together = [minimize(*run, key=KEY, num_steps=5, programs=programs) for run in runs]
    assert [result.compile_seconds > 0 for result in together] == [True, False, False, True, True, True, False, True]
    assert compilations.count("take_steps") == programs.compilations == 5
    for run, result in zip(runs[1:3], together[1:3], strict=True):
        np.testing.assert_array_equal(result.trace.loss, minimize(*run, key=KEY, num_steps=5).trace.loss)


def test_the_programs_used_last_are_kept():
    programs = ProgramCache(most=2)
    assert [programs.get(key, lambda key=key: (key, programs.compilations)) for key in "abac"] == [
        ("a", 0),
        ("b", 1),
        ("a", 0),
        ("c", 2),
    ]
    assert programs.get("a", list) == ("a", 0)
    assert programs.get("b", list) == []


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if real_options(name)])
def test_traced_numbers_change_no_step_and_are_no_part_of_the_program(name: str):
    defaults = {option: OPTIMIZERS[name].defaults[option] for option in real_options(name)}
    params, grad = jnp.array([1.0, -2.0, 0.5]), jnp.array([0.1, -0.2, 0.3])

    def move(optimizer: optax.GradientTransformation) -> np.ndarray:
        extra = {"value": jnp.float32(1), "grad": grad, "value_fn": lambda params: jnp.sum(params**2)}
        optimizer, place = optax.with_extra_args_support(optimizer), params
        state = optimizer.init(params)
        for _ in range(2):
            updates, state = optimizer.update(grad, state, place, **extra)
            place = place + updates
        return np.asarray(place)

    traced = make_optimizer(name, traced=defaults)
    np.testing.assert_allclose(move(traced), move(make_optimizer(name)), rtol=1e-4)
    others = make_optimizer(name, traced=defaults, **{option: 0.9 * value for option, value in defaults.items()})
    for both in ((traced, others), (keep_average(traced, 0.9), keep_average(others, 0.9))):
        assert len({value_key(optimizer.update) for optimizer in both}) == 1


def test_hyper_parameters_may_change_in_the_middle_of_a_run():
    params, grad = jnp.ones(2), jnp.array([0.5, -0.25])
    optimizer = keep_average(make_optimizer("sgd", traced=["learning_rate"], learning_rate=2.0), 0.5)
    state = optimizer.init(params)
    for rate in (2.0, 3.0):
        state = with_hyperparams(state, {"learning_rate": rate})
        updates, state = optimizer.update(grad, state, params)
        np.testing.assert_allclose(updates, -rate * grad)
    assert with_hyperparams(state, {}) is state
    with pytest.raises(InputError, match="a traced option of lbfgs"):
        make_optimizer("lbfgs", traced=["memory_size"])


@pytest.mark.parametrize("name", PARAMETERIZATIONS)
def test_a_parameterization_of_one_size_has_one_key(name: str):
    one, same, other = (value_key(make_parameterization(name, 24, width).decode) for width in (32, 32, 34))
    assert one == same
    assert one != other or name in ("pixels", "bounded")


def test_keys_of_values():
    array = jnp.ones(2)
    assert value_key([1, {"a": (2.0, array)}]) == value_key([1, {"a": (2.0, array)}])
    assert value_key(array) != value_key(jnp.ones(2))
    assert value_key(np.ones(2)) == value_key(np.ones(2)) != value_key(np.zeros(2))
    assert value_key(1) != value_key(1.0) != value_key(True)
    make = lambda depth: lambda x, more=depth: x if not more else make(more - 1)(x)
    assert value_key(make(2)) == value_key(make(2)) != value_key(make(3))
