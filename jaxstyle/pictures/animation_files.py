"""Writes frames to animated GIF and WebP files."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxstyle.checks import InputError, check_between
from jaxstyle.output_files import check_new_file, open_whole, replace_file
from jaxstyle.pictures.image_decoding import as_image
from jaxstyle.pictures.image_files import quantize

#: The endings of file names that can be written, with Pillow's names of their formats.
ANIMATION_SUFFIXES = {".gif": "GIF", ".webp": "WEBP"}

#: The shortest and longest time of a frame in seconds. Most programs show shorter frames for 0.1 s; a GIF stores the
#: time in units of 10 ms in 16 bits.
SECONDS_PER_FRAME = (0.02, 655.35)

_MILLISECONDS = {"GIF": 10, "WEBP": 1}  # the unit of time
_MAX_SIDE = {"GIF": 65_535, "WEBP": 16_383}  # 16 bits in a GIF's header, 14 in a WebP's
_MAX_LOOP = 65_535  # 16 bits in both

_COLORS = 256  # the most in a GIF's frame

# The number of pixels of a frame from which its palette is chosen. K-means takes longer with more pixels, and with all
# of them the error is hardly smaller: its root mean square after dithering was 4.8 of 255 both ways for
# sample:astronaut, and 9.5 instead of 9.9 for sample:mosaic, the most colorful one.
_PALETTE_PIXELS = 2**14
_GOLDEN_RATIO = (5**0.5 - 1) / 2

_WEBP = {"quality": 90, "method": 4}  # Pillow would take method 0 for animations: faster, larger and worse


def check_animation(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Checks, before any long work, that `write_animation` will be able to write a file.

    Args:
        path: The path of the file; its ending, .gif or .webp, chooses the format.
        overwrite: Whether a file that exists may be replaced.

    Returns:
        The path as a `Path`.

    Raises:
        InputError: If the ending is another one.
        OSError: If `jaxstyle.output_files.check_new_file` raises one.
    """
    path = Path(path)
    if path.suffix.lower() not in ANIMATION_SUFFIXES:
        endings = " or ".join(ANIMATION_SUFFIXES)
        raise InputError(f"an animation name ending in {endings}", repr(str(path)), "choose one of these endings")
    return check_new_file(path, overwrite=overwrite)


def write_animation(
    path: str | os.PathLike[str],
    frames: Iterable[Any],
    *,
    seconds_per_frame: float = 0.1,
    loop: int = 0,
    overwrite: bool = False,
) -> None:
    """Writes an animated GIF or WebP, in the format that the ending of `path` names.

    A frame of a GIF has at most 256 colors: each frame gets a palette of its own (maximum coverage, then k-means) and
    Floyd-Steinberg dithering; a frame of no more than 256 colors keeps them exactly. WebP is lossy, with quality 90
    and half the color resolution. The same frames give the same bytes. Equal consecutive frames are stored once, with
    the sum of their times. A temporary file in the same folder is renamed at the end.

    Frames are requested one at a time. Pillow keeps all of them until the file is written: a byte per pixel for a GIF,
    four for a WebP.

    Args:
        path: The path of the file, as for `check_animation`.
        frames: Pictures, floats `[height, width, 3]` of one size; clipped to [0, 1] and rounded to 8 bits.
        seconds_per_frame: The time of a frame, 0.02 to 655.35 seconds; rounded to the nearest 10 ms for GIF, which is
            its unit, and to the nearest 1 ms for WebP.
        loop: The number of times to play the animation; 0 repeats it without end.
        overwrite: Whether a file that exists may be replaced.

    Raises:
        InputError: If there is no frame, if a frame is not a picture of finite floats or has another size than the
            first, if the size is more than the format allows, or if a number is out of its range. For a GIF, also if
            unchanged consecutive frames take more than 655.35 s together.
        OSError: If `check_animation` raises one, or if the file cannot be written.
    """
    path = check_animation(path, overwrite=overwrite)
    file_format = ANIMATION_SUFFIXES[path.suffix.lower()]
    check_between("seconds_per_frame", seconds_per_frame, *SECONDS_PER_FRAME)
    check_between("loop", loop, 0, _MAX_LOOP)
    unit = _MILLISECONDS[file_format]
    duration = round(1000 * seconds_per_frame / unit) * unit
    images = _images(frames, file_format, duration)
    first = next(images, None)
    if first is None:
        raise InputError("at least one frame", "none", "pass one or more pictures")
    if file_format == "GIF":
        # The file stores the number of repetitions, or no number for none. `optimize` would only shorten palettes.
        again = loop - 1 if loop > 1 else None if loop else 0
        options = {"loop": again, "optimize": False, "interlace": False}
    else:
        options = {"loop": loop, **_WEBP}
    with replace_file(path, overwrite=overwrite) as part, open_whole(part) as file:
        first.save(file, file_format, save_all=True, append_images=images, duration=duration, **options)


def _images(frames: Iterable[Any], file_format: str, duration: int) -> Iterator[Image.Image]:
    """Yields the frames as checked Pillow images; `duration` is the time of a frame in milliseconds."""
    size, previous, unchanged = None, b"", 0
    for number, frame in enumerate(frames, start=1):
        samples = quantize(frame)
        height, width, _ = samples.shape
        size = size or (width, height)
        if size != (width, height):
            got = f"{width} x {height} in frame {number}"
            raise InputError(f"frames of one size, {size[0]} x {size[1]}", got, "resize the frames")
        if max(size) > _MAX_SIDE[file_format]:
            limit = f"at most {_MAX_SIDE[file_format]} pixels a side for .{file_format.lower()}"
            raise InputError(limit, f"{width} x {height}", "make the frames smaller")
        data, image = samples.tobytes(), as_image(samples)
        if file_format == "GIF":
            image = _reduce_colors(image, samples)
            # Pillow stores equal frames as one, and has 16 bits for the sum of their times.
            unchanged = duration + (unchanged if data == previous else 0)
            if unchanged > 1000 * SECONDS_PER_FRAME[1]:
                most = f"at most {SECONDS_PER_FRAME[1]} s without a change in a .gif"
                raise InputError(most, f"{unchanged / 1000:g} s up to frame {number}", "write .webp, or fewer frames")
            previous = data
        yield image


def _reduce_colors(image: Image.Image, samples: np.ndarray) -> Image.Image:
    """Returns the image with a palette of 256 colors, which is exact if it has no more colors than that."""
    if image.getcolors(_COLORS) is not None:
        return image.quantize(_COLORS, Image.Quantize.MEDIANCUT)
    colors = samples.reshape(-1, 3)
    if len(colors) > _PALETTE_PIXELS:
        # Steps of the golden ratio are spread evenly and coincide with no periodic pattern of the picture.
        share = np.arange(_PALETTE_PIXELS) * _GOLDEN_RATIO % 1
        colors = colors[(share * len(colors)).astype(np.intp)]
    palette = as_image(colors[None]).quantize(_COLORS, Image.Quantize.MAXCOVERAGE, kmeans=1)
    return image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
