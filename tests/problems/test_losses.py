"""Loss terms against NumPy and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.pictures import images
from jaxstyle.problems import losses
from jaxstyle.problems.losses import (
    channel_activation,
    content_loss,
    guided_activation,
    layer_activation,
    style_loss,
    total_variation,
    weighted_sum,
)
from jaxstyle.problems.parameterizations import make_parameterization
from jaxstyle.problems.statistics import gram_matrix


def test_content_loss_is_the_mean_square():
    features, target = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32)
    found = content_loss(jnp.asarray(features), jnp.asarray(target))
    np.testing.assert_allclose(found, np.mean((features - target) ** 2), rtol=1e-6)


def test_style_loss_blends_the_losses_of_the_styles():
    gram, first, second = np.random.default_rng(1).normal(size=(3, 4, 4)).astype(np.float32)
    expected = 0.75 * np.mean((gram - first) ** 2) + 0.25 * np.mean((gram - second) ** 2)
    found = style_loss(jnp.asarray(gram), jnp.stack([first, second]), jnp.array([0.75, 0.25]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_total_variation_by_hand():
    pixels = jnp.zeros((2, 3, 3)).at[0, 1].set(jnp.array([1.0, 2.0, 3.0]))
    # One of three vertical differences per channel, two of four horizontal ones: the means are over 9 and 12.
    assert total_variation(pixels) == pytest.approx(14 / 9 + 28 / 12)


@pytest.mark.parametrize("shape", [(4, 5, 3), (1, 5, 3), (1, 1, 3)])
def test_total_variation_of_a_constant_is_zero(shape: tuple[int, ...]):
    assert total_variation(jnp.full(shape, 7.0)) == 0


def test_weighted_sum():
    assert weighted_sum({"a": jnp.float32(2), "b": jnp.float32(3)}, {"a": 0.5, "b": 2.0}) == 7
    assert weighted_sum({}, {}) == 0


def test_circular_total_variation_against_numpy():
    pixels = np.random.default_rng(2).normal(size=(5, 4, 3)).astype(np.float32)
    wrapped = np.pad(pixels, ((0, 1), (0, 1), (0, 0)), mode="wrap")
    expected = np.mean(np.diff(wrapped[:, :-1], axis=0) ** 2) + np.mean(np.diff(wrapped[:-1], axis=1) ** 2)
    np.testing.assert_allclose(total_variation(jnp.asarray(pixels), circular=True), expected, rtol=1e-6)


def test_layer_activation_is_the_mean_square():
    features = np.random.default_rng(2).normal(size=(4, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(layer_activation(jnp.asarray(features)), np.mean(features**2), rtol=1e-6)


def test_channel_activation_is_the_mean_of_the_weighted_channels():
    features = np.random.default_rng(3).normal(size=(4, 5, 3)).astype(np.float32)
    expected = 2 * features[..., 0].mean() - features[..., 2].mean()
    found = channel_activation(jnp.asarray(features), jnp.array([2.0, 0.0, -1.0]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("block", [3, 1024])
def test_guided_activation_and_its_gradient_by_brute_force(block: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(losses, "GUIDE_BLOCK", block)
    rng = np.random.default_rng(4)
    features, guide = rng.normal(size=(4, 5, 3)).astype(np.float32), rng.normal(size=(7, 3)).astype(np.float32)
    rows = features.reshape(-1, 3)
    products = rows @ guide.T
    found, gradient = jax.value_and_grad(guided_activation)(jnp.asarray(features), jnp.asarray(guide))
    np.testing.assert_allclose(found, products.max(axis=1).mean() / 3, rtol=1e-5)
    # DeepDream's guided example writes this gradient down, but for the means' divisor.
    expected = guide[products.argmax(axis=1)].reshape(features.shape) / features.size
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_activations_are_summed_in_full_precision():
    features = jnp.full((64, 64, 2), 1.01, jnp.bfloat16)  # in bfloat16 such a sum stops growing at 256
    one = float(features[0, 0, 0])
    for found, expected in (
        (layer_activation(features), one**2),
        (channel_activation(features, jnp.array([1.0, 0.0])), one),
        (guided_activation(features, features[0]), one**2),
    ):
        assert found.dtype == jnp.float32
        assert found == pytest.approx(expected, rel=1e-5)


def test_more_than_two_to_the_31_numbers_have_a_mean():
    """No integer of that size fits what JAX divides by; abstractly evaluated, since the arrays would take gigabytes."""
    features = jax.ShapeDtypeStruct((6000, 7640, 64), jnp.float32)
    pixels = jax.ShapeDtypeStruct((50_000, 50_000, 3), jnp.float32)
    functions = (
        (gram_matrix, features),
        (lambda it: content_loss(it, it), features),
        (layer_activation, features),
        (lambda it: channel_activation(it, jnp.ones(64)), features),
        (lambda it: guided_activation(it, jnp.ones((9, 64))), features),
        (total_variation, pixels),
        (lambda it: total_variation(it, circular=True), pixels),
        (lambda it: images.color_statistics(it)[1], pixels),
        (images.nyquist_share, pixels),
        (lambda it: images.mean_squared_error(it, it), pixels),
    )
    for function, array in functions:
        gradient = jax.eval_shape(jax.grad(lambda it: jnp.sum(function(it))), array)  # noqa: B023
        assert gradient.shape == array.shape
    decode = lambda it: make_parameterization("preconditioned", *pixels.shape[:2]).decode(it)
    assert jax.eval_shape(decode, pixels).shape == pixels.shape
    half = jax.ShapeDtypeStruct(features.shape, jnp.bfloat16)
    assert jax.eval_shape(gram_matrix, half).shape == (64, 64)


def test_a_size_divides_as_it_did():
    """The product and the gradient of a Gram matrix against NumPy in double precision."""
    features = np.random.default_rng(5).normal(size=(7, 5, 3)).astype(np.float32)
    rows = features.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(gram_matrix(jnp.asarray(features)), rows.T @ rows / 105, rtol=1e-5)
    weights = np.arange(9.0).reshape(3, 3)
    gradient = jax.grad(lambda it: jnp.sum(weights * gram_matrix(it)))(jnp.asarray(features))
    expected = (rows @ (weights + weights.T) / 105).reshape(features.shape)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)
