"""Coarse to fine: what is carried from one size to the next."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.checks import InputError
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.optimizers import OPTIMIZERS, make_optimizer
from jaxstyle.optimize.pyramid import carry_state, minimize_pyramid
from jaxstyle.optimize.records import Status
from jaxstyle.optimize.transforms.averaging import average_of, keep_average
from jaxstyle.pictures.images import resize
from jaxstyle.problems.parameterizations import make_parameterization
from jaxstyle.problems.problem import Problem
from jaxstyle.run_config import growing_sizes

from ..conftest import make_wave_picture

KEY = jax.random.key(0)
TARGET = make_wave_picture(32, 48, 0.4)
START = make_wave_picture(32, 48, 2.0)


def make_likeness(height: int, width: int) -> Problem:
    """The squared distance from `TARGET`, with a start that has details."""
    target, start = (255 * resize(picture, height, width) for picture in (TARGET, START))

    def loss(pixels: jax.Array, args: jax.Array, key: jax.Array) -> tuple[jax.Array, dict]:
        value = jnp.mean(jnp.square(pixels - args))
        return value, {"distance": value}

    return Problem("likeness", lambda key: start, loss, target, lambda pixels, args: pixels / 255)


def test_one_size_is_an_ordinary_run():
    problem = make_likeness(32, 48)
    alone = minimize(problem, make_optimizer("adam"), key=KEY, num_steps=5)
    (scaled,) = minimize_pyramid(make_likeness, make_optimizer("adam"), sizes=[(32, 48)], num_steps=[5], key=KEY)
    np.testing.assert_array_equal(scaled.result.best_params, alone.best_params)
    np.testing.assert_array_equal(scaled.picture, alone.best_params / 255)


@pytest.mark.parametrize(
    ("name", "parameterization"), [("adam", "pixels"), ("lbfgs", "fourier"), ("adam", "laplacian")]
)
def test_each_size_starts_where_the_one_before_ended(name: str, parameterization: str):
    sizes = growing_sizes(32, 48, count=3, step=2.0)
    assert sizes == [(8, 12), (16, 24), (32, 48)]
    scales = minimize_pyramid(
        make_likeness,
        make_optimizer(name),
        sizes=sizes,
        num_steps=[80, 40, 10],
        key=KEY,
        parameterization=parameterization,
    )
    assert [scale.picture.shape[:2] for scale in scales] == sizes
    alone = minimize(make_likeness(32, 48), make_optimizer(name), key=KEY, num_steps=0)
    assert scales[-1].result.trace.loss[0] < 0.2 * alone.trace.loss[0]


def test_an_interruption_between_sizes_ends_with_the_size_before():
    made: list[int] = []

    def make(height: int, width: int) -> Problem:
        made.append(width)
        return make_likeness(height, width)

    sizes = growing_sizes(32, 48, count=3, step=2.0)
    scales = minimize_pyramid(
        make, make_optimizer("adam"), sizes=sizes, num_steps=[3, 3, 3], key=KEY, is_interrupted=lambda: 24 in made
    )
    assert made == [12, 24]
    assert [scale.result.status for scale in scales] == [Status.INTERRUPTED]
    assert scales[0].picture.shape == (8, 12, 3)


def test_a_change_is_carried_on_top_of_the_details_of_the_start():
    still = make_optimizer("sgd", learning_rate=1e-9)
    common = {"sizes": [(8, 12), (32, 48)], "num_steps": [1, 0], "key": KEY}
    kept = minimize_pyramid(make_likeness, still, carry="change", **common)[-1].picture
    np.testing.assert_allclose(kept, START, atol=1e-3)
    blurred = minimize_pyramid(make_likeness, still, carry="picture", **common)[-1].picture
    assert np.abs(blurred - START).max() > 0.05


def test_moments_are_enlarged_as_said():
    optimizer = make_optimizer("adam")
    rng = np.random.default_rng(0)
    small, large = jnp.zeros((8, 12, 3)), jnp.zeros((16, 24, 3))
    _, state = optimizer.update(jnp.asarray(rng.normal(0, 1, (8, 12, 3)), jnp.float32), optimizer.init(small), small)
    carried = carry_state(state, small, large)
    assert carried is not None
    assert carried[0].count == 1
    first = (
        jax.image.resize(state[0].mu, (16, 24, 3), "cubic") / 4
    )  # four times the pixels: gradients a quarter as large
    second = jax.image.resize(state[0].nu, (16, 24, 3), "linear") / 16
    np.testing.assert_allclose(carried[0].mu, first, rtol=1e-6)
    np.testing.assert_allclose(carried[0].nu, second, rtol=1e-6)
    assert jnp.all(carried[0].nu >= 0)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_optimizer_goes_on_or_starts_anew(name: str):
    optimizer = make_optimizer(name)
    small, large = jnp.ones((8, 12, 3)), jnp.ones((16, 24, 3))
    carried = carry_state(optimizer.init(small), small, large)
    if carried is not None:
        expected = jax.eval_shape(optimizer.init, large)
        assert jax.tree.map(jnp.shape, carried) == jax.tree.map(lambda leaf: leaf.shape, expected)
    assert (carried is None) <= (name not in ("adam", "sgd", "momentum", "rmsprop", "lion", "adagrad"))
    assert name != "lbfgs" or carried is None


def test_a_networks_state_is_kept_and_a_spectrums_is_not():
    for name, is_kept in (("network", True), ("fourier", False)):
        small, large = (
            make_parameterization(name, size, size).init(KEY, jnp.full((size, size, 3), 100.0)) for size in (8, 16)
        )
        state = make_optimizer("adam").init(small)
        carried = carry_state(state, small, large)
        assert (carried is not None) == is_kept
        if is_kept:
            assert jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.all(a == b)), carried, state))


def test_the_average_begins_again_at_each_size_and_is_what_is_shown():
    optimizer = keep_average(make_optimizer("adam"), 0.9)
    scales = minimize_pyramid(make_likeness, optimizer, sizes=[(16, 24), (32, 48)], num_steps=[4, 3], key=KEY)
    average = average_of(scales[-1].result.opt_state)
    assert scales[-1].result.opt_state.steps == 3
    np.testing.assert_allclose(scales[-1].picture, average / 255, rtol=1e-6)
    assert np.abs(average - scales[-1].result.params).max() > 1


def test_a_sequence_ends_with_a_size_that_is_interrupted_or_fails():
    sizes, steps = [(8, 12), (16, 24)], [30, 30]
    seen = []
    scales = minimize_pyramid(
        make_likeness,
        make_optimizer("adam"),
        sizes=sizes,
        num_steps=steps,
        key=KEY,
        callback=lambda scale, progress: seen.append((scale.index, scale.width)) or True,
    )
    assert [scale.result.status for scale in scales] == [Status.INTERRUPTED]
    assert seen == [(0, 12)]
    scales = minimize_pyramid(
        make_likeness, make_optimizer("sgd", learning_rate=1e6), sizes=sizes, num_steps=steps, key=KEY
    )
    assert len(scales) == 1
    assert scales[0].result.status.has_failed


def test_bad_input():
    with pytest.raises(InputError, match="at most the picture's width, 48, got 96"):
        growing_sizes(32, 48, widths=(24, 96))
    with pytest.raises(InputError, match="grow and end with the picture's, 48"):
        growing_sizes(32, 48, widths=(24, 12, 48))
    with pytest.raises(InputError, match="grow and end with the picture's, 48"):
        growing_sizes(32, 48, widths=(12, 24))
    with pytest.raises(InputError, match="use fewer scales"):
        growing_sizes(32, 48, count=20)
    with pytest.raises(InputError, match="step between scales above 1"):
        growing_sizes(32, 48, count=2, step=1.0)
    with pytest.raises(InputError, match="2 numbers of steps"):
        minimize_pyramid(make_likeness, make_optimizer("adam"), sizes=[(8, 12), (16, 24)], num_steps=[1], key=KEY)
    with pytest.raises(InputError, match="carry to be one of"):
        minimize_pyramid(make_likeness, make_optimizer("adam"), sizes=[(8, 12)], num_steps=[1], key=KEY, carry="all")
