"""Image functions against Pillow, NumPy and scikit-image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.metrics
from PIL import Image

from jaxstyle.checks import InputError
from jaxstyle.pictures import images
from jaxstyle.pictures.images import size_for_width

# Jitted throughout: one compilation each, where eager calls would take one for every operation.
color_statistics = jax.jit(images.color_statistics)
luminance = jax.jit(images.luminance)
match_color = jax.jit(images.match_color)
mean_squared_error = jax.jit(images.mean_squared_error)
preserve_colors = jax.jit(images.preserve_colors)
psnr = jax.jit(images.psnr)
resize = jax.jit(images.resize, static_argnums=(1, 2))
rgb_to_ycbcr = jax.jit(images.rgb_to_ycbcr)
ycbcr_to_rgb = jax.jit(images.ycbcr_to_rgb)
nyquist_share = jax.jit(images.nyquist_share)


def random_picture(height, width, seed=0):
    return jnp.asarray(np.random.default_rng(seed).random((height, width, 3), dtype=np.float32))


def correlated_picture(height, width, seed=0):
    """Colors that vary little and together, as those of photographs do, and stay off 0 and 1."""
    noise = np.random.default_rng(seed).standard_normal((height, width, 3))
    mixing = 0.02 * np.random.default_rng(seed + 1).uniform(0.5, 1, (3, 3)) + 0.02 * np.eye(3)
    return jnp.asarray(np.clip(0.45 + noise @ mixing, 0, 1), jnp.float32)


@pytest.mark.parametrize("size", [(13, 29), (61, 20), (100, 130), (1, 1)])
def test_resize_is_pillows_bicubic(size):
    picture = random_picture(40, 52)
    channels = [Image.fromarray(channel) for channel in np.moveaxis(np.asarray(picture), -1, 0)]
    expected = [np.asarray(channel.resize(size[::-1], Image.Resampling.BICUBIC)) for channel in channels]
    resized = resize(picture, *size)
    assert resized.dtype == jnp.float32
    np.testing.assert_allclose(resized, np.clip(np.stack(expected, axis=-1), 0, 1), rtol=0, atol=1e-5)


def test_resize_invariants():
    picture = random_picture(20, 30)
    assert images.resize(picture, 20, 30) is picture
    np.testing.assert_allclose(resize(jnp.full((20, 30, 3), 0.3), 7, 41), 0.3, atol=1e-6)
    stripes = jnp.zeros((64, 64, 3)).at[::2].set(1.0)
    np.testing.assert_allclose(resize(stripes, 16, 16)[2:-2], 0.5, atol=0.01)  # no moire: antialiased
    edge = jnp.zeros((8, 8, 3)).at[4:].set(1.0)
    enlarged = resize(edge, 31, 31)
    assert enlarged.min() == 0
    assert enlarged.max() == 1


def test_resize_refuses_empty_sizes():
    with pytest.raises(InputError, match="expected a size of at least 1 x 1, got 0 x 5; "):
        resize(random_picture(4, 4), 0, 5)


def test_size_for_width():
    assert size_for_width(600, 800, 400) == (300, 400)
    assert size_for_width(333, 1000, 500) == (167, 500)  # 166.5
    assert size_for_width(1, 1000, 10) == (1, 10)
    assert size_for_width(480, 640, 640) == (480, 640)
    for sizes in [(0, 5, 5), (5, 0, 5), (5, 5, 0)]:
        with pytest.raises(InputError, match="at least 1"):
            size_for_width(*sizes)


def test_ycbcr_is_that_of_jpeg():
    levels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    picture = jnp.asarray(levels, jnp.float32) / 255
    expected = np.asarray(Image.fromarray(levels).convert("YCbCr"))  # cut down by Pillow, hence 1 level
    np.testing.assert_allclose(255 * rgb_to_ycbcr(picture), expected, rtol=0, atol=1.001)
    gray = np.asarray(Image.fromarray(levels).convert("L"))
    np.testing.assert_allclose(255 * luminance(picture), gray, rtol=0, atol=1.001)
    # ITU-T T.871, section 7, with the digits it prints.
    matrix = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
    by_hand = np.asarray(picture) @ matrix.T + np.array([0, 128, 128]) / 255
    np.testing.assert_allclose(rgb_to_ycbcr(picture), by_hand, rtol=0, atol=1e-4)


def test_ycbcr_to_rgb_is_the_inverse():
    picture = random_picture(16, 16)
    np.testing.assert_allclose(ycbcr_to_rgb(rgb_to_ycbcr(picture)), picture, rtol=0, atol=1e-6)
    # ITU-T T.871, section 7: R = Y + 1.402 Cr', G = Y - 0.3441 Cb' - 0.7141 Cr', B = Y + 1.772 Cb'.
    y, cb, cr = 0.5, 0.1, -0.05
    ycbcr = jnp.array([[[y, cb + 128 / 255, cr + 128 / 255]]])
    expected = [y + 1.402 * cr, y - 0.3441 * cb - 0.7141 * cr, y + 1.772 * cb]
    np.testing.assert_allclose(ycbcr_to_rgb(ycbcr)[0, 0], expected, rtol=0, atol=1e-4)


def test_preserve_colors():
    result, content = correlated_picture(16, 18), correlated_picture(16, 18, seed=7)
    mixed = rgb_to_ycbcr(preserve_colors(result, content))
    np.testing.assert_allclose(mixed[..., 0], luminance(result), atol=1e-6)
    np.testing.assert_allclose(mixed[..., 1:], rgb_to_ycbcr(content)[..., 1:], atol=1e-6)
    np.testing.assert_allclose(preserve_colors(content, content), content, atol=1e-6)
    wild = preserve_colors(random_picture(8, 8), random_picture(8, 8, seed=1))
    assert wild.min() == 0
    assert wild.max() == 1
    with pytest.raises(InputError, match="two pictures of one size"):
        preserve_colors(result, content[:1])


def test_color_statistics_are_numpys():
    picture = random_picture(31, 17)
    mean, covariance = color_statistics(picture)
    colors = np.asarray(picture, np.float64).reshape(-1, 3)
    np.testing.assert_allclose(mean, colors.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(covariance, np.cov(colors.T, bias=True), rtol=0, atol=1e-6)


def test_color_statistics_of_a_large_picture():
    """In float32, a sum of millions of equal signs must not lose its small terms."""
    picture = 0.9 + 0.01 * random_picture(1000, 1500)
    mean, covariance = color_statistics(picture)
    colors = np.asarray(picture, np.float64).reshape(-1, 3)
    np.testing.assert_allclose(mean, colors.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(covariance, np.cov(colors.T, bias=True), rtol=0, atol=1e-8)


def test_match_color_gives_the_statistics_of_the_reference():
    style, content = correlated_picture(40, 30), correlated_picture(25, 50, seed=5)
    matched = match_color(style, content)
    assert matched.shape == style.shape
    for got, expected in zip(color_statistics(matched), color_statistics(content), strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)
    np.testing.assert_allclose(match_color(style, style), style, atol=1e-4)


def test_match_color_is_the_symmetric_solution():
    """x' = T^(1/2) S^(-1/2) (x - m) + n, with NumPy in float64."""
    style, content = correlated_picture(40, 30), correlated_picture(25, 50, seed=5)

    def power(matrix, exponent):
        values, vectors = np.linalg.eigh(matrix)
        return vectors @ np.diag(values**exponent) @ vectors.T

    colors = [np.asarray(picture, np.float64).reshape(-1, 3) for picture in (style, content)]
    source, target = (np.cov(color.T, bias=True) for color in colors)
    matrix = power(target, 0.5) @ power(source, -0.5)
    expected = (colors[0] - colors[0].mean(axis=0)) @ matrix.T + colors[1].mean(axis=0)
    np.testing.assert_allclose(match_color(style, content).reshape(-1, 3), expected, rtol=0, atol=1e-4)


def test_match_color_of_gray_and_flat_pictures():
    content = correlated_picture(20, 20, seed=3)
    mean = color_statistics(content)[0]
    gray = jnp.broadcast_to(correlated_picture(20, 20)[..., :1], (20, 20, 3))
    matched = match_color(gray, content)
    assert bool(jnp.isfinite(matched).all())
    np.testing.assert_allclose(color_statistics(matched)[0], mean, atol=1e-5)
    singular_values = np.linalg.svd(np.asarray(matched - mean).reshape(-1, 3), compute_uv=False)
    assert singular_values[1] < 1e-3 * singular_values[0]  # still one line of colors
    np.testing.assert_allclose(match_color(jnp.full((4, 4, 3), 0.2), content)[0, 0], mean, atol=1e-6)


def test_differences_are_scikit_images():
    a, b = random_picture(20, 30), random_picture(20, 30, seed=1)
    expected = skimage.metrics.mean_squared_error(np.asarray(a), np.asarray(b))
    np.testing.assert_allclose(mean_squared_error(a, b), expected, rtol=1e-5)
    expected = skimage.metrics.peak_signal_noise_ratio(np.asarray(a), np.asarray(b), data_range=1)
    np.testing.assert_allclose(psnr(a, b), expected, rtol=1e-5)
    assert psnr(a, a) == np.inf
    for function in (mean_squared_error, psnr):
        with pytest.raises(InputError, match=r"got \(20, 30, 3\) and \(20, 1, 3\)"):
            function(a, b[:, :1])


@pytest.mark.parametrize(
    "name", ["luminance", "rgb_to_ycbcr", "ycbcr_to_rgb", "color_statistics", "psnr", "preserve_colors"]
)
def test_jitted_and_mapped_are_as_plain(name):
    function = getattr(images, name)
    batches = (jnp.stack([random_picture(6, 5, seed) for seed in seeds]) for seeds in ((0, 1), (2, 3)))
    batches = tuple(batches) if name in ("psnr", "preserve_colors") else (next(batches),)
    expected = jax.tree.map(lambda *leaves: np.stack(leaves), *map(function, *batches))
    together = jax.jit(jax.vmap(function))(*batches)
    jax.tree.map(lambda got, want: np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6), together, expected)


def test_nyquist_share_of_known_pictures():
    rows, columns = np.mgrid[:32, :48]
    board = np.repeat(((rows + columns) % 2)[..., None], 3, axis=2).astype(np.float32)
    waves = np.repeat((0.5 + 0.5 * np.sin(2 * np.pi * columns / 16))[..., None], 3, axis=2).astype(np.float32)
    chance = np.random.default_rng(0).normal(0.5, 0.1, (256, 256, 3)).astype(np.float32)
    assert float(nyquist_share(board)) == pytest.approx(1)
    assert float(nyquist_share(waves)) == pytest.approx(0, abs=1e-6)
    assert float(nyquist_share(chance)) == pytest.approx(1 - (1 - 2 / 16) ** 2, abs=0.01)
    assert float(nyquist_share(np.full((8, 8, 3), 0.3, np.float32))) == pytest.approx(0, abs=1e-6)
    # The energies of a sum of waves of different frequencies add up (Parseval).
    mixed = 0.5 + 0.25 * (board - 0.5) + 0.1 * (waves - 0.5)
    expected = (0.25 * 0.5) ** 2 / ((0.25 * 0.5) ** 2 + (0.1 * 0.5) ** 2 / 2)
    assert float(nyquist_share(mixed)) == pytest.approx(expected, rel=1e-4)
