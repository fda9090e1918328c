"""Pooling and its gradient against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.vgg.pooling import average_pool, max_pool

SHAPES = [(4, 6), (5, 7), (1, 1), (1, 8)]


def cells(shape: tuple[int, int]):
    for row in range(0, shape[0], 2):
        for column in range(0, shape[1], 2):
            yield row // 2, column // 2, np.s_[row : row + 2, column : column + 2]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("pool", "reduce"), [(max_pool, np.max), (average_pool, np.mean)], ids=["max", "avg"])
def test_pooling(shape: tuple[int, int], pool, reduce):
    values = np.random.default_rng(1).normal(size=(*shape, 3)).astype(np.float32)
    expected = np.zeros((-(-shape[0] // 2), -(-shape[1] // 2), 3))
    for row, column, cell in cells(shape):
        expected[row, column] = reduce(values[cell], axis=(0, 1))
    np.testing.assert_allclose(pool(jnp.asarray(values)), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_of_max_goes_to_the_first_maximum(shape: tuple[int, int]):
    rng = np.random.default_rng(2)
    values = rng.integers(0, 3, size=(*shape, 2)).astype(np.float32)  # full of ties
    cotangent = rng.normal(size=(-(-shape[0] // 2), -(-shape[1] // 2), 2)).astype(np.float32)
    expected = np.zeros_like(values)
    for row, column, cell in cells(shape):
        for channel in range(2):
            window = values[cell][..., channel]
            first = np.unravel_index(np.argmax(window), window.shape)
            expected[cell][(*first, channel)] = cotangent[row, column, channel]
    _, pull_back = jax.vjp(max_pool, jnp.asarray(values))
    np.testing.assert_array_equal(pull_back(jnp.asarray(cotangent))[0], expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_of_average_divides_by_the_pixels_that_exist(shape: tuple[int, int]):
    cotangent = np.random.default_rng(3).normal(size=(-(-shape[0] // 2), -(-shape[1] // 2), 2)).astype(np.float32)
    expected = np.zeros((*shape, 2), np.float32)
    for row, column, cell in cells(shape):
        expected[cell] = cotangent[row, column] / (expected[cell].size / 2)
    _, pull_back = jax.vjp(average_pool, jnp.zeros((*shape, 2)))
    np.testing.assert_allclose(pull_back(jnp.asarray(cotangent))[0], expected, rtol=1e-6)


def test_vmap_equals_a_loop():
    values = jax.random.normal(jax.random.key(4), (3, 5, 6, 2))
    np.testing.assert_array_equal(jax.vmap(max_pool)(values), np.stack([max_pool(value) for value in values]))
