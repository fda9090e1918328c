"""The paintings: same bytes for the same seed, any size, one composition at all sizes, and rich as styles."""

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from jaxstyle import paintings
from jaxstyle.checks import InputError

NAMES = sorted(name.removeprefix("paint_") for name in paintings.__all__)


def paint(name, height, width, seed=0):
    return getattr(paintings, f"paint_{name}")(height, width, seed=seed)


@cache
def picture(name, height=192, width=256):
    """A picture shared by the tests that only look."""
    painted = paint(name, height, width)
    painted.flags.writeable = False
    return painted


def reduced(painted, factor):
    height, width, channels = painted.shape
    return painted.reshape(height // factor, factor, width // factor, factor, channels).mean(axis=(1, 3))


def correlation(first, second):
    return np.corrcoef(first.ravel(), second.ravel())[0, 1]


def gradient_energy(painted, sigma):
    """Mean squared slope of the brightness, blurred to one scale; times sigma squared it is dimensionless."""
    smooth = ndimage.gaussian_filter(painted.mean(axis=-1), sigma)
    return sigma**2 * float(np.mean(np.square(np.gradient(smooth))))


def distinct_hues(painted, share=0.01):
    """How many of 24 hues cover at least `share` of the picture, counting only colors with some saturation."""
    high, low = painted.max(axis=-1), painted.min(axis=-1)
    r, g, b = np.moveaxis(painted, -1, 0)
    hue = np.arctan2(np.sqrt(3) * (g - b), 2 * r - g - b)
    bins = np.floor((hue + np.pi) / (2 * np.pi) * 24).astype(int) % 24
    counts = np.bincount(bins[high - low > 0.15], minlength=24)
    return int((counts > share * high.size).sum())


def test_there_are_five():
    assert NAMES == ["autumn", "garden", "mosaic", "swirl", "waves"]


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_gives_same_bytes_and_another_seed_does_not(name):
    assert paint(name, 192, 256).tobytes() == picture(name).tobytes()
    assert paint(name, 16, 16, seed=1).tobytes() != picture(name, 16, 16).tobytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("height", "width"), [(16, 16), (51, 37)])
def test_any_size_dtype_and_range(name, height, width):
    painted = picture(name, height, width)
    assert painted.shape == (height, width, 3)
    assert painted.dtype == np.float32
    assert painted.flags.c_contiguous
    assert np.isfinite(painted).all()
    assert painted.min() >= 0
    assert painted.max() <= 1
    assert painted.std() > 0.1


def test_strokes_of_a_long_strip_grow_with_its_length():
    # Strokes relative to the shorter side would be 25 times as many.
    strip = paint("mosaic", 16, 400)
    assert strip.shape == (16, 400, 3)
    assert gradient_energy(strip, 2) > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_composition_does_not_depend_on_size(name):
    small, large = picture(name), paint(name, 384, 512)
    assert correlation(reduced(large, 2), small) > 0.85
    assert correlation(reduced(large, 16), reduced(small, 8)) > 0.97


def test_small_ones_are_reduced_large_ones():
    # 48x64 is painted at four times its size.
    np.testing.assert_allclose(paint("mosaic", 48, 64), reduced(picture("mosaic"), 4), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_texture_at_every_scale(name):
    x = np.linspace(0, 1, 256)
    flat = np.broadcast_to(x[None, :, None], (192, 256, 3))  # the steepest picture that has no texture
    for sigma, times in ((1, 40), (2, 15), (4, 5), (8, 1.5)):
        assert gradient_energy(picture(name), sigma) > times * gradient_energy(flat, sigma)


@pytest.mark.parametrize("name", NAMES)
def test_texture_is_no_noise(name):
    # White noise loses its contrast as it is reduced, by the factor; a painting keeps most of it.
    assert reduced(picture(name), 8).std() > 0.4 * picture(name).std()


@pytest.mark.parametrize("name", NAMES)
def test_palette_is_rich(name):
    painted = picture(name)
    assert distinct_hues(painted) >= 6
    low, high = np.percentile(painted.mean(axis=-1), (2, 98))
    assert high - low > 0.5


def test_paintings_differ():
    for k, first in enumerate(NAMES):
        for second in NAMES[k + 1 :]:
            assert abs(correlation(picture(first), picture(second))) < 0.6


@pytest.mark.parametrize(("height", "width"), [(15, 64), (64, 0), (-3, 64)])
def test_too_small_is_refused(height, width):
    with pytest.raises(InputError, match="at least 16x16"):
        paintings.paint_mosaic(height, width)
