"""Decodes picture files, and returns their pixels as integers in blocks, from which `image_files` makes float arrays.

Decoded pictures stay in Pillow's memory, one to eight bytes per pixel, and are converted to floats a block at a time.
16-bit files keep their precision, unless their profile differs from sRGB: Pillow manages colors in 8 bits.
"""

import io
import os
import re
import struct
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from jaxstyle.checks import InputError
from jaxstyle.pictures.image_parts import MAX_SCANNED_PIXELS, READABLE, UnsoundError, describe, find_parts, recognize

#: The left, top, right and bottom of a part of a picture, in pixels.
Box = tuple[int, int, int, int]

#: The colors `[h, w, 1 (gray), 3 (RGB) or 4 (CMYK)]`, uint8 or uint16, and the alpha `[h, w]` if there is one.
Samples = tuple[np.ndarray, np.ndarray | None]

#: The most pixels that a file may have. Phones make pictures of 200 million; a small file may declare far more.
MAX_STORED_PIXELS = 200_000_000

#: A picture of at most so many pixels is read in full; a larger one only at the resolution that is needed.
EXACT_PIXELS = 2**24

#: The factor between the width that is read and that needed: from 3 on, averaging before resizing is hardly visible.
SPARE = 3

# The decoders of these formats keep several copies of the picture, and the decoder of run lengths in BMP files is slow.
_MAX_PIXELS_OF = {"WEBP": 100_000_000, "AVIF": 100_000_000}
_MAX_RUN_LENGTH_PIXELS = 10_000_000

_ORIENTATION_TAG = 0x0112  # EXIF 2.3
_TURNED = (5, 6, 7, 8)  # the orientations that exchange width and height

# Pillow's limit and Python's warnings are global, so only one picture is read at a time.
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Stored:
    """A decoded picture.

    Attributes:
        width: The width of the stored array in pixels.
        height: The height of the stored array in pixels.
        orientation: The orientation by EXIF, 1 to 8.
        profile: The ICC color profile; empty if there is none.
        block: A function that returns the `Samples` within a `Box`.
    """

    width: int
    height: int
    orientation: int
    profile: bytes
    block: Callable[[Box], Samples]

    @property
    def is_turned(self) -> bool:
        """Whether the upright picture is as wide as the stored array is high."""
        return self.orientation in _TURNED


class NeededSize(NamedTuple):
    """The smallest size that is needed, by one or more sides; without any, the picture is needed in full."""

    width: int | None = None
    height: int | None = None
    long_side: int | None = None

    def share_of(self, width: int, height: int, *, is_turned: bool) -> float | None:
        """Returns the needed size as a share of the stored size, or None if the picture is needed in full."""
        if is_turned:
            width, height = height, width
        sides = ((self.width, width), (self.height, height), (self.long_side, max(width, height)))
        return max((needed / side for needed, side in sides if needed is not None), default=None)


@contextmanager
def decoded(path: Path, max_pixels: int, needed: NeededSize) -> Iterator[Stored]:
    """Decodes a file; the decoded picture is valid inside the `with` block.

    Args:
        path: The path of a file that exists.
        max_pixels: The most pixels to accept. If a size is needed, the limit is 200 million (100 for WebP and AVIF).
        needed: The size that is needed. JPEG files are decoded at 1/2, 1/4 or 1/8 of their size if the result is at
            least three times as large as needed.

    Raises:
        InputError: If the file has none of the formats that are read, or is cut short, damaged or too large.
    """
    with _pillow_errors(path, max_pixels), path.open("rb") as file:
        start = file.read(512)
        kind = recognize(start)
        if kind is None:
            found, advice = describe(start)
            raise InputError(f"a {READABLE} picture", f"{str(path)!r}, {found}", advice)
        parts = find_parts(file, kind)
        with _open(parts.stream, kind) as image:
            pixels = image.width * image.height
            most = max_pixels if needed == NeededSize() else _MAX_PIXELS_OF.get(kind, MAX_STORED_PIXELS)
            if pixels > most:
                raise too_large(path, most, f"{image.width} x {image.height}")
            if parts.scans * pixels > MAX_SCANNED_PIXELS:
                raise UnsoundError(f"whose {parts.scans} scans would take too long")
            if kind == "BMP" and image.tile[0][0] != "raw" and pixels > _MAX_RUN_LENGTH_PIXELS:
                raise too_large(path, _MAX_RUN_LENGTH_PIXELS, f"{image.width} x {image.height} in run lengths")
            if kind == "JPEG" and pixels > EXACT_PIXELS:
                share = needed.share_of(*image.size, is_turned=_orientation(image) in _TURNED)
                if share is not None:
                    wide, high = (max(1, int(side * SPARE * share)) for side in image.size)
                    image.draft(None, (wide, high))
            with _silenced(kind):
                block = _decode(path, image, lambda: _open(find_parts(file, kind).stream, kind))
            _free_decoder(image)
            # Read after decoding, since Pillow rotates TIFF pictures itself when it loads them, and removes the tag.
            orientation = _orientation(image)
            profile = parts.profile if parts.profile is not None else image.info.get("icc_profile")
            yield Stored(*image.size, orientation, profile or b"", block)


def too_large(path: Path, max_pixels: int, size: str) -> InputError:
    """Returns the error that a picture of more than `max_pixels` raises."""
    return InputError(f"a picture of at most {max_pixels} pixels", f"{str(path)!r} with {size}", "make it smaller")


@contextmanager
def _pillow_errors(path: Path, max_pixels: int) -> Iterator[None]:
    """Raises an `InputError` for any exception of Pillow, and suppresses Pillow's warnings."""
    name = repr(str(path))
    with _LOCK:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MAX_STORED_PIXELS // 2  # Pillow raises an error above twice this number
        try:
            with warnings.catch_warnings():
                # They are about broken metadata and large sizes, which do not matter here.
                warnings.simplefilter("ignore")
                yield
        except InputError:
            raise
        except UnsoundError as error:
            raise InputError("a complete picture", f"{name}, a file {error}", "convert it, or copy it again") from error
        except MemoryError as error:
            raise InputError("a picture that fits into memory", f"the larger {name}", "make it smaller") from error
        except Image.DecompressionBombError as error:
            raise too_large(path, max_pixels, "far more") from error
        except UnidentifiedImageError as error:
            found = f"{name}, whose beginning is damaged or of a kind that Pillow does not read"
            raise InputError("a complete picture", found, "convert it, or copy it again") from error
        except Exception as error:  # Pillow's decoders raise exceptions of nearly any type for damaged data
            raise InputError("a complete picture", f"{name}, cut short or damaged", "copy it again") from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _open(stream: BinaryIO, kind: str) -> ImageFile.ImageFile:
    return Image.open(stream, formats=[kind])


@contextmanager
def _silenced(kind: str) -> Iterator[None]:
    """Redirects standard error to nowhere while libtiff decodes, which writes its warnings there directly."""
    try:
        saved = os.dup(2) if kind == "TIFF" else None
    except OSError:  # there is no standard error
        saved = None
    if saved is None:
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123, os.devnull is no path to work with
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _free_decoder(image: ImageFile.ImageFile) -> None:
    """Frees the memory of the decoders of WebP and AVIF, which is more than that of the picture."""
    for name in ("_decoder", "fp"):
        if image.format in ("WEBP", "AVIF") and hasattr(image, name):
            setattr(image, name, None)


def _orientation(image: ImageFile.ImageFile) -> int:
    try:
        found = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # broken metadata raises exceptions of nearly any type, and only the orientation is lost
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _decode(path: Path, image: ImageFile.ImageFile, reopen: Callable[[], Any]) -> Callable[[Box], Samples]:
    """Decodes `image`, and returns the function `Stored.block`; `reopen` opens the file a second time."""
    if image.mode in ("I", "F", "LAB"):
        kind = {"I": "32-bit or signed integers", "F": "floats", "LAB": "Lab colors"}[image.mode]
        advice = "convert it to 8 or 16 bits first" if image.mode != "LAB" else "convert it to RGB first"
        raise InputError("RGB, gray or CMYK of 1 to 16 bits", f"{str(path)!r} of {kind}", advice)
    if image.mode.startswith("I;16"):
        image.load()
        return lambda box: _split_alpha(_deep_gray(image, box), image)
    if [_rawmode(tile) for tile in image.tile] == ["LA;16B"]:
        # Pillow would keep only the high bytes. Declared as four 8-bit samples, all bytes of a pixel are read.
        image.tile = [_with_rawmode(image.tile[0], "RGBA")]
        image.load()
        return lambda box: _split_alpha(np.asarray(image.crop(box)).view(">u2").astype(np.uint16), image)
    if (rawmodes := _deep_rawmodes(image)) is not None:
        halves = _load_deep_color(image, reopen, rawmodes)

        def block(box: Box) -> Samples:
            high, low = (np.asarray(half.crop(box)).astype(np.uint16) for half in halves)
            return _split_alpha(high * 256 + low, image)

        return block
    image.load()
    return lambda box: _shallow(image.crop(box))


def _shallow(image: Image.Image) -> Samples:
    alpha = np.asarray(image.convert("RGBA").getchannel("A")) if image.has_transparency_data else None
    gray = image.mode in ("1", "L", "LA")
    samples = np.asarray(image.convert("L" if gray else "CMYK" if image.mode == "CMYK" else "RGB"))
    return np.atleast_3d(samples), alpha


def _deep_gray(image: ImageFile.ImageFile, box: Box) -> np.ndarray:
    samples = np.asarray(image.crop(box)).astype(np.uint16)
    if image.format == "TIFF":
        tags: Any = getattr(image, "tag_v2", {})
        most = 2 ** tags.get(258, (16,))[0] - 1  # BitsPerSample: 12-bit files exist
        samples = np.rint(samples * (65535 / most)).astype(np.uint16) if most != 65535 else samples
        if tags.get(262) == 0:  # PhotometricInterpretation is WhiteIsZero, which Pillow undoes for 8 bits only
            samples = 65535 - samples
    return samples[..., None]


def _rawmode(tile: Any) -> str:
    return tile.args if isinstance(tile.args, str) else str(tile.args[0])


def _with_rawmode(tile: Any, rawmode: str) -> Any:
    return tile._replace(args=rawmode if isinstance(tile.args, str) else (rawmode, *tile.args[1:]))


def _deep_rawmodes(image: ImageFile.ImageFile) -> list[str] | None:
    """Returns Pillow's names for the layouts of the tiles of a 16-bit RGB(A) file; None for any other file."""
    rawmodes = [_rawmode(tile) for tile in image.tile]
    tags: Any = getattr(image, "tag_v2", {})
    if set(rawmodes) <= set("RGBA") and set(tags.get(258, ())) == {16}:
        # An uncompressed TIFF with separate planes of colors: Pillow 13 would read its bytes as 8-bit samples.
        order = "L" if tags.prefix == b"II" else "B"
        rawmodes = [f"{rawmode};16{order}" for rawmode in rawmodes]
    deep = all(re.fullmatch("(RGB[AX]?|[RGBA]);16[BLN]", rawmode) for rawmode in rawmodes)
    return rawmodes if rawmodes and deep else None


def _load_deep_color(
    image: ImageFile.ImageFile, reopen: Callable[[], Any], rawmodes: list[str]
) -> tuple[Image.Image, Image.Image]:
    """Reads the high bytes and the low bytes of 16-bit RGB(A) one after the other, since Pillow's colors have 8 bits.

    Pillow's unpackers keep the high byte of each sample. The unpacker for the other byte order keeps the low byte, so
    that two passes read all 16 bits, with every compression and interlacing that Pillow reads. Limitation: for a
    compressed TIFF with separate planes Pillow ignores the byte order, and only 8 bits are read.

    Libraries that read 16 bits were tried instead, with damaged files: tifffile took more than 10 seconds for one in a
    hundred, and others took a gigabyte. imagecodecs would be 80 MB for PNG alone, and pypng is nine times slower.
    """
    swapped = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
    image.tile = [_with_rawmode(tile, name) for tile, name in zip(image.tile, rawmodes, strict=True)]
    image.load()
    low = reopen()
    names = [name[:-1] + swapped[name[-1]] for name in rawmodes]
    low.tile = [_with_rawmode(tile, name) for tile, name in zip(low.tile, names, strict=True)]
    low.load()
    return image, low


def _split_alpha(samples: np.ndarray, image: ImageFile.ImageFile) -> Samples:
    """Separates the alpha of 16-bit samples, or derives it from the one color that PNG may declare transparent."""
    if samples.shape[-1] in (2, 4):
        return samples[..., :-1], samples[..., -1]
    if (clear := image.info.get("transparency")) is None:
        return samples, None
    return samples, np.any(samples != np.asarray(clear), axis=-1).astype(np.uint16) * 65535


def to_srgb(samples: np.ndarray, transform: ImageCms.ImageCmsTransform | None) -> np.ndarray:
    """Returns samples in sRGB; without a transform they are unchanged, except that CMYK takes Pillow's formula."""
    if transform is None:
        return samples if samples.shape[-1] != 4 else np.asarray(as_image(samples).convert("RGB"))
    if samples.dtype == np.uint16:
        samples = np.rint(samples / 257).astype(np.uint8)  # 65535 / 255 = 257
    image = as_image(samples).convert(transform.input_mode)  # a gray picture may carry an RGB profile
    return np.asarray(ImageCms.applyTransform(image, transform))


def srgb_transform(profile: bytes, channels: int) -> ImageCms.ImageCmsTransform | None:
    """Returns the transform from `profile` to sRGB; None if the profile is broken, of another kind, or equals sRGB.

    A profile that changes no color by more than one level of 255 is sRGB with rounded numbers. Without a transform such
    files keep 16 bits, and the files of `write_picture` are read back exactly.
    """
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        header: Any = source.profile
        space = str(header.xcolor_space).strip()
        mode = "L" if space == "GRAY" else space
        if (channels, mode) not in [(1, "L"), (1, "RGB"), (3, "RGB"), (4, "CMYK")]:
            return None
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        if mode == "L":  # the optimization of LittleCMS for gray is wrong by up to 10 of 255 in dark tones
            flags |= ImageCms.Flags.NOOPTIMIZE
        transform = ImageCms.buildTransform(
            source,
            ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if mode == "CMYK":
        return transform
    levels = np.arange(0, 256, 17, dtype=np.uint8)
    probe = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 1, 3)
    image = as_image(probe if mode == "RGB" else probe[..., :1])
    moved = np.asarray(ImageCms.applyTransform(image, transform), int) - np.asarray(image.convert("RGB"), int)
    return transform if np.abs(moved).max() > 1 else None


def as_image(samples: np.ndarray) -> Image.Image:
    """Returns a Pillow image of uint8 samples `[h, w, 1, 3 or 4]`; `Image.fromarray` reads 4 as RGBA."""
    height, width, channels = samples.shape
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[channels]
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(samples).tobytes())


@cache
def srgb_profile() -> bytes:
    """Returns an sRGB profile; its bytes do not depend on the time."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # ICC.1:2010, 7.2.8: bytes 24 to 35 are the time of its creation; fixed, so that equal pictures give equal bytes.
    return profile[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + profile[36:]
