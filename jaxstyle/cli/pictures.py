"""Pictures that flags name: files or samples, in the size they are wanted in."""

import numpy as np

from jaxstyle.checks import InputError, check_between, check_positive

#: Far above any picture that fits; keeps sums of pixels ordinary numbers.
MAX_SIDE = 100_000


def read_scaled(source: str, width: int | None, matte: str, *, method: str = "cubic") -> np.ndarray:
    """Returns the picture that `source` (a file or sample:NAME) names, `width` pixels wide, in its own shape.

    Samples that are painted are painted at that width; everything else is resized. None keeps the size.
    `method` is that of `jaxstyle.images.resize`.
    """
    from jaxstyle.memory_limits import check_process_limits

    check_process_limits()

    from jaxstyle import images, samples
    from jaxstyle.image_files import MAX_PIXELS, parse_color, read_picture

    if width is not None:
        check_positive("a width", width)
        check_between("the width of a picture", width, 1, MAX_SIDE)
    if samples.is_sample(source):
        picture = samples.load_sample(source, width=width)
    else:
        picture = read_picture(source, matte=parse_color(matte))
    height, old_width, _ = picture.shape
    if width is None or width == old_width:
        return picture
    if height * width**2 > MAX_PIXELS * old_width:
        raise InputError(f"at most {MAX_PIXELS} pixels", f"{source} {width} pixels wide", "choose a smaller width")
    return np.asarray(images.resize(picture, *images.size_for_width(height, old_width, width), method=method))


def resize_to(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns `picture` at that size; the same array if it has that size already."""
    from jaxstyle import images

    return picture if picture.shape[:2] == (height, width) else np.asarray(images.resize(picture, height, width))
