"""Small picture files that take much memory or time to read, made according to the specifications of their formats."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

SIDE = 4096  # side of the pictures that are large for their files: 16.8 million pixels


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def flat_png(width: int, height: int, depth: int = 8, color_type: int = 6, *, interlaced: int = 0, extra: bytes = b""):
    """Returns a PNG of zeros, whose size is about a thousandth of its pixels', close to zlib's limit."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color_type]
    packer = zlib.compressobj(1)
    line = bytes((width * depth * channels + 7) // 8 + 1)
    pixels = b"".join(packer.compress(line) for _ in range(height + (height if interlaced else 0))) + packer.flush()
    header = struct.pack(">2I5B", width, height, depth, color_type, 0, 0, interlaced)
    chunks = [png_chunk(b"IHDR", header), extra, png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def flat_webp(width: int, height: int) -> bytes:
    """Returns a lossless WebP of one color, where every code has one symbol, so that pixels take no bits."""
    bits: list[int] = []

    def put(value: int, count: int) -> None:
        bits.extend(value >> place & 1 for place in range(count))

    put(0x2F, 8)
    put(width - 1, 14)
    put(height - 1, 14)
    put(0, 7)  # no alpha, version, no transform, no color cache, no other codes
    for symbol in (90, 200, 30, 255):
        put(0b101, 3)  # a simple code with one symbol of 8 bits
        put(symbol, 8)
    put(0b0001, 4)  # distances: one symbol of 1 bit
    data = np.packbits(np.array(bits + [0] * (-len(bits) % 16), np.uint8), bitorder="little").tobytes()
    body = b"WEBPVP8L" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def jpeg_of_scans(side: int, scans: int) -> bytes:
    """Returns a progressive gray JPEG whose scans refine all coefficients again, with a few bytes each."""
    tables = segment(0xDB, b"\0" + bytes([1]) * 64)
    tables += segment(0xC2, struct.pack(">BHHB3B", 8, side, side, 1, 1, 0x11, 0))
    one_bit = bytes([1] + [0] * 15)
    tables += segment(0xC4, b"\x00" + one_bit + b"\x00") + segment(0xC4, b"\x10" + one_bit + b"\xe0")
    blocks = ((side + 7) // 8) ** 2
    bits = ([0] + [1] * 14) * -(-blocks // 32767)  # "the next 32767 blocks have nothing new"
    run = np.packbits(np.array(bits, np.uint8)).tobytes().replace(b"\xff", b"\xff\0")
    first = segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + bytes(-(-blocks // 8))
    coarse = segment(0xDA, bytes([1, 1, 0, 1, 63, 0x01])) + run
    return (
        b"\xff\xd8"
        + tables
        + first
        + coarse
        + (segment(0xDA, bytes([1, 1, 0, 1, 63, 0x10])) + run) * scans
        + b"\xff\xd9"
    )


def tiff(tags: dict[int, tuple[int, list[int]]], data: bytes = b"") -> bytes:
    """Returns a little-endian TIFF with these tags (type and values; None stands for the position of `data`)."""
    body, entries, base = b"", b"", 8 + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        if None in values:
            values = [base + len(body) if value is None else value for value in values]
            body += data
        packed = struct.pack(f"<{len(values)}{ {3: 'H', 4: 'I', 9: 'i'}[kind] }", *values)
        if len(packed) > 4:
            body += packed
            packed = struct.pack("<I", base + len(body) - len(packed))
        entries += struct.pack("<HHI4s", tag, kind, len(values), packed)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + body


def tiff_layout(
    width: int, height: int, *, compression: int = 1, photometric: int = 2, channels: int = 3, rows: int = 0
):
    """Returns the tags of a TIFF with strips, except the positions and sizes of the strips."""
    return {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [8] * channels),
        259: (3, [compression]),
        262: (3, [photometric]),
        277: (3, [channels]),
        278: (4, [rows or height]),
    }


def tiff_of_shared_tags() -> bytes:
    """Returns a TIFF in which all tags up to those of tiles have many values, which are the same bytes of the file."""
    values, count = 900_000, 70
    tags = [struct.pack("<HHII", 256 + number, 3, values, 8 + 2 + 12 * count + 4) for number in range(count)]
    return b"II*\0" + struct.pack("<IH", 8, count) + b"".join(tags) + bytes(4) + bytes(2 * values)


def run_length_bmp(width: int, height: int) -> bytes:
    """Returns a BMP whose lines all end at their beginning; Pillow fills them byte by byte."""
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
    offset = 14 + 40 + 1024
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, offset) + header + bytes(range(256)) * 4 + b"\0\0" * height


def encoded(picture_format: str, size: tuple[int, int] = (32, 24), mode: str = "RGB", **options) -> bytes:
    """Returns a small valid file of a picture that is not constant."""
    y, x = np.mgrid[: size[1], : size[0]]
    channels = np.stack([x * 7, y * 9, x * y, 255 - x], axis=-1).astype(np.uint8)
    image = Image.fromarray(channels[..., :3]) if mode != "RGBA" else Image.fromarray(channels)
    file = io.BytesIO()
    image.convert(mode).save(file, picture_format, **options)
    return file.getvalue()


def hostile_files() -> dict[str, bytes]:
    """Returns files by name. The part of the name before the dash is the expected outcome: `read` or `refused`."""
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**24)))
    profile = png_chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(2**26)))
    large_profile = png_chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(2**24)))
    small = encoded("JPEG")
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\0"
    gif = encoded("GIF")
    packed = zlib.compress(bytes(64 * 3))
    strips = {273: (4, [None]), 279: (4, [len(packed)])}
    tiles = {322: (4, [8192]), 323: (4, [8192]), 324: (4, [None]), 325: (4, [100_000])}
    layout = tiff_layout(16, 16, compression=8)
    del layout[278]
    return {
        "read-rgba.png": flat_png(SIDE, SIDE),
        "read-rgba16.png": flat_png(SIDE, SIDE, 16),
        "read-interlaced.png": flat_png(SIDE, SIDE, interlaced=1),
        "read-line.png": flat_png(2**22, 4),
        "read-column.png": flat_png(4, 2**22),
        "read-flat.webp": flat_webp(16383, 1024),
        "read-text.png": flat_png(8, 8, extra=text * 8),
        "read-profile.png": flat_png(8, 8, extra=profile),
        "read-profiles.png": flat_png(8, 8, extra=large_profile * 700),
        "refused-pixels.webp": flat_webp(16383, 16383),
        "refused-scans.jpg": jpeg_of_scans(4096, 3000),
        "read-scans.jpg": jpeg_of_scans(512, 1000),
        "refused-segments.jpg": small[:2] + segment(0xE1, exif) * 100_000 + small[2:],
        "read-exif.jpg": small[:2] + segment(0xE1, exif + bytes(60_000)) * 300 + small[2:],
        "read-chunks.png": flat_png(8, 8, extra=png_chunk(b"IDAT", b"") * 150_000),
        "refused-header.bmp": b"BM" + bytes(12) + b"\xff" * 4 + bytes(100),
        "refused-chunks.png": flat_png(8, 8, extra=png_chunk(b"tEXt", b"a\0b") * 250_000),
        "refused-strips.tif": tiff(tiff_layout(64, 200_000, compression=8, photometric=6, rows=1) | strips, packed),
        "refused-raw.tif": tiff(tiff_layout(64, 10**6, rows=1) | strips, bytes(192)),
        "refused-signed.tif": tiff(tiff_layout(64, 1, rows=1) | {257: (9, [10**6])} | strips, bytes(192)),
        "refused-negative.tif": tiff(tiff_layout(64, 64) | {257: (9, [-64])} | strips, bytes(192)),
        "refused-tags.tif": tiff_of_shared_tags(),
        "refused-tiles.tif": tiff(layout | tiles, zlib.compress(bytes(8192 * 8192 * 3))),
        "refused-runs.bmp": run_length_bmp(10**6, 50),
        "refused-zeros.gif": gif[:13] + bytes(10**6),
        "refused-blocks.gif": gif[: 13 + 768] + b"!\xfe" + b"\1a" * 10**6 + b"\0" + gif[13 + 768 :],
        "refused-nothing.gif": gif[:13],
    }
