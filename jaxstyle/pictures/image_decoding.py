"""Pictures in memory as their decoders leave them, handed out in blocks: what lies between files and float arrays.

Decoded pictures stay in Pillow's memory, one to eight bytes a pixel, and become floats a block at a time.
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

#: Left, top, right and bottom of a part of a picture, in pixels.
Box = tuple[int, int, int, int]

Samples = tuple[np.ndarray, np.ndarray | None]

#: The most pixels that a file may have. Phones make pictures of 200 million; a tiny file may declare far more.
MAX_STORED_PIXELS = 200_000_000

#: Up to so many pixels a picture is always read in full; larger ones only as finely as they are needed.
EXACT_PIXELS = 2**24

#: How many times the needed width is kept: from 3 on, a resized picture hardly shows that it was averaged before.
SPARE = 3

# The decoders of these formats hold several copies of the picture, and that of BMP's run lengths is slow.
_MAX_PIXELS_OF = {"WEBP": 100_000_000, "AVIF": 100_000_000}
_MAX_RUN_LENGTH_PIXELS = 10_000_000

_ORIENTATION_TAG = 0x0112  # EXIF 2.3: how to turn the stored array into the one to look at
_TURNED = (5, 6, 7, 8)  # those orientations that exchange width and height

# Pillow's limit and Python's warnings are global, so only one picture is read at a time.
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Stored:
    """A decoded picture.

    Attributes:
        width: Width of the stored array.
        height: Height of the stored array.
        orientation: By EXIF, 1 to 8.
        profile: The color profile; empty if there is none.
        block: Returns the samples within a `Box`, uint8 or uint16 `[h, w, 1 (gray), 3 (RGB) or 4 (CMYK)]`, and the
            alpha `[h, w]` if there is any.
    """

    width: int
    height: int
    orientation: int
    profile: bytes
    block: Callable[[Box], Samples]

    @property
    def is_turned(self) -> bool:
        """Whether the picture to look at is as wide as the stored array is high."""
        return self.orientation in _TURNED


class NeededSize(NamedTuple):
    """How large a picture is needed at least, by any of its sides; by none if it is needed as it is."""

    width: int | None = None
    height: int | None = None
    long_side: int | None = None

    def share_of(self, width: int, height: int, *, is_turned: bool) -> float | None:
        """Returns the needed size as a share of a stored one, or None if the picture is needed as it is."""
        if is_turned:
            width, height = height, width
        sides = ((self.width, width), (self.height, height), (self.long_side, max(width, height)))
        return max((needed / side for needed, side in sides if needed is not None), default=None)


@contextmanager
def decoded(path: Path, max_pixels: int, needed: NeededSize) -> Iterator[Stored]:
    """Decodes a file for the length of the block.

    Args:
        path: Path of a file that exists.
        max_pixels: The most pixels to accept; where a size is needed, 200 million (100 for WebP and AVIF).
        needed: The size that is needed. JPEG files are decoded at 1/2, 1/4 or 1/8 of their size where that leaves three
            times as much.

    Raises:
        InputError: If the file is none of the formats that are read, cut short, damaged or too large.
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
            with _quiet(kind):
                block = _blocks(path, image, lambda: _open(find_parts(file, kind).stream, kind))
            _let_go(image)
            # After decoding, since Pillow turns TIFF pictures itself as it loads them and then drops the tag.
            orientation = _orientation(image)
            profile = parts.profile if parts.profile is not None else image.info.get("icc_profile")
            yield Stored(*image.size, orientation, profile or b"", block)


def too_large(path: Path, max_pixels: int, size: str) -> InputError:
    """Returns the error that a picture of more than `max_pixels` raises."""
    return InputError(f"a picture of at most {max_pixels} pixels", f"{str(path)!r} with {size}", "make it smaller")


@contextmanager
def _pillow_errors(path: Path, max_pixels: int) -> Iterator[None]:
    """Turns whatever Pillow raises about a file into an `InputError`, and keeps its warnings quiet."""
    name = repr(str(path))
    with _LOCK:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MAX_STORED_PIXELS // 2  # Pillow refuses what has more than twice as many
        try:
            with warnings.catch_warnings():
                # Of broken metadata and large sizes: no news to one who only wants the pixels.
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
        except Exception as error:  # Pillow's readers let through nearly any kind when they meet damaged data
            raise InputError("a complete picture", f"{name}, cut short or damaged", "copy it again") from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _open(stream: BinaryIO, kind: str) -> ImageFile.ImageFile:
    return Image.open(stream, formats=[kind])


@contextmanager
def _quiet(kind: str) -> Iterator[None]:
    """Keeps libtiff quiet, which writes what it thinks of a file to standard error itself."""
    try:
        kept = os.dup(2) if kind == "TIFF" else None
    except OSError:  # there is no standard error
        kept = None
    if kept is None:
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123, os.devnull is no path to work with
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _let_go(image: ImageFile.ImageFile) -> None:
    """Frees what the decoders of WebP and AVIF hold, which is more than the picture."""
    for name in ("_decoder", "fp"):
        if image.format in ("WEBP", "AVIF") and hasattr(image, name):
            setattr(image, name, None)


def _orientation(image: ImageFile.ImageFile) -> int:
    try:
        found = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # broken metadata raises nearly anything, and costs at most a turn of the picture
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _blocks(path: Path, image: ImageFile.ImageFile, again: Callable[[], Any]) -> Callable[[Box], Samples]:
    """Decodes `image`, and returns what `Stored.block` is; `again` opens the file once more."""
    if image.mode in ("I", "F", "LAB"):
        kind = {"I": "32-bit or signed integers", "F": "floats", "LAB": "Lab colors"}[image.mode]
        advice = "convert it to 8 or 16 bits first" if image.mode != "LAB" else "convert it to RGB first"
        raise InputError("RGB, gray or CMYK of 1 to 16 bits", f"{str(path)!r} of {kind}", advice)
    if image.mode.startswith("I;16"):
        image.load()
        return lambda box: _split_alpha(_deep_gray(image, box), image)
    if [_rawmode(tile) for tile in image.tile] == ["LA;16B"]:
        # Pillow would keep the high bytes only; read as four 8-bit samples, the pixel's bytes come whole.
        image.tile = [_with_rawmode(image.tile[0], "RGBA")]
        image.load()
        return lambda box: _split_alpha(np.asarray(image.crop(box)).view(">u2").astype(np.uint16), image)
    if (rawmodes := _deep_rawmodes(image)) is not None:
        halves = _load_deep_color(image, again, rawmodes)

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
    """Pillow's names for how the pieces of a 16-bit RGB(A) file are laid out; None for any other file."""
    rawmodes = [_rawmode(tile) for tile in image.tile]
    tags: Any = getattr(image, "tag_v2", {})
    if set(rawmodes) <= set("RGBA") and set(tags.get(258, ())) == {16}:
        # An uncompressed TIFF, one color after the other: Pillow 13 would take its bytes for 8-bit samples.
        order = "L" if tags.prefix == b"II" else "B"
        rawmodes = [f"{rawmode};16{order}" for rawmode in rawmodes]
    deep = all(re.fullmatch("(RGB[AX]?|[RGBA]);16[BLN]", rawmode) for rawmode in rawmodes)
    return rawmodes if rawmodes and deep else None


def _load_deep_color(
    image: ImageFile.ImageFile, again: Callable[[], Any], rawmodes: list[str]
) -> tuple[Image.Image, Image.Image]:
    """Reads 16-bit RGB(A) in full, though Pillow's color has 8 bits: high bytes first, then low bytes.

    Pillow's unpackers keep the high byte of each sample. The one for the other byte order keeps what is the
    low byte, so that two passes give all 16 bits, for whatever compression and interlacing Pillow reads. (For
    a compressed TIFF with separate planes it disregards the order, and 8 bits are what one gets.)
    """
    swapped = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
    image.tile = [_with_rawmode(tile, name) for tile, name in zip(image.tile, rawmodes, strict=True)]
    image.load()
    low = again()
    names = [name[:-1] + swapped[name[-1]] for name in rawmodes]
    low.tile = [_with_rawmode(tile, name) for tile, name in zip(low.tile, names, strict=True)]
    low.load()
    return image, low


def _split_alpha(samples: np.ndarray, image: ImageFile.ImageFile) -> Samples:
    """Takes the alpha off 16-bit samples, or makes it from the one color that PNG may declare transparent."""
    if samples.shape[-1] in (2, 4):
        return samples[..., :-1], samples[..., -1]
    if (clear := image.info.get("transparency")) is None:
        return samples, None
    return samples, np.any(samples != np.asarray(clear), axis=-1).astype(np.uint16) * 65535


def to_srgb(samples: np.ndarray, transform: ImageCms.ImageCmsTransform | None) -> np.ndarray:
    """Converts samples to sRGB; without a transform they pass, and CMYK takes Pillow's formula."""
    if transform is None:
        return samples if samples.shape[-1] != 4 else np.asarray(as_image(samples).convert("RGB"))
    if samples.dtype == np.uint16:
        samples = np.rint(samples / 257).astype(np.uint8)  # 65535 / 255 = 257
    image = as_image(samples).convert(transform.input_mode)  # a gray picture may carry an RGB profile
    return np.asarray(ImageCms.applyTransform(image, transform))


def srgb_transform(profile: bytes, channels: int) -> ImageCms.ImageCmsTransform | None:
    """Returns the way from `profile` to sRGB; None where the profile is broken, of another kind, or as good as sRGB.

    What moves no color by more than one level of 255 is sRGB with its numbers rounded: left alone, such files
    keep 16 bits, and those that `write_picture` made read back exactly.
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
        if mode == "L":  # the shortcut that LittleCMS takes for gray is off by up to 10 of 255 in dark tones
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
    """Returns a Pillow image of uint8 samples; `Image.fromarray` wants other shapes, and in some versions warns."""
    height, width, channels = samples.shape
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[channels]
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(samples).tobytes())


@cache
def srgb_profile() -> bytes:
    """Returns an sRGB profile whose bytes are always the same."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # ICC.1:2010, 7.2.8: bytes 24 to 35 tell when it was made; fixed, so that equal pictures give equal bytes.
    return profile[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + profile[36:]
