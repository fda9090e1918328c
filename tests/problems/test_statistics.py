"""Summaries of features against NumPy, and what they must be blind to."""

import jax.numpy as jnp
import numpy as np

from jaxstyle.problems.statistics import gram_matrix


def test_gram_matrix_equals_numpys():
    features = np.random.default_rng(0).normal(size=(5, 7, 4)).astype(np.float32)
    matrix = features.reshape(-1, 4).astype(np.float64)
    np.testing.assert_allclose(gram_matrix(jnp.asarray(features)), matrix.T @ matrix / (35 * 4), rtol=1e-5, atol=1e-6)


def test_gram_matrix_does_not_see_where_pixels_are():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(6, 8, 3)).astype(np.float32)
    shuffled = rng.permutation(features.reshape(-1, 3)).reshape(12, 4, 3)
    np.testing.assert_allclose(gram_matrix(jnp.asarray(features)), gram_matrix(jnp.asarray(shuffled)), rtol=1e-5)


def test_gram_matrix_of_half_precision_does_not_overflow():
    features = jnp.full((64, 64, 2), 3000.0, jnp.float16)  # its square is past float16's largest number, 65504
    found = gram_matrix(features)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, 3000.0**2 / 2, rtol=2e-3)
