"""The convolution and its gradient against SciPy's correlation."""

import jax
import numpy as np
import pytest
from scipy.signal import convolve2d, correlate2d

from jaxstyle.convolution import convolve, freeze_kernel


def correlate(features: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    planes = [
        sum(correlate2d(features[..., i], kernel[..., i, o], mode="same") for i in range(features.shape[-1]))
        for o in range(kernel.shape[-1])
    ]
    return np.stack(planes, axis=-1)


@pytest.mark.parametrize("shape", [(8, 8), (5, 13), (1, 1), (2, 3)])
def test_forward_and_gradient_equal_scipys(shape: tuple[int, int]):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(*shape, 3)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 3, 4)).astype(np.float32)
    cotangent = rng.normal(size=(*shape, 4)).astype(np.float32)
    found, pull_back = jax.vjp(convolve, features, freeze_kernel(kernel))
    np.testing.assert_allclose(found, correlate(features, kernel), rtol=1e-5, atol=1e-5)
    gradient, _ = pull_back(cotangent)
    expected = np.stack(
        [sum(convolve2d(cotangent[..., o], kernel[..., i, o], mode="same") for o in range(4)) for i in range(3)], -1
    )
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-5)


def test_the_kernel_is_frozen():
    features = np.ones((4, 4, 2), np.float32)
    kernel = freeze_kernel(np.ones((3, 3, 2, 2), np.float32))
    gradient = jax.grad(lambda kernel: convolve(features, kernel).sum())(kernel)
    assert not np.any(gradient.forward)
    assert not np.any(gradient.backward)
