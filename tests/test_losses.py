"""Loss terms against NumPy and by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.losses import content_loss, style_loss, total_variation, weighted_sum


def test_content_loss_is_the_mean_square():
    features, target = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(content_loss(features, target), np.mean((features - target) ** 2), rtol=1e-6)


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
