"""The convolution, its bias, ReLU and gradient, by either method, against SciPy's correlation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.checks import InputError
from jaxstyle.vgg.convolution import METHODS, choose_method, convolve, freeze_kernel

from .test_winograd import correlate

BIAS = jnp.array([0.3, -0.2, 0.1, 0.0], jnp.float32)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(8, 8), (5, 13), (1, 1), (2, 3)])
def test_value_and_gradient_equal_scipys(shape: tuple[int, int], method: str, relu: bool):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(*shape, 3)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 3, 4)).astype(np.float32)
    cotangent = rng.normal(size=(*shape, 4)).astype(np.float32)
    frozen = freeze_kernel(kernel, method=method)
    found, pull_back = jax.vjp(lambda features: convolve(features, frozen, BIAS, relu), jnp.asarray(features))
    sums = correlate(features, kernel) + BIAS
    np.testing.assert_allclose(found, np.maximum(sums, 0) if relu else sums, rtol=1e-4, atol=1e-4)
    masked = np.where((sums > 0) | (not relu), cotangent, 0)
    expected = correlate(masked, kernel[::-1, ::-1].swapaxes(2, 3))
    np.testing.assert_allclose(pull_back(jnp.asarray(cotangent))[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_the_kernel_is_frozen(method: str):
    features = jnp.ones((4, 4, 2))
    kernel = freeze_kernel(np.ones((3, 3, 2, 4), np.float32), method=method)
    gradients = jax.grad(lambda kernel, bias: convolve(features, kernel, bias, True).sum(), (0, 1))(kernel, BIAS)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradients))


def test_half_precision_features():
    kernel = freeze_kernel(np.ones((3, 3, 1, 1), np.float32), dtype="bfloat16")
    found = convolve(jnp.ones((3, 3, 1), jnp.bfloat16), kernel, jnp.zeros(1, jnp.bfloat16), False)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found[..., 0].astype(np.float32), [[4, 6, 4], [6, 9, 6], [4, 6, 4]])


def test_method_by_layer_and_device():
    choose = partial(choose_method, pixels=512 * 512)
    assert choose(64, 128, platform="cpu") == "winograd"
    assert choose(3, 64, platform="cpu") == "direct"
    assert choose(64, 128, dtype="bfloat16", platform="cpu") == "direct"
    assert choose(512, 512, platform="gpu") == choose(512, 512, platform="tpu") == "direct"
    assert choose_method(512, 512, pixels=64 * 64, platform="cpu") == "direct"


def test_bad_input():
    kernel = np.ones((3, 3, 2, 2), np.float32)
    with pytest.raises(InputError, match="direct, winograd"):
        freeze_kernel(kernel, method="fft")
    with pytest.raises(InputError, match="float32 for Winograd"):
        freeze_kernel(kernel, method="winograd", dtype="bfloat16")
    with pytest.raises(InputError, match="shape"):
        freeze_kernel(np.ones((5, 5, 2, 2), np.float32))
