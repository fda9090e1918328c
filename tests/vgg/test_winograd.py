"""Winograd's algorithm: its matrices, its error, and that it is a correlation at any size."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate2d

from jaxstyle.vgg import winograd


def correlate(features: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    planes = [
        sum(correlate2d(features[..., i], kernel[..., i, o], mode="same") for i in range(features.shape[-1]))
        for o in range(kernel.shape[-1])
    ]
    return np.stack(planes, axis=-1)


@pytest.mark.parametrize("backward", [False, True])
def test_matrices_make_a_correlation(backward: bool):
    rng = np.random.default_rng(0)
    signal, kernel, output = winograd.transforms(backward=backward)
    for _ in range(5):
        d, g = rng.normal(size=6), rng.normal(size=3)
        np.testing.assert_allclose(output @ ((kernel @ g) * (signal @ d)), np.correlate(d, g, "valid"), rtol=1e-12)


def test_one_transformed_kernel_serves_both_ways():
    g = np.random.default_rng(1).normal(size=3)
    forward, backward = winograd.transforms()[1], winograd.transforms(backward=True)[1]
    np.testing.assert_allclose(backward @ g[::-1], forward @ g, rtol=1e-12)


def test_its_points_are_more_exact_than_the_usual_ones():
    rng = np.random.default_rng(2)
    tiles = rng.normal(size=(100, 6, 6, 256)).clip(0)
    weights = rng.normal(size=(3, 3, 256, 16)) * np.sqrt(2 / (9 * 256))
    exact = sum(tiles[:, i : i + 4, j : j + 4] @ weights[i, j] for i in range(3) for j in range(3))

    def error(matrices: tuple[np.ndarray, ...]) -> float:
        signal, kernel, output = matrices
        transformed = np.einsum("ai,ijco,bj->abco", kernel, weights, kernel).astype(np.float32)
        signal, output, d = (array.astype(np.float32) for array in (signal, output, tiles))
        points = np.einsum("ai,tijc,bj->abtc", signal, d, signal, optimize=True)
        found = np.einsum("ia,abto,jb->tijo", output, points @ transformed, output, optimize=True)
        return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))

    usual = tuple(map(Fraction, (0, 1, -1, 2, -2)))
    usual_error = error(winograd._toom_cook(usual, dict.fromkeys(usual, Fraction(1))))
    assert error(winograd.transforms()) < 0.8 * usual_error
    assert usual_error < 1e-5


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (5, 3), (13, 18), (37, 9)])
@pytest.mark.parametrize("strip_tiles", [1, 4, 10_000])
def test_equals_scipys_correlation_in_strips_of_any_height(
    shape: tuple[int, int], strip_tiles: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(winograd, "_tiles_per_strip", lambda channels: strip_tiles)
    rng = np.random.default_rng(3)
    features = rng.normal(size=(*shape, 3)).astype(np.float32)
    kernel, bias = rng.normal(size=(3, 3, 3, 5)).astype(np.float32), rng.normal(size=5).astype(np.float32)
    transformed = winograd.transform_kernel(kernel)
    found = winograd.correlate(jnp.asarray(features), transformed, jnp.asarray(bias), relu=True)
    np.testing.assert_allclose(found, np.maximum(correlate(features, kernel) + bias, 0), rtol=1e-4, atol=1e-4)
    cotangent = rng.normal(size=(*shape, 5)).astype(np.float32)
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    found = winograd.correlate(jnp.asarray(cotangent), transformed, backward=True)
    np.testing.assert_allclose(found, correlate(cotangent, turned), rtol=1e-4, atol=1e-4)


def test_vmap_equals_a_loop():
    rng = np.random.default_rng(4)
    features = rng.normal(size=(2, 9, 10, 3)).astype(np.float32)
    kernel = winograd.transform_kernel(rng.normal(size=(3, 3, 3, 4)))
    batched = jax.vmap(lambda picture: winograd.correlate(picture, kernel))(features)
    single = np.stack([winograd.correlate(jnp.asarray(picture), kernel) for picture in features])
    np.testing.assert_allclose(batched, single, rtol=1e-5, atol=1e-5)
