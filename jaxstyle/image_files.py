"""Pictures on disk: the only file that reads them, and with `animation_files` the only one that sees Pillow.

A picture that was read is float32 `[height, width, 3]`, RGB, sRGB encoded, in [0, 1] (`jaxstyle.images`).
Gray, palette, 1-bit, CMYK, 16-bit and transparent files all become that; a color profile is converted to
sRGB, and the orientation that a camera noted is applied. Of an animated file the first frame is read.

16-bit files keep their precision, unless their profile differs from sRGB: Pillow manages colors in 8 bits.
"""

import io
import os
import re
import struct
import sys
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageColor, ImageFile, UnidentifiedImageError

from jaxstyle.argument_checks import check_path, check_picture
from jaxstyle.checks import InputError, check_new_file, check_positive, replace_file

#: Larger than what ordinary cameras make (24 to 60 million), and 1.2 GB as float32; a tiny file may declare
#: far more. Pillow itself refuses above 179 million, whatever limit is passed here.
MAX_PIXELS = 100_000_000

#: File name endings that can be written, and Pillow's names of their formats (just those that can be read).
SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}

_DEEP_FORMATS = ("PNG", "TIFF")  # they have 16 bits a sample
_MAX_SIDE = {"JPEG": 65_500, "WEBP": 16_383}  # libjpeg's JPEG_MAX_DIMENSION; the 14 bits of a WebP header
_QUALITY = 95  # above it, files of both lossy formats grow fast with no visible gain

# EXIF 2.3, tag 0x0112: how to turn the stored array into the one to look at.
_ORIENTATION_TAG = 0x0112
_ORIENT = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


def read_picture(
    path: str | os.PathLike[str],
    *,
    matte: tuple[float, float, float] = (1.0, 1.0, 1.0),
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Reads a PNG, JPEG, WebP or TIFF picture.

    An embedded color profile is converted to sRGB (relative colorimetric, black point compensated); a broken
    one, or one for another kind of picture, is ignored as if the picture were sRGB. CMYK without a profile
    becomes `(1 - ink) (1 - black)`. Transparency is composited as `alpha c + (1 - alpha) matte` on encoded
    values, as browsers do.

    Args:
        path: The file.
        matte: The RGB color in [0, 1] that shows through transparent pixels.
        max_pixels: The most pixels to accept, checked before any is decoded.

    Returns:
        Float32 `[height, width, 3]`, sRGB encoded, in [0, 1].

    Raises:
        FileNotFoundError, IsADirectoryError, PermissionError: If there is no file to be read.
        InputError: If the file is empty, cut short, damaged, too large or none of these formats, or `matte`
            is not a color.
    """
    if len(matte) != 3 or not all(0 <= value <= 1 for value in matte):
        raise InputError("a matte of three numbers between 0 and 1", matte, "pass for example (1, 1, 1)")
    check_positive("max_pixels", max_pixels)
    check_path("a picture", path)
    path = _check_readable(Path(path))
    with _pillow_errors(path, max_pixels), _open(path) as image:
        if image.width * image.height > max_pixels:
            raise _too_large(path, max_pixels, f"{image.width} x {image.height}")
        samples, alpha = _decode(path, image)
        # After decoding, since Pillow turns TIFF pictures itself as it loads them and then drops the tag.
        orientation = _orientation(image)
        profile = image.info.get("icc_profile")
    samples = _to_srgb(samples, profile)
    picture = samples.astype(np.float32)
    picture /= np.iinfo(samples.dtype).max
    if alpha is not None:
        opacity = alpha[..., None].astype(np.float32) / np.iinfo(alpha.dtype).max
        picture = picture * opacity + np.asarray(matte, np.float32) * (1 - opacity)
    picture = _ORIENT.get(orientation, lambda a: a)(picture)
    return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))


def check_output(path: str | os.PathLike[str], *, overwrite: bool = False, bit_depth: int = 8) -> Path:
    """Checks, before any long work, that `write_picture` will be able to write there.

    Args:
        path: Where the picture is to go; its ending chooses the format.
        overwrite: Whether a file that exists may be replaced.
        bit_depth: 8, or 16 for PNG and TIFF.

    Returns:
        The path as a `Path`.

    Raises:
        InputError: If the ending is unknown, or its format lacks that bit depth.
        FileNotFoundError, NotADirectoryError, PermissionError: If the folder cannot be written into.
        IsADirectoryError: If the path is a folder.
        FileExistsError: If there is something already that may not be replaced.
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
    """Writes a picture, in the format that the ending of `path` names, with an sRGB profile.

    JPEG has quality 95 and full color resolution (4:4:4); WebP is lossy, with quality 95 (and, as always in
    lossy WebP, half the color resolution); PNG and TIFF are lossless. The same picture gives the same bytes.
    The file is written beside its place and renamed into it, so that nobody ever sees half a picture.

    Args:
        path: Where to write; see `check_output`.
        picture: What NumPy reads as floats `[height, width, 3]`; clipped to [0, 1] and rounded to nearest.
        bit_depth: 8, or 16 for PNG and TIFF.
        overwrite: Whether a file that exists may be replaced.

    Raises:
        InputError: If the picture has another shape or type, is larger than the format allows, or has a value
            that is not finite.
        OSError: As `check_output`, or as the disk says.
    """
    path = check_output(path, overwrite=overwrite, bit_depth=bit_depth)
    picture_format = SUFFIXES[path.suffix.lower()]
    samples = quantize(picture, bit_depth)
    limit = _MAX_SIDE.get(picture_format, max(samples.shape))
    if max(samples.shape) > limit:
        size = f"{samples.shape[1]} x {samples.shape[0]}"
        raise InputError(f"at most {limit} pixels a side for {path.suffix}", size, "write .png or .tif")
    with replace_file(path, overwrite=overwrite) as part, part.open("xb") as file:
        _encode(file, samples, picture_format)
        file.flush()
        os.fsync(file.fileno())  # or a power cut after the renaming could leave an empty file


def parse_color(text: str) -> tuple[float, float, float]:
    """Reads a color such as `white`, `#ff8000` or `rgb(255, 128, 0)`.

    >>> parse_color("#ff0000")
    (1.0, 0.0, 0.0)

    Raises:
        InputError: If Pillow knows no such color, or if it has an alpha.
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
    """The three parts of an `InputError`, for those errors that are an `OSError` of some kind."""
    return str(InputError(expected, got, advice))


def _too_large(path: Path, max_pixels: int, size: str) -> InputError:
    return InputError(f"a picture of at most {max_pixels} pixels", f"{str(path)!r} with {size}", "make it smaller")


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


@contextmanager
def _pillow_errors(path: Path, max_pixels: int) -> Iterator[None]:
    """Turns whatever Pillow raises about a file into an `InputError`, and keeps its warnings quiet."""
    name = repr(str(path))
    try:
        with warnings.catch_warnings():
            # Of broken metadata and sizes above 89 million: no news to one who only wants the pixels.
            warnings.simplefilter("ignore")
            yield
    except (InputError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path, max_pixels, "far more") from error
    except UnidentifiedImageError as error:
        formats = "a readable PNG, JPEG, WebP or TIFF picture"
        raise InputError(formats, name, "convert it to one of these, or copy it again") from error
    except Exception as error:  # Pillow's readers let through nearly any kind when they meet damaged data
        raise InputError("a complete picture", f"{name}, cut short or damaged", "copy it again") from error


def _open(path: Path) -> ImageFile.ImageFile:
    return Image.open(path, formats=sorted(set(SUFFIXES.values())))


def _orientation(image: ImageFile.ImageFile) -> int:
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # broken metadata raises nearly anything, and costs at most a turn of the picture
        return 1


def _decode(path: Path, image: ImageFile.ImageFile) -> tuple[np.ndarray, np.ndarray | None]:
    """The samples, uint8 or uint16 `[h, w, 1 (gray), 3 (RGB) or 4 (CMYK)]`, and the alpha `[h, w]` if any."""
    if image.mode in ("I", "F", "LAB"):
        kind = "Lab" if image.mode == "LAB" else "32-bit or signed"
        raise InputError("RGB, gray or CMYK of 1 to 16 bits", f"{kind} {str(path)!r}", "convert it first")
    if image.mode.startswith("I;16"):
        return _split_alpha(_decode_deep_gray(image), image)
    if [_rawmode(tile) for tile in image.tile] == ["LA;16B"]:
        # Pillow would keep the high bytes only; read as four 8-bit samples, the pixel's bytes come whole.
        image.tile = [_with_rawmode(image.tile[0], "RGBA")]
        image.load()
        return _split_alpha(np.asarray(image).view(">u2").astype(np.uint16), image)
    if (rawmodes := _deep_rawmodes(image)) is not None:
        return _split_alpha(_decode_deep_color(path, image, rawmodes), image)
    image.load()
    alpha = np.asarray(image.convert("RGBA").getchannel("A")) if image.has_transparency_data else None
    gray = image.mode in ("1", "L", "LA")
    samples = np.asarray(image.convert("L" if gray else "CMYK" if image.mode == "CMYK" else "RGB"))
    return np.atleast_3d(samples), alpha


def _decode_deep_gray(image: ImageFile.ImageFile) -> np.ndarray:
    image.load()
    samples = np.asarray(image).astype(np.uint16)
    if image.format == "TIFF":
        tags: Any = getattr(image, "tag_v2", {})
        most = 2 ** tags.get(258, (16,))[0] - 1  # BitsPerSample: 12-bit files exist
        samples = np.rint(samples * (65535 / most)).astype(np.uint16) if most != 65535 else samples
        if tags.get(262) == 0:  # PhotometricInterpretation is WhiteIsZero, which Pillow undoes for 8 bits only
            samples = 65535 - samples
    return samples[..., None]


def _rawmode(tile: Any) -> str:
    return tile.args if isinstance(tile.args, str) else tile.args[0]


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


def _decode_deep_color(path: Path, image: ImageFile.ImageFile, rawmodes: list[str]) -> np.ndarray:
    """Reads 16-bit RGB(A) in full, though Pillow's color has 8 bits: high bytes first, then low bytes.

    Pillow's unpackers keep the high byte of each sample. The one for the other byte order keeps what is the
    low byte, so that two passes give all 16 bits, for whatever compression and interlacing Pillow reads. (For
    a compressed TIFF with separate planes it disregards the order, and 8 bits are what one gets.)
    """
    swapped = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
    halves = []
    with _open(path) as again:
        for half, names in ((image, rawmodes), (again, [name[:-1] + swapped[name[-1]] for name in rawmodes])):
            half.tile = [_with_rawmode(tile, name) for tile, name in zip(half.tile, names, strict=True)]
            half.load()
            halves.append(np.asarray(half).astype(np.uint16))
    return halves[0] * 256 + halves[1]


def _split_alpha(samples: np.ndarray, image: ImageFile.ImageFile) -> tuple[np.ndarray, np.ndarray | None]:
    """Takes the alpha off 16-bit samples, or makes it from the one color that PNG may declare transparent."""
    if samples.shape[-1] in (2, 4):
        return samples[..., :-1], samples[..., -1]
    if (clear := image.info.get("transparency")) is None:
        return samples, None
    return samples, np.any(samples != np.asarray(clear), axis=-1).astype(np.uint16) * 65535


def _to_srgb(samples: np.ndarray, profile: bytes | None) -> np.ndarray:
    """Converts samples by their color profile; without one they pass, and CMYK takes Pillow's formula."""
    channels = samples.shape[-1]
    transform = _transform(profile, channels) if profile else None
    if transform is None:
        return samples if channels != 4 else np.asarray(_image(samples).convert("RGB"))
    if samples.dtype == np.uint16:
        samples = np.rint(samples / 257).astype(np.uint8)  # 65535 / 255 = 257
    image = _image(samples).convert(transform.input_mode)  # a gray picture may carry an RGB profile
    return np.asarray(ImageCms.applyTransform(image, transform))


def _transform(profile: bytes, channels: int) -> ImageCms.ImageCmsTransform | None:
    """From `profile` to sRGB; None where the profile is broken, of another kind, or as good as sRGB.

    What moves no color by more than one level of 255 is sRGB with its numbers rounded: left alone, such files
    keep 16 bits, and those that `write_picture` made read back exactly.
    """
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
            ImageCms.ImageCmsProfile(io.BytesIO(_srgb_profile())),
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
    image = _image(probe if mode == "RGB" else probe[..., :1])
    moved = np.asarray(ImageCms.applyTransform(image, transform), int) - np.asarray(image.convert("RGB"), int)
    return transform if np.abs(moved).max() > 1 else None


def _image(samples: np.ndarray) -> Image.Image:
    """A Pillow image of uint8 samples; `Image.fromarray` wants other shapes, and in some versions warns."""
    height, width, channels = samples.shape
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[channels]
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(samples).tobytes())


@cache
def _srgb_profile() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # ICC.1:2010, 7.2.8: bytes 24 to 35 tell when it was made; fixed, so that equal pictures give equal bytes.
    return profile[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + profile[36:]


def quantize(picture: Any, bit_depth: int = 8) -> np.ndarray:
    """Returns a picture as integers of 8 or 16 bits, clipped to [0, 1] and rounded to nearest.

    Raises:
        InputError: If it is not `[height, width, 3]`, not of floats, or has a value that is not finite.
    """
    array: Any = picture if isinstance(picture, str | os.PathLike) else np.asarray(picture)
    check_picture("a picture", array)
    array = array.astype(np.float32)
    dtype, most = (np.uint8, 255) if bit_depth == 8 else (np.uint16, 65535)
    return np.rint(np.clip(array, 0, 1) * most).astype(dtype)


def _encode(file: BinaryIO, samples: np.ndarray, picture_format: str) -> None:
    if picture_format == "TIFF":
        import tifffile  # here, since it takes as long to import as all else in this file together

        options: dict[str, Any] = {"photometric": "rgb", "compression": "zlib", "predictor": True}
        # No description and no program name: they would hold a version, and the bytes are to stay the same.
        options |= {"metadata": None, "software": False, "iccprofile": _srgb_profile()}
        tifffile.imwrite(file, samples, **options)
    elif picture_format == "PNG" and samples.dtype == np.uint16:
        file.write(_deep_png(samples))
    else:
        lossy = {"quality": _QUALITY}
        options = {"PNG": {}, "JPEG": lossy | {"subsampling": "4:4:4"}, "WEBP": lossy}[picture_format]
        _image(samples).save(file, format=picture_format, icc_profile=_srgb_profile(), **options)


def _deep_png(samples: np.ndarray) -> bytes:
    """A 16-bit RGB PNG, which Pillow cannot write (PNG specification, second edition, sections 5, 9, 11)."""
    height, width, _ = samples.shape
    lines = samples.astype(">u2").view(np.uint8).reshape(height, -1)
    up = 2  # the filter: each byte less the one above it, modulo 256; far smaller than none
    filtered = np.diff(lines, axis=0, prepend=np.zeros_like(lines[:1]))
    pixels = np.pad(filtered, ((0, 0), (1, 0)), constant_values=up).tobytes()
    chunks = {
        b"IHDR": struct.pack(">2I5B", width, height, 16, 2, 0, 0, 0),  # 16 bits, RGB, not interlaced
        b"iCCP": b"sRGB\0\0" + zlib.compress(_srgb_profile()),
        b"IDAT": zlib.compress(pixels),
        b"IEND": b"",
    }
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, data in chunks.items():
        parts += [struct.pack(">I", len(data)), name, data, struct.pack(">I", zlib.crc32(name + data))]
    return b"".join(parts)
