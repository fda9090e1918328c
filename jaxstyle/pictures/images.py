"""Pure functions of pictures, which can be jitted, differentiated and mapped.

The picture contract of the whole package: a picture is RGB, float32, sRGB encoded, in [0, 1], of shape
`[height, width, 3]`. There is no batch axis; use `jax.vmap` for batches. Only `jaxstyle.vgg.module` uses
mean-subtracted values of 0..255.

Sums over colors are written out element by element, because matrix products run in reduced precision on GPU and TPU.
"""

from numbers import Integral

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxstyle.argument_checks import check_features, check_picture
from jaxstyle.checks import InputError, check_choice
from jaxstyle.types import AnyPicture, Picture, Scalar

# ITU-R BT.601-7: the parts of red, green and blue in luma. JFIF (ITU-T T.871) takes them over with the full
# range of 0..255, where BT.601 itself has 16..235.
_KR, _KG, _KB = 0.299, 0.587, 0.114
_CHROMA_CENTER = 128 / 255  # T.871, section 7: no color is the byte 128

# The variance of the rounding to one of 256 levels: a uniform error of width 1/255. Where a picture's colors
# vary less than that in some direction, there is nothing but rounding.
_ROUNDING_VARIANCE = 1 / (12 * 255**2)


def resize(
    picture: Float[Array | np.ndarray, "old_height old_width channels"],
    height: int,
    width: int,
    *,
    method: str = "cubic",
) -> Float[Array | np.ndarray, "{height} {width} channels"]:
    """Returns a picture resized by cubic (or linear) interpolation, antialiased where it shrinks.

    The kernel is Keys' cubic with a = -0.5, widened by the factor of shrinking and renormalized at the borders, as in
    Pillow's `BICUBIC`. It works on encoded values, as most programs do, not on linear light. The result is clipped to
    [0, 1], since a cubic overshoots at edges. A picture that has the size already is returned unchanged.

    Args:
        picture: A picture in [0, 1], or a mask with one channel.
        height: The new height in pixels.
        width: The new width in pixels.
        method: `cubic`, or `linear`, which is Pillow's `BILINEAR`.

    Raises:
        InputError: If `picture` is not a picture, `height` or `width` is below 1, or the method is unknown.
    """
    check_picture("a picture", picture, channels=(3, 1))
    if not (isinstance(height, Integral) and isinstance(width, Integral)):
        raise InputError("a size in whole pixels", f"{height!r} x {width!r}", "pass whole numbers")
    if height < 1 or width < 1:
        raise InputError("a size of at least 1 x 1", f"{height} x {width}", "pass positive numbers of pixels")
    check_choice("method", method, ("cubic", "linear"))
    if picture.shape[:2] == (height, width):
        return picture
    resized = jax.image.resize(picture, (height, width, picture.shape[2]), method, antialias=True)
    return jnp.clip(resized, 0.0, 1.0)


def size_for_width(height: int, width: int, new_width: int) -> tuple[int, int]:
    """Returns the `(height, width)` with width `new_width` and the same proportions, to the nearest pixel, at least 1.

    >>> size_for_width(600, 800, 512)
    (384, 512)

    Raises:
        InputError: If a number is below 1.
    """
    if min(height, width, new_width) < 1:
        got = f"{height} x {width} to {new_width} wide"
        raise InputError("sizes of at least 1", got, "pass positive numbers of pixels")
    # In integers, halves upward: float division would round large sizes by chance, and `round` goes to even.
    return max(1, (2 * height * new_width + width) // (2 * width)), new_width


def luminance(picture: Picture) -> Float[Array, "height width"]:
    """Returns the luma Y = 0.299 R + 0.587 G + 0.114 B of encoded values (ITU-R BT.601), in [0, 1]."""
    check_picture("a picture", picture)
    picture = jnp.asarray(picture)
    return _KR * picture[..., 0] + _KG * picture[..., 1] + _KB * picture[..., 2]


def rgb_to_ycbcr(picture: Picture) -> Float[Array, "height width 3"]:
    """Returns a picture in full-range YCbCr, as in JPEG files, whose bytes are 255 times the result before rounding.

    Y is `luminance`, Cb = (B - Y) / (2 (1 - 0.114)) + 128/255 and Cr = (R - Y) / (2 (1 - 0.299)) + 128/255
    (ITU-T T.871, section 7). Deviation: nothing is clipped, so that pure blue has Cb = 1.002.

    Args:
        picture: A picture in [0, 1].
    """
    y = luminance(picture)
    cb = (picture[..., 2] - y) / (2 * (1 - _KB)) + _CHROMA_CENTER
    cr = (picture[..., 0] - y) / (2 * (1 - _KR)) + _CHROMA_CENTER
    return jnp.stack([y, cb, cr], axis=-1)


def ycbcr_to_rgb(ycbcr: Float[Array, "height width 3"]) -> Picture:
    """Returns the inverse of `rgb_to_ycbcr`, not clipped: many YCbCr values are colors outside of RGB's [0, 1]."""
    check_features("YCbCr values", ycbcr)
    y = ycbcr[..., 0]
    blue = y + 2 * (1 - _KB) * (ycbcr[..., 1] - _CHROMA_CENTER)
    red = y + 2 * (1 - _KR) * (ycbcr[..., 2] - _CHROMA_CENTER)
    green = (y - _KR * red - _KB * blue) / _KG
    return jnp.stack([red, green, blue], axis=-1)


def preserve_colors(result: Picture, content: Picture) -> Picture:
    """Returns the luma of `result` with the chroma of `content`: a styled picture in the colors of its content.

    This is the last step of "luminance-only transfer" in Gatys et al. 2016, "Preserving color in neural artistic
    style transfer" (arXiv 1606.05897). They use YIQ, whose chroma plane is that of YCbCr, rotated. The result is
    clipped to [0, 1], which changes the luma where no RGB color has that luma and that chroma.

    Args:
        result: The styled picture in [0, 1].
        content: The content picture in [0, 1], of the same size.

    Raises:
        InputError: If the sizes differ.
    """
    _check_same_shape(result, content, names=("the result", "the content"))
    chroma = rgb_to_ycbcr(content)[..., 1:]
    return jnp.clip(ycbcr_to_rgb(jnp.concatenate([luminance(result)[..., None], chroma], axis=-1)), 0.0, 1.0)


def color_statistics(picture: Picture) -> tuple[Float[Array, "3"], Float[Array, "3 3"]]:
    """Returns the mean color and the covariance of the colors, divided by the number of pixels and not by one less."""
    check_picture("a picture", picture)
    picture = jnp.asarray(picture)
    picture = picture.astype(jnp.promote_types(picture.dtype, jnp.float32))  # half precision has too few digits
    mean = jnp.mean(picture, axis=(0, 1))
    centered = picture - mean
    # A product over the pixels, since the nine numbers of each would take nine times the memory of a channel.
    products = jnp.einsum("hwi,hwj->ij", centered, centered, precision=lax.Precision.HIGHEST)
    return mean, products / float(picture.shape[0] * picture.shape[1])


def match_color(picture: Picture, reference: AnyPicture) -> Picture:
    """Returns `picture` (for example a style) with the mean and covariance of the colors of `reference`.

    x' = A (x - m) + n with A S A^T = T, where (m, S) and (n, T) are the `color_statistics` of the two pictures. Of the
    solutions A, this is T^(1/2) S^(-1/2) with symmetric roots ("color transfer" in Gatys et al. 2016, arXiv
    1606.05897). Deviations: a direction of colors whose variance is below that of 8-bit rounding is dropped and not
    amplified, so that the colors of a gray picture stay on one line. The result is clipped to [0, 1], after which the
    statistics agree only approximately.

    Args:
        picture: A picture in [0, 1].
        reference: A picture in [0, 1], of any size.
    """
    mean, covariance = color_statistics(picture)
    new_mean, new_covariance = color_statistics(reference)
    values, vectors = jnp.linalg.eigh(covariance)
    inverse_root = jnp.where(values > _ROUNDING_VARIANCE, lax.rsqrt(jnp.maximum(values, _ROUNDING_VARIANCE)), 0.0)
    new_values, new_vectors = jnp.linalg.eigh(new_covariance)
    root = jnp.sqrt(jnp.maximum(new_values, 0.0))  # rounding may leave a tiny negative eigenvalue
    with jax.default_matmul_precision("highest"):
        matrix = (new_vectors * root) @ new_vectors.T @ (vectors * inverse_root) @ vectors.T
        moved = (picture - mean) @ matrix.T + new_mean
    return jnp.clip(moved, 0.0, 1.0)


def mean_squared_error(a: Picture, b: Picture) -> Scalar:
    """Returns the mean of (a - b)^2 over all pixels and channels.

    Raises:
        InputError: If the sizes differ.
    """
    _check_same_shape(a, b)
    return jnp.mean(jnp.square(a - b))


def psnr(a: Picture, b: Picture) -> Scalar:
    """Returns the peak signal-to-noise ratio -10 log10(MSE) in dB, with a peak of 1; infinite for equal pictures.

    Raises:
        InputError: If the sizes differ.
    """
    return -10.0 * jnp.log10(mean_squared_error(a, b))


def _check_same_shape(a: Picture, b: Picture, *, names: tuple[str, str] = ("a picture", "a picture")) -> None:
    for name, picture in zip(names, (a, b), strict=True):
        check_picture(name, picture)
    # Without this check, NumPy's broadcasting would accept pictures of different sizes.
    if a.shape != b.shape:
        raise InputError("two pictures of one size", f"{a.shape} and {b.shape}", "resize one of them")


def nyquist_share(picture: Picture, *, band: float = 1 / 16) -> Scalar:
    """Returns the share of a picture's energy near the Nyquist frequencies, where checkerboard artifacts are.

    The share is `sum_near |Y(f)|^2 / sum |Y(f)|^2`, where Y is the discrete Fourier transform of the luma minus its
    mean. Near are the frequencies with a coordinate within `band` of half a cycle per pixel. White noise has a share of
    `1 - (1 - 2 band)^2`, which is 0.234 for 1/16; a flat picture has 0.

    Args:
        picture: A picture in [0, 1].
        band: The width of the border of the spectrum, in cycles per pixel, in (0, 0.5].
    """
    luma = luminance(picture)
    energy = jnp.square(jnp.abs(jnp.fft.fft2(luma - jnp.mean(luma))))
    rows, columns = (jnp.abs(jnp.fft.fftfreq(size)) >= 0.5 - band for size in luma.shape)
    near = jnp.sum(jnp.where(rows[:, None] | columns[None], energy, 0.0))
    return near / jnp.maximum(jnp.sum(energy), jnp.finfo(energy.dtype).tiny)
