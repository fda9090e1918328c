"""Small networks against NumPy, their initial statistics, and that they are pure functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.test_util import check_grads

from jaxstyle.checks import InputError
from jaxstyle.problems.networks import (
    MLP,
    CoordinateNetwork,
    arctan_pair,
    draw_frequencies,
    fourier_features,
    functional,
    pixel_positions,
)

KEY = jax.random.key(0)


def make_mlp(*widths: int, **options):
    return functional(lambda rngs: MLP(widths, rngs=rngs, **options))


def test_mlp_is_relu_between_dense_layers_and_nothing_at_the_end():
    network = make_mlp(2, 5, 4, 3, bias_init=nnx.initializers.normal(1.0))
    params = network.init(KEY)
    x = np.random.default_rng(0).normal(0, 10, (7, 2)).astype(np.float32)
    expected = x
    for index in range(3):
        layer = params[f"dense{index}"]
        expected = expected @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])
        expected = expected if index == 2 else np.maximum(expected, 0)
    assert (expected < 0).any()  # else a ReLU at the end would pass
    np.testing.assert_allclose(network.apply(params, jnp.asarray(x)), expected, rtol=1e-5, atol=1e-6)


def test_an_activation_may_change_the_width():
    network = make_mlp(2, 5, 3, activation=arctan_pair)
    params = network.init(KEY)
    assert params["dense1"]["kernel"].shape == (10, 3)
    hidden = np.arctan(np.array([0.3, -2.0]) @ params["dense0"]["kernel"])
    joined = np.concatenate([hidden / 0.67, hidden**2 / 0.6])
    found = network.apply(params, jnp.array([0.3, -2.0]))
    np.testing.assert_allclose(found, joined @ params["dense1"]["kernel"], rtol=1e-5)


def test_parameters_are_strongly_typed_nested_dictionaries_drawn_from_the_key():
    network = make_mlp(2, 8, 3)
    params = network.init(KEY)
    assert {name: set(layer) for name, layer in params.items()} == {
        "dense0": {"kernel", "bias"},
        "dense1": {"kernel", "bias"},
    }
    assert type(params) is dict
    assert type(params["dense0"]) is dict
    assert all(leaf.dtype == jnp.float32 and not leaf.weak_type for leaf in jax.tree.leaves(params))
    again, other = network.init(KEY), network.init(jax.random.key(1))
    np.testing.assert_array_equal(params["dense0"]["kernel"], again["dense0"]["kernel"])
    assert np.abs(params["dense0"]["kernel"] - other["dense0"]["kernel"]).max() > 0.1


def test_functional_is_pure():
    network = make_mlp(2, 8, 3)
    params = network.init(KEY)
    x = jax.random.normal(KEY, (6, 2))
    eager = network.apply(params, x)
    np.testing.assert_allclose(jax.jit(network.apply)(params, x), eager, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(network.apply, (None, 0))(params, x), eager, rtol=1e-6)
    np.testing.assert_array_equal(network.apply(params, x), eager)  # nothing was left behind by the transformations
    several = jax.vmap(network.init)(jax.random.split(KEY, 4))
    assert jax.vmap(network.apply, (0, None))(several, x).shape == (4, 6, 3)
    grads = jax.grad(lambda params: jnp.sum(network.apply(params, x)))(params)
    np.testing.assert_allclose(grads["dense1"]["bias"], 6.0)
    assert not jax.make_jaxpr(network.apply)(params, x).consts


def test_gradients(float64: None):
    for make in (lambda rngs: MLP((2, 6, 3), rngs=rngs), lambda rngs: CoordinateNetwork((2, 6, 3), rngs=rngs)):
        network = functional(make)
        params = jax.tree.map(lambda leaf: leaf.astype(float) + 0.1, network.init(KEY))
        picture = jax.jit(lambda params, network=network: network.apply(params, pixel_positions(3, 4)))
        check_grads(picture, (params,), order=1, modes=["rev"])


@pytest.mark.parametrize("layer", [nnx.Dropout, lambda *_, rngs: nnx.BatchNorm(3, rngs=rngs)])
def test_other_state_than_parameters_is_refused(layer):
    class Stateful(nnx.Module):
        def __init__(self, rngs: nnx.Rngs):
            self.dense = nnx.Linear(2, 3, rngs=rngs)
            self.hidden = layer(0.5, rngs=rngs)

    with pytest.raises(InputError, match=r"no state but parameters, got hidden\."):
        functional(Stateful)


@pytest.mark.parametrize("widths", [(), (2,), (2, 0, 3)])
def test_widths_that_make_no_network(widths: tuple[int, ...]):
    with pytest.raises(InputError, match="width"):
        make_mlp(*widths)


def test_initial_deviations():
    params = make_mlp(200, 300, 100, kernel_init=nnx.initializers.normal(0.1)).init(KEY)
    for layer in params.values():
        np.testing.assert_allclose(np.std(layer["kernel"]), 0.1, rtol=0.02)
        np.testing.assert_allclose(np.mean(layer["kernel"]), 0, atol=0.002)
        assert not layer["bias"].any()
    default = make_mlp(200, 300, 100).init(KEY)
    np.testing.assert_allclose(np.std(default["dense1"]["kernel"]), 300**-0.5, rtol=0.02)


def test_arctan_pair_has_unit_size_for_normal_inputs():
    points, weights = np.polynomial.hermite_e.hermegauss(101)  # integrates against exp(-x^2 / 2)
    pair = np.asarray(arctan_pair(jnp.asarray(points)[:, None]))
    sizes = np.sqrt(weights @ pair**2 / weights.sum())
    np.testing.assert_allclose(sizes, 1, atol=0.02)  # the divisors have two digits
    np.testing.assert_allclose(arctan_pair(jnp.ones(1)), [np.pi / 4 / 0.67, (np.pi / 4) ** 2 / 0.6], rtol=1e-6)


def test_the_coordinate_network_starts_from_one_color_near_gray_and_can_leave_it():
    network = functional(lambda rngs: CoordinateNetwork(rngs=rngs))
    params = network.init(KEY)
    assert len(params["layers"]) == 9
    biases = np.concatenate([layer["bias"] for layer in params["layers"].values()])
    np.testing.assert_allclose(np.std(biases), 0.1, rtol=0.15)
    positions = pixel_positions(6, 9)
    picture = network.apply(params, positions)
    assert picture.shape == (6, 9, 3)
    np.testing.assert_allclose(picture, np.broadcast_to(picture[0, 0], picture.shape), atol=1e-6)
    np.testing.assert_allclose(picture, 0.5, atol=0.1)
    gradient = jax.grad(lambda params: jnp.mean(network.apply(params, positions)[..., 0] ** 2))(params)
    assert np.abs(gradient["layers"]["dense8"]["kernel"]).max() > 0


@pytest.mark.parametrize("size", [(64, 64), (5, 9), (1, 4)])
def test_positions_have_mean_0_and_deviation_1_and_keep_pixels_square(size: tuple[int, int]):
    positions = np.asarray(pixel_positions(*size), np.float64)
    assert positions.shape == (*size, 2)
    np.testing.assert_allclose(positions.mean((0, 1)), 0, atol=1e-6)
    np.testing.assert_allclose(np.sqrt(np.mean(positions**2)), 1, rtol=1e-6)
    steps = [np.diff(positions[..., axis], axis=axis) for axis in (0, 1)]
    np.testing.assert_allclose(np.concatenate([step.ravel() for step in steps]), steps[1][0, 0], rtol=1e-4)
    assert not np.diff(positions[..., 0], axis=1).any()  # the first number is the row


def test_positions_of_a_square_are_normalized_as_the_published_runs_are():
    grid = np.stack(np.meshgrid(np.arange(64), np.arange(64), indexing="ij"), axis=-1)
    np.testing.assert_allclose(pixel_positions(64, 64), (grid - grid.mean()) / grid.std(), atol=1e-6)


def test_positions_at_another_size_lie_over_the_same_picture():
    small, large = pixel_positions(5, 7), pixel_positions(10, 21, like=(5, 7))
    blocks = np.asarray(large).reshape(5, 2, 7, 3, 2).mean((1, 3))
    np.testing.assert_allclose(blocks, small, atol=1e-6)
    assert not pixel_positions(1, 1).any()
    for size, like in [((0, 5), None), ((5, 5), (5, 0))]:
        with pytest.raises(InputError, match="at least 1 x 1"):
            pixel_positions(*size, like=like)


def test_fourier_features_are_those_of_the_paper():
    frequencies = jnp.array([[1.0, 0.0], [0.0, 2.0], [3.0, -1.0]])
    positions = jnp.asarray(np.random.default_rng(1).uniform(size=(4, 5, 2)), jnp.float32)
    phases = 2 * np.pi * np.einsum("fd,hwd->hwf", np.asarray(frequencies, float), np.asarray(positions, float))
    expected = np.concatenate([np.cos(phases), np.sin(phases)], axis=-1)
    np.testing.assert_allclose(fourier_features(positions, frequencies), expected, atol=1e-5)
    # Whole frequencies repeat with period 1.
    np.testing.assert_allclose(fourier_features(positions + 1, frequencies), expected, atol=1e-5)


def test_frequencies_are_normal():
    frequencies = np.asarray(draw_frequencies(KEY, 10_000, 3.0))
    assert frequencies.shape == (10_000, 2)
    np.testing.assert_allclose(frequencies.std(0), 3.0, rtol=0.03)
    np.testing.assert_allclose(frequencies.mean(0), 0.0, atol=0.1)
