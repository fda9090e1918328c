"""Recognizes the format of a picture file and finds the parts that its decoder needs, before anything is decoded.

A decoder's time and memory must be bounded by the size of the picture. In some formats a small file can need more: text
that unpacks to gigabytes, thousands of scans over the same pixels, strips that the file does not have. Parts that are
not needed are therefore left out, and the number of the others is bounded. Sound files stay far below these bounds.

Sources: PNG specification, third edition; ITU-T T.81 (JPEG), annex B; TIFF 6.0 and the BigTIFF design; the WebP
container specification; the GIF89a specification.
"""

import io
import os
import re
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, BinaryIO, NamedTuple

#: The formats that are read, for messages.
READABLE = "PNG, JPEG, WebP, AVIF, TIFF, GIF or BMP"

#: The largest file: 200 million pixels with 16 bits in each of four channels, and half as much metadata, are smaller.
MAX_FILE_BYTES = 2**31

_WHOLE_FILE_BYTES = 2**29  # the largest WebP or AVIF file, since their decoders load the file into memory
_MAX_SEGMENTS = 20_000  # the most segments of a JPEG; a segment of metadata has up to 64 kB, so a gigabyte is allowed
_MAX_CHUNKS = 200_000  # the most chunks of a PNG; a chunk of pixels usually has 8 kB
_MAX_STRIPS = 300_000  # the most strips or tiles of a TIFF: enough for 200 million pixels in tiles of 32 x 32
_MAX_SAMPLES = 6  # the most samples per pixel of a TIFF, as in Pillow, which writes to standard error about more
_MAX_TAG_BYTES = 2**28  # the most bytes of a TIFF's metadata, which is read in full
_MAX_PROFILE_BYTES = 2**24  # the most bytes of a color profile; usual profiles have up to a few megabytes
_MAX_TEXT_BYTES = 2**16  # the most bytes of a text that may have the camera's orientation

#: The chunks of a PNG that a decoder needs in addition to header and pixels, with the most bytes of each.
_MAX_CHUNK_BYTES = {b"PLTE": 3 * 256, b"tRNS": 256, b"eXIf": _MAX_PROFILE_BYTES}
_SEARCH_BYTES = 2**16

#: The most pixels times scans of a JPEG; a pixel in a scan takes about a nanosecond. Progressive files have about ten
#: scans.
MAX_SCANNED_PIXELS = 4 * 10**9

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_FOREIGN = {  # regular expressions of the first bytes of files of other kinds
    rb"....ftyp(hei|hev|mif1|msf1)": "a HEIC picture",
    rb"(\0\0\0\x0cjP  |\xff\x4f\xff\x51)": "a JPEG 2000 picture",
    rb"(\0\0\0\x0cJXL |\xff\x0a)": "a JPEG XL picture",
    rb"8BPS": "a Photoshop document",
    rb"gimp xcf": "a GIMP picture",
    rb"%PDF": "a PDF document",
    rb"(%!PS|\xc5\xd0\xd3\xc6)": "a PostScript document",
    rb"\s*(<\?xml[^>]*>)?\s*(<!--.*?-->)?\s*(<!DOCTYPE svg[^>]*>)?\s*<svg": "an SVG drawing",
    rb"\s*<(!DOCTYPE )?html": "a web page",
    rb"P[1-7fF]\s": "a Netpbm picture (PPM, PGM, PBM)",
    rb"\x00\x00[\x01\x02]\x00": "an icon (ICO)",
    rb"icns": "an icon (ICNS)",
    rb"v/1\x01": "an OpenEXR picture",
    rb"#\?RADIANCE": "a Radiance HDR picture",
    rb"(FUJIFILMCCD-RAW|IIU\x00|IIRO|FOVb|\x00MRM)": "a camera's raw file",
    rb"....ftyp": "a video",
    rb"PK\x03\x04": "a ZIP archive",
    rb"\x89HDF": "an HDF5 file",
    rb"[\x09-\x0d\x20-\x7e]+$": "a text",
}
_HEIC_ADVICE = "convert it to JPEG, for example with heif-convert (install libheif-examples)"


class UnsoundError(ValueError):
    """An error of a file that is recognized but violates its format or the bounds; its text completes "a file ..."."""


class Part(NamedTuple):
    """A piece of the stream for a decoder: either `data`, or `length` bytes of the file from `start`."""

    start: int
    length: int
    data: bytes | None = None


@dataclass(frozen=True)
class Parts:
    """The input of a decoder.

    Attributes:
        stream: The file without the parts that are not needed.
        profile: The color profile if it is not in the stream; b"" for none. None if the decoder finds it itself.
        scans: The number of scans over the pixels, which is more than 1 in progressive JPEG files.
    """

    stream: BinaryIO
    profile: bytes | None = None
    scans: int = 1


def recognize(start: bytes) -> str | None:
    """Returns Pillow's name for the format of a file that begins with these bytes (12 or more); None for others."""
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    if start[4:8] == b"ftyp" and (start[8:12] in (b"avif", b"avis") or b"avif" in start[16:64]):
        return "AVIF"
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)


def describe(start: bytes) -> tuple[str, str]:
    """Returns a name for a file that cannot be read, given its first bytes, and advice for the user."""
    for pattern, name in _FOREIGN.items():
        if re.match(pattern, start, re.DOTALL | re.IGNORECASE):
            return name, _HEIC_ADVICE if "HEIC" in name else "convert it to one of these"
    return "a file of another kind", "convert it to one of these, or copy it again"


def find_parts(file: BinaryIO, kind: str) -> Parts:
    """Returns the parts of a file that its decoder needs.

    Args:
        file: The file, open for reading. The caller keeps it open as long as the parts are in use.
        kind: The format, as returned by `recognize`.

    Raises:
        UnsoundError: If the file violates its format or the bounds.
    """
    size = os.fstat(file.fileno()).st_size
    if size > MAX_FILE_BYTES or (kind in ("WEBP", "AVIF") and size > _WHOLE_FILE_BYTES):
        raise UnsoundError(f"of {size} bytes, too many for a picture")
    file.seek(0)
    if kind == "PNG":
        return _png(file, size)
    if kind == "JPEG":
        return _jpeg(file, size)
    if kind == "WEBP":
        return Parts(_joined(file, _webp(file, size)))
    if kind == "GIF":
        return Parts(_joined(file, _gif(file, size)))
    if kind == "TIFF":
        _check_tiff(file, size)
    if kind == "BMP" and _unpack("<14xI", file)[0] > 124:
        raise UnsoundError("with a header of an unknown kind")
    file.seek(0)
    return Parts(file)


class _Joined(io.RawIOBase):
    """A file that consists of several parts, one after the other."""

    def __init__(self, file: BinaryIO, parts: Sequence[Part]) -> None:
        self._file, self._parts = file, parts
        self._ends = list(accumulate(part.length for part in parts))
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._ends[-1]}[whence]
        self._place = max(0, base + place)
        return self._place

    def readinto(self, buffer: Any) -> int:
        number = bisect_right(self._ends, self._place)
        if number == len(self._parts):
            return 0
        part = self._parts[number]
        offset = self._place - (self._ends[number] - part.length)
        count = min(len(buffer), part.length - offset)
        if part.data is None:
            self._file.seek(part.start + offset)
            data = self._file.read(count)
        else:
            data = part.data[offset : offset + count]
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def _joined(file: BinaryIO, parts: Sequence[Part]) -> BinaryIO:
    return io.BufferedReader(_Joined(file, parts), _SEARCH_BYTES)


def _made(data: bytes) -> Part:
    return Part(0, len(data), data)


def _unpack(layout: str, file: BinaryIO) -> tuple[int, ...]:
    data = file.read(struct.calcsize(layout))
    if len(data) < struct.calcsize(layout):
        raise UnsoundError("cut short or damaged")
    return struct.unpack(layout, data)


def _inflate(data: bytes, limit: int) -> bytes | None:
    """Returns the bytes that zlib unpacks from `data`; None if `data` is damaged or they are more than `limit`."""
    decompressor = zlib.decompressobj()
    try:
        found = decompressor.decompress(data, limit)
    except zlib.error:
        return None
    return None if decompressor.unconsumed_tail else found


def _png(file: BinaryIO, size: int) -> Parts:
    """Returns the header, palette, transparency, orientation and pixels, without texts and animations."""
    before, pixels, profile = [Part(0, 8)], [], b""
    kept: set[bytes] = set()
    file.seek(8)
    for count in range(_MAX_CHUNKS + 1):
        place = file.tell()
        if size - place < 8:  # some programs write no end
            break
        length, name = struct.unpack(">I4s", file.read(8))
        part = Part(place, min(length + 12, size - place))
        if not name.isalpha() or (count == 0 and name != b"IHDR"):
            raise UnsoundError("cut short or damaged")
        if name == b"IDAT":
            pixels.append(part)
        elif name == b"IEND":
            break
        elif name == b"iCCP" and length <= _MAX_PROFILE_BYTES and name not in kept:
            kept.add(name)
            profile = _inflate(file.read(length).partition(b"\0")[2][1:], _MAX_PROFILE_BYTES) or b""
        elif count == 0 or (
            length <= _MAX_CHUNK_BYTES.get(name, _MAX_TEXT_BYTES) and _is_needed(name, file.read(length), kept)
        ):
            before.append(part)
        file.seek(place + length + 12)
    else:
        raise UnsoundError(f"of more than {_MAX_CHUNKS} chunks")
    end = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
    return Parts(_joined(file, [*before, *pixels, _made(end)]), profile)


def _is_needed(name: bytes, data: bytes, kept: set[bytes]) -> bool:
    """Returns whether an ancillary chunk is the first of its kind that affects colors, transparency or orientation.

    The name of such a chunk is added to `kept`, so that only one chunk of each kind is unpacked.
    """
    keyword, _, rest = data.partition(b"\0")
    is_exif = keyword == b"Raw profile type exif" and name in (b"tEXt", b"zTXt")  # written before eXIf was standardized
    is_xmp = keyword == b"XML:com.adobe.xmp" and name == b"iTXt" and rest[:1] == b"\0"
    if name in kept or not (is_exif or is_xmp or name in _MAX_CHUNK_BYTES):
        return False
    kept.add(name)
    return name != b"zTXt" or _inflate(rest[1:], _MAX_TEXT_BYTES) is not None


def _markers(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int]]:
    """Yields each marker of a JPEG with the place and length of its segment, up to the first end of image."""
    place = 2
    for _ in range(_MAX_SEGMENTS):
        # Coded pixels have 0xFF only before 0x00 and in restart markers; other bytes between segments are skipped.
        while True:
            file.seek(place)
            block = file.read(_SEARCH_BYTES)
            if len(block) < 2:
                return
            found = re.search(rb"\xff[^\x00\x01\xd0-\xd8\xff]", block, re.DOTALL)
            if found:
                break
            place += len(block) - 1
        place += found.start()
        marker = found[0][1]
        if marker == 0xD9 or size - place < 4:
            yield marker, place, 2
            return
        length = 2 + int.from_bytes((block + file.read(4))[found.end() : found.end() + 2], "big")
        yield marker, place, length
        place += max(length, 4)
    raise UnsoundError(f"of more than {_MAX_SEGMENTS} segments")


def _jpeg(file: BinaryIO, size: int) -> Parts:
    """Returns the tables, the orientation, the color profile, and all from the first scan to the end of image."""
    before, profiles, singles, first, end, scans = [Part(0, 2)], [], set(), None, size, 0
    for marker, place, length in _markers(file, size):
        if marker == 0xD9:
            end = place + 2
        elif marker == 0xDA:
            scans += 1
            first = place if first is None else first
        elif first is None:
            part = Part(place, min(length, size - place))
            if marker == 0xFE or 0xE0 <= marker <= 0xEF:
                file.seek(place + 4)
                name = file.read(12)
                if marker == 0xE2 and name.startswith(b"ICC_PROFILE\0") and len(profiles) < 255:
                    profiles.append(part)
                kept = {0xE0: b"JFIF", 0xE1: b"Exif" if name.startswith(b"Exif") else b"http://ns.ad", 0xEE: b"Adobe"}
                if name.startswith(kept.get(marker, b"\0none")) and (marker, name[:4]) not in singles:
                    singles.add((marker, name[:4]))
                    before.append(part)
            else:
                if profiles:  # the decoder needs them before the frame
                    before, profiles = [*before, *profiles], []
                before.append(part)
    if first is None:
        raise UnsoundError("cut short or damaged")
    return Parts(_joined(file, [*before, Part(first, end - first)]), scans=scans)


def _webp(file: BinaryIO, size: int) -> list[Part]:
    """Returns the pixels of the first frame, its position, the color profile and the orientation."""
    file.seek(8)
    parts, place, has_frame = [], 12, False
    for _ in range(_MAX_CHUNKS):
        file.seek(place)
        if size - place < 8:
            break
        name, length = struct.unpack("<4sI", file.read(8))
        length += length % 2
        part = Part(place, min(8 + length, size - place))
        if name in (b"VP8 ", b"VP8L", b"ALPH", b"ANMF"):
            if not has_frame:
                parts.append(part)
            has_frame = has_frame or name != b"ALPH"
        elif name in (b"VP8X", b"ANIM") or (name in (b"ICCP", b"EXIF", b"XMP ") and length <= _MAX_PROFILE_BYTES):
            parts.append(part)
        place += 8 + length
    total = sum(part.length for part in parts)
    return [_made(struct.pack("<4sI4s", b"RIFF", 4 + total, b"WEBP")), *parts]


def _gif(file: BinaryIO, size: int) -> list[Part]:
    """Returns the colors, the transparency and the pixels of the first frame."""
    flags = _unpack("<10xB2x", file)[0]
    start = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    parts = [Part(0, start)]
    place, blocks = start, iter(range(_MAX_CHUNKS))
    for _ in blocks:
        file.seek(place)
        kind, label = _unpack("<BB", file)
        if kind == 0x2C:  # an image
            return [*parts, Part(place, size - place)]
        if kind == 0x3B:  # the end
            break
        if kind != 0x21:  # some programs write stray bytes between blocks, which decoders skip
            place += 1
            continue
        end = place + 2
        for _ in blocks:
            file.seek(end)
            length = _unpack("<B", file)[0]
            if not length:
                break
            end += 1 + length
        if label == 0xF9:  # the graphic control extension, of which the last one counts
            parts[1:] = [Part(place, end + 1 - place)]
        place = end + 1
    raise UnsoundError("cut short or damaged")


# The numbers of TIFF's tags, and the bytes of a value of each type.
_WIDTH, _HEIGHT, _COMPRESSION, _STRIPS, _SAMPLES, _ROWS = 256, 257, 259, 273, 277, 278
_STRIP_BYTES, _PLANES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 279, 284, 322, 323, 324, 325
_KNOWN = {_WIDTH, _HEIGHT, _COMPRESSION, _STRIPS, _SAMPLES, _ROWS}
_KNOWN |= {_STRIP_BYTES, _PLANES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES}
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def _check_tiff(file: BinaryIO, size: int) -> None:
    """Checks that the strips or tiles cover the first picture, lie within the file, and are not too many."""
    order = {b"II": "<", b"MM": ">"}[file.read(2)]
    is_big = _unpack(f"{order}H", file)[0] == 43
    word = "Q" if is_big else "I"
    file.seek(8 if is_big else 4)
    file.seek(min(_unpack(order + word, file)[0], size))
    tags: dict[int, tuple[int, ...]] = {}
    entries, total = _unpack(order + ("Q" if is_big else "H"), file)[0], 0
    for number in range(entries):
        if number == 2**16:
            raise UnsoundError("cut short or damaged")
        tag, kind, count = _unpack(f"{order}HH{word}", file)
        here = file.tell()
        length = count * _TYPE_BYTES.get(kind, 0)
        total += length
        if total > _MAX_TAG_BYTES:
            raise UnsoundError(f"with {total} bytes of metadata")
        if tag in _KNOWN and tag not in tags:
            if count > 3 * _MAX_STRIPS:
                raise UnsoundError(f"of {count} strips or tiles")
            if length > struct.calcsize(word):
                file.seek(min(_unpack(order + word, file)[0], size))
            # Decoders differ in how they read a type that is not a whole number, which the checks below would miss.
            letter = _WHOLE_NUMBERS.get(kind)
            tags[tag] = _unpack(f"{order}{count}{letter}", file) if letter else (-1,)
            if min(tags[tag], default=0) < 0:
                raise UnsoundError("cut short or damaged")
        file.seek(here + struct.calcsize(word))
    if (samples := max(tags.get(_SAMPLES) or (1,))) > _MAX_SAMPLES:
        raise UnsoundError(f"with {samples} samples a pixel")

    def first(tag: int, default: int) -> int:
        return max(1, (tags.get(tag) or (default,))[0])

    width, height = first(_WIDTH, 1), first(_HEIGHT, 1)
    is_tiled = _TILES in tags
    columns = first(_TILE_WIDTH, width) if is_tiled else width
    rows = first(_TILE_HEIGHT, height) if is_tiled else min(height, first(_ROWS, height))
    if is_tiled and columns * rows > 2 * width * height + 2**22:
        raise UnsoundError(f"of {width} x {height} pixels in tiles of {columns} x {rows}")
    planes = first(_SAMPLES, 1) if first(_PLANES, 1) == 2 else 1
    needed = -(-width // columns) * -(-height // rows) * planes
    offsets = tags.get(_TILES if is_tiled else _STRIPS, ())
    counts = tags.get(_TILE_BYTES if is_tiled else _STRIP_BYTES, ())
    if needed > _MAX_STRIPS * planes:
        raise UnsoundError(f"of {needed} strips or tiles")
    if len(offsets) < needed:
        raise UnsoundError(f"with {len(offsets)} of the {needed} strips or tiles that cover it, cut short or damaged")
    is_packed = first(_COMPRESSION, 1) != 1
    for number in range(needed):
        end = offsets[number] + (counts[number] if is_packed and number < len(counts) else 1)
        if end > size:
            raise UnsoundError("cut short or damaged")
