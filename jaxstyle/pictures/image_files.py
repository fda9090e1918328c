"""Reads picture files into float arrays, and writes float arrays to picture files.

A picture that was read is float32 `[height, width, 3]`, RGB, sRGB encoded, in [0, 1] (`jaxstyle.pictures.images`).
Gray, palette, 1-bit, CMYK, 16-bit and transparent files are all converted to that; a color profile is converted to
sRGB, and the orientation that a camera stored is applied. Of an animated file the first frame is read.

16-bit files keep their precision, unless their profile differs from sRGB: Pillow manages colors in 8 bits.
"""

import math
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ImageColor

from jaxstyle.argument_checks import MOST_CLIPPED, check_path, check_picture
from jaxstyle.checks import InputError, check_positive
from jaxstyle.output_files import check_new_file, open_whole, replace_file
from jaxstyle.pictures.image_decoding import (
    EXACT_PIXELS,
    SPARE,
    Box,
    NeededSize,
    Stored,
    as_image,
    decoded,
    srgb_profile,
    srgb_transform,
    to_srgb,
    too_large,
)

#: The most pixels of a picture that is read: more than ordinary cameras make (24 to 60 million), and 1.2 GB as float32.
#: A small file may declare far more.
MAX_PIXELS = 100_000_000

#: The endings of file names that can be written, with Pillow's names of their formats.
SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}

_DEEP_FORMATS = ("PNG", "TIFF")  # they have 16 bits a sample
_MAX_SIDE = {"JPEG": 65_500, "WEBP": 16_383}  # libjpeg's JPEG_MAX_DIMENSION; the 14 bits of a WebP header
_QUALITY = 95  # above it, files of both lossy formats grow fast with no visible gain

_BLOCK_PIXELS = 2**20  # the number of pixels that are converted to floats at a time
_MAX_FACTOR = 256

# EXIF 2.3, tag 0x0112: the function that turns the stored array into the upright picture.
_ORIENT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
_INVERSE = {6: 8, 8: 6}  # each of the others is its own inverse


def read_picture(
    path: str | os.PathLike[str],
    *,
    matte: tuple[float, float, float] = (1.0, 1.0, 1.0),
    max_pixels: int = MAX_PIXELS,
    width: int | None = None,
    height: int | None = None,
    long_side: int | None = None,
) -> np.ndarray:
    """Reads a PNG, JPEG, WebP, AVIF, TIFF, GIF or BMP picture.

    An embedded color profile is converted to sRGB (relative colorimetric, black point compensated). A damaged profile,
    or one for another kind of picture, is ignored as if the picture were sRGB. CMYK without a profile is converted by
    `(1 - ink) (1 - black)`. Transparency is composited as `alpha c + (1 - alpha) matte` on encoded values, as in
    browsers.

    The result takes 12 bytes per pixel. In addition, reading takes up to 4 bytes per pixel of the file, 6 for a
    progressive JPEG and 8 for 16 bits a channel. The decoders of WebP and AVIF keep copies and take about 20, before
    the result exists.

    Args:
        path: The path of the file. Its content decides on the format, not its ending.
        matte: The RGB color in [0, 1] behind transparent pixels.
        max_pixels: The most pixels of the result, checked before any pixel is decoded.
        width: The width that the caller will resize the picture to, or None. From a file of more than 16.8 million
            pixels (up to 200 million; 100 million for WebP and AVIF) a smaller picture is then returned, usually at
            least three times as large as that, each of whose pixels is the mean of a square of pixels.
        height: The height that the caller will resize the picture to, or None.
        long_side: The longer side that the caller will resize the picture to, or None.

    Returns:
        Float32 `[height, width, 3]`, sRGB encoded, in [0, 1].

    Raises:
        FileNotFoundError, IsADirectoryError, PermissionError: If there is no file to be read.
        InputError: If the file is empty, cut short, damaged, too large, takes too long to decode or has none of these
            formats, or if `matte` is not a color.
    """
    if len(matte) != 3 or not all(0 <= value <= 1 for value in matte):
        raise InputError("a matte of three numbers between 0 and 1", matte, "pass for example (1, 1, 1)")
    check_positive("max_pixels", max_pixels)
    needed = NeededSize(width, height, long_side)
    for name, side in needed._asdict().items():
        if side is not None:
            check_positive(name, side)
    check_path("a picture", path)
    path = _check_readable(Path(path))
    with decoded(path, max_pixels, needed) as stored:
        return _to_floats(stored, matte, _factor(stored, needed, max_pixels, path))


def check_output(path: str | os.PathLike[str], *, overwrite: bool = False, bit_depth: int = 8) -> Path:
    """Checks, before any long work, that `write_picture` will be able to write a file.

    Args:
        path: The path of the file; its ending chooses the format.
        overwrite: Whether a file that exists may be replaced.
        bit_depth: 8, or 16 for PNG and TIFF.

    Returns:
        The path as a `Path`.

    Raises:
        InputError: If the ending is unknown, or its format does not have that bit depth.
        FileNotFoundError, NotADirectoryError, PermissionError: If the folder cannot be written into.
        IsADirectoryError: If the path is a folder.
        FileExistsError: If a file exists that may not be replaced.
    """
    check_path("a picture", path)
    path = Path(path)
    name = repr(str(path))
    picture_format = SUFFIXES.get(path.suffix.lower())
    if picture_format is None:
        raise InputError(f"a picture name ending in {', '.join(SUFFIXES)}", name, "choose one of these endings")
    if bit_depth != 8 and (bit_depth != 16 or picture_format not in _DEEP_FORMATS):
        raise InputError("8 bits, or 16 for .png and .tif", f"{bit_depth} for {name}", "choose another of the two")
    return check_new_file(path, overwrite=overwrite)


def write_picture(path: str | os.PathLike[str], picture: Any, *, bit_depth: int = 8, overwrite: bool = False) -> None:
    """Writes a picture with an sRGB profile, in the format that the ending of `path` names.

    JPEG has quality 95 and full color resolution (4:4:4). WebP is lossy, with quality 95 and half the color resolution,
    as always in lossy WebP. PNG and TIFF are lossless. The same picture gives the same bytes. A temporary file in the
    same folder is renamed at the end, so that no other program reads an incomplete picture.

    Args:
        path: The path of the file, as for `check_output`.
        picture: An array-like of floats `[height, width, 3]`; it is clipped to [0, 1] and rounded to nearest.
        bit_depth: 8, or 16 for PNG and TIFF.
        overwrite: Whether a file that exists may be replaced.

    Raises:
        InputError: If the picture has another shape or type, is larger than the format allows, or has a value
            that is not finite.
        OSError: If `check_output` raises one, or if the file cannot be written.
    """
    path = check_output(path, overwrite=overwrite, bit_depth=bit_depth)
    picture_format = SUFFIXES[path.suffix.lower()]
    samples = quantize(picture, bit_depth)
    limit = _MAX_SIDE.get(picture_format, max(samples.shape))
    if max(samples.shape) > limit:
        size = f"{samples.shape[1]} x {samples.shape[0]}"
        raise InputError(f"at most {limit} pixels a side for {path.suffix}", size, "write .png or .tif")
    with replace_file(path, overwrite=overwrite) as part, open_whole(part) as file:
        _encode(file, samples, picture_format)


def parse_color(text: str) -> tuple[float, float, float]:
    """Returns the RGB values in [0, 1] of a color such as `white`, `#ff8000` or `rgb(255, 128, 0)`.

    >>> parse_color("#ff0000")
    (1.0, 0.0, 0.0)

    Raises:
        InputError: If Pillow has no color of that name, or if it is not opaque.
    """
    try:
        color = ImageColor.getrgb(text)
    except ValueError:
        color = ()
    if len(color) != 3:
        raise InputError("an opaque color", repr(text), "pass a name such as white, or #rrggbb")
    red, green, blue = (value / 255 for value in color)
    return red, green, blue


def _message(expected: str, got: str, advice: str) -> str:
    """Returns a message in the form of `InputError`, for errors that are a kind of `OSError`."""
    return str(InputError(expected, got, advice))


def _check_readable(path: Path) -> Path:
    name = repr(str(path))
    if path.is_dir():
        raise IsADirectoryError(_message("a picture file", f"the folder {name}", "name a file in it"))
    if not path.exists():
        raise FileNotFoundError(_message("a picture file", f"no {name}", "check the name and the folder"))
    if not os.access(path, os.R_OK):
        raise PermissionError(_message("a file one may read", name, "change its permissions"))
    if not path.is_file():
        raise InputError("a picture file", f"{name}, a device or a pipe", "store the picture in a file first")
    if not path.stat().st_size:
        raise InputError("a picture file", f"the empty {name}", "copy or download it again")
    return path


def _factor(stored: Stored, needed: NeededSize, max_pixels: int, path: Path) -> int:
    """Returns the side of the squares of stored pixels that are averaged into one pixel; 1 for no averaging."""
    pixels = stored.width * stored.height
    if pixels <= min(EXACT_PIXELS, max_pixels):
        return 1
    share = needed.share_of(stored.width, stored.height, is_turned=stored.is_turned)
    by_share = 1 if share is None else min(int(1 / (SPARE * share)), _MAX_FACTOR)
    factor = max(1, by_share, math.ceil(math.sqrt(pixels / max_pixels)))
    if factor > 1 and (share is None or factor * share > 1):
        raise too_large(path, max_pixels, f"{stored.width} x {stored.height}")
    return factor


def _to_floats(stored: Stored, matte: tuple[float, float, float], factor: int) -> np.ndarray:
    """Returns the upright picture; each pixel is the mean of `factor` x `factor` stored ones."""
    rows, columns = -(-stored.height // factor), -(-stored.width // factor)
    picture = np.empty((columns, rows, 3) if stored.is_turned else (rows, columns, 3), np.float32)
    # A view of the result in the orientation of the stored array.
    view = _ORIENT[_INVERSE.get(stored.orientation, stored.orientation)](picture)
    transform, channels = None, 0
    for left, top, right, bottom in _boxes(rows, columns, max(1, _BLOCK_PIXELS // factor**2)):
        edges = (min(right * factor, stored.width), min(bottom * factor, stored.height))
        samples, alpha = stored.block((left * factor, top * factor, *edges))
        if not channels:
            channels = samples.shape[-1]
            transform = srgb_transform(stored.profile, channels)
        samples = to_srgb(samples, transform)
        block = samples.astype(np.float32)
        block /= np.iinfo(samples.dtype).max
        if alpha is not None:
            opacity = alpha[..., None].astype(np.float32) / np.iinfo(alpha.dtype).max
            block = block * opacity + np.asarray(matte, np.float32) * (1 - opacity)
        view[top:bottom, left:right] = block if factor == 1 else _average(block, factor)
    return picture


def _boxes(rows: int, columns: int, pixels: int) -> Iterator[Box]:
    """Yields boxes of about `pixels` pixels that together cover an array of `rows` x `columns`."""
    wide = min(columns, pixels)
    high = max(1, pixels // wide)
    for top in range(0, rows, high):
        for left in range(0, columns, wide):
            yield left, top, min(left + wide, columns), min(top + high, rows)


def _average(block: np.ndarray, factor: int) -> np.ndarray:
    """Returns the means of squares of `factor` x `factor` pixels, which are smaller at the right and lower edges."""
    for axis in (0, 1):
        starts = np.arange(0, block.shape[axis], factor)
        counts = np.diff(starts, append=block.shape[axis]).astype(np.float32)
        block = np.add.reduceat(block, starts, axis=axis) / np.expand_dims(counts, (1 - axis, 2))
    return block


def quantize(picture: Any, bit_depth: int = 8) -> np.ndarray:
    """Returns a picture as integers of 8 or 16 bits, clipped to [0, 1] and rounded to nearest.

    Raises:
        InputError: If it is not `[height, width, 3]`, not of floats, or has a value that is not finite.
    """
    array: Any = picture if isinstance(picture, str | os.PathLike) else np.asarray(picture)
    check_picture("a picture", array, most_outside=MOST_CLIPPED)
    array = array.astype(np.float32)
    dtype, most = (np.uint8, 255) if bit_depth == 8 else (np.uint16, 65535)
    return np.rint(np.clip(array, 0, 1) * most).astype(dtype)


def _encode(file: BinaryIO, samples: np.ndarray, picture_format: str) -> None:
    if picture_format == "TIFF":
        import tifffile  # imported here because it takes as long as all other imports of this file together

        options: dict[str, Any] = {"photometric": "rgb", "compression": "zlib", "predictor": True}
        # No description and no program name: they would hold a version, and the bytes are to stay the same.
        options |= {"metadata": None, "software": False, "iccprofile": srgb_profile()}
        tifffile.imwrite(file, samples, **options)
    elif picture_format == "PNG" and samples.dtype == np.uint16:
        file.write(_deep_png(samples))
    else:
        lossy = {"quality": _QUALITY}
        options = {"PNG": {}, "JPEG": lossy | {"subsampling": "4:4:4"}, "WEBP": lossy}[picture_format]
        as_image(samples).save(file, format=picture_format, icc_profile=srgb_profile(), **options)


def _deep_png(samples: np.ndarray) -> bytes:
    """Returns a 16-bit RGB PNG, which Pillow cannot write (PNG specification, second edition, sections 5, 9, 11).

    pypng and imagecodecs can write one, but without a color profile; pypng's are also larger, being unfiltered.
    """
    height, width, _ = samples.shape
    lines = samples.astype(">u2").view(np.uint8).reshape(height, -1)
    up = 2  # the filter: each byte minus the one above it, modulo 256; the file is far smaller than without a filter
    filtered = np.diff(lines, axis=0, prepend=np.zeros_like(lines[:1]))
    pixels = np.pad(filtered, ((0, 0), (1, 0)), constant_values=up).tobytes()
    chunks = {
        b"IHDR": struct.pack(">2I5B", width, height, 16, 2, 0, 0, 0),  # 16 bits, RGB, not interlaced
        b"iCCP": b"sRGB\0\0" + zlib.compress(srgb_profile()),
        b"IDAT": zlib.compress(pixels),
        b"IEND": b"",
    }
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, data in chunks.items():
        parts += [struct.pack(">I", len(data)), name, data, struct.pack(">I", zlib.crc32(name + data))]
    return b"".join(parts)
