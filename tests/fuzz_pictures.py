"""Mutates pictures of every supported format, and reads them: `python -m tests.fuzz_pictures SECONDS SEED [FOLDER]`.

Prints a JSON line for each file that was neither read nor refused within the deadline and the memory limit, and finally
a line with the counts. Such files are kept in FOLDER. The same seed makes the same files.
"""

import json
import random
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.hostile_pictures import (
    encoded,
    flat_png,
    flat_webp,
    jpeg_of_scans,
    png_chunk,
    run_length_bmp,
    tiff,
    tiff_layout,
)
from tests.limited_reader import read_limited

SECONDS, MEGABYTES = 10, 2600  # for a picture of up to 100 million pixels, in one process among others

#: Values that replace counts and sizes in headers.
EXTREMES = [0, 1, 2, 3, 7, 255, 256, 4096, 16383, 32767, 65500, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1]


def seeds() -> dict[str, bytes]:
    """Returns valid files, small enough that most mutations change a header."""
    many = {"save_all": True}
    compressions = ["tiff_lzw", "tiff_adobe_deflate", "lzma", "zstd", "packbits", "jpeg"]
    packed = zlib.compress(bytes(64 * 64 * 3))
    tiles = {322: (4, [64]), 323: (4, [64]), 324: (4, [None]), 325: (4, [len(packed)])}
    orientation = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    return {
        **{f"{mode}.png": encoded("PNG", mode=mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")},
        "deep.png": flat_png(9, 7, 16),
        "interlaced.png": flat_png(9, 7, interlaced=1),
        "text.png": flat_png(
            9, 7, extra=png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n4\n00"))
        ),
        **{f"{mode}.jpg": encoded("JPEG", mode=mode) for mode in ("L", "RGB", "CMYK")},
        "progressive.jpg": encoded("JPEG", progressive=True, exif=orientation),
        "scans.jpg": jpeg_of_scans(64, 20),
        "pair.jpg": encoded("MPO", **many),
        "lossy.webp": encoded("WEBP"),
        "lossless.webp": encoded("WEBP", mode="RGBA", lossless=True, exif=orientation),
        "flat.webp": flat_webp(64, 64),
        "a.avif": encoded("AVIF", speed=10),
        "a.gif": encoded("GIF"),
        "a.bmp": encoded("BMP"),
        "palette.bmp": encoded("BMP", mode="P"),
        "runs.bmp": run_length_bmp(64, 64),
        **{f"{name}.tif": encoded("TIFF", compression=name, exif=orientation) for name in compressions},
        "group4.tif": encoded("TIFF", mode="1", compression="group4"),
        "raw.tif": encoded("TIFF", mode="CMYK"),
        "tiles.tif": tiff(tiff_layout(64, 64, compression=8, photometric=6) | tiles, packed),
    }


def mutate(data: bytes, other: bytes, draw: random.Random) -> bytes:
    """Returns `data` after one to six changes."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 6)):
        near = draw.choice([64, 256, len(changed)])  # most headers are near the beginning
        place = draw.randrange(max(1, min(near, len(changed))))
        match draw.randrange(8):
            case 0:
                changed[place : place + 1] = bytes([draw.randrange(256)])
            case 1:
                changed[place : place + 1] = bytes([(changed[place] if changed else 0) ^ 1 << draw.randrange(8)])
            case 2 | 3:
                layout = draw.choice([">I", "<I", ">H", "<H"])
                value = draw.choice(EXTREMES) % (2**32 if layout[1] == "I" else 2**16)
                changed[place : place + struct.calcsize(layout)] = struct.pack(layout, value)
            case 4:
                del changed[place : place + draw.choice([1, 4, 12, 100])]
            case 5:
                piece = changed[place : place + draw.choice([4, 12, 64, 300])]
                changed[place:place] = piece * draw.choice([1, 2, 50, 1000])
            case 6:
                start = draw.randrange(len(other))
                changed[place:place] = other[start : start + draw.choice([8, 40, 400])]
            case 7:
                del changed[place + draw.randrange(1, 400) :]
    if changed[:4] == b"\x89PNG" and draw.random() < 0.9:
        return with_checksums(bytes(changed))
    return bytes(changed)


def with_checksums(data: bytes) -> bytes:
    """Returns a PNG with corrected checksums of its chunks, because wrong ones would hide other damage."""
    parts, place = [data[:8]], 8
    while place + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if place + 12 + length > len(data):
            break
        parts.append(png_chunk(name, data[place + 8 : place + 8 + length]))
        place += 12 + length
    return b"".join(parts) + data[place:]


def fuzz(seconds: float, seed: int, folder: Path) -> Iterator[dict]:
    """Yields a record for each file that ended badly, then the counts of outcomes with the largest time and memory."""
    draw, files, counts = random.Random(seed), list(seeds().items()), Counter()
    slowest = largest = 0.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        name, data = draw.choice(files)
        path = folder / f"{seed}_{sum(counts.values())}_{name}"
        path.write_bytes(mutate(data, draw.choice(files)[1], draw))
        answer = read_limited(str(path), SECONDS, MEGABYTES, draw.choice([0, 0, 16]))
        word = answer["outcome"].split()[0]
        counts[word] += 1
        slowest, largest = max(slowest, answer["seconds"]), max(largest, answer["megabytes"])
        if word in ("read", "refused"):
            path.unlink()
        else:
            yield answer
    yield {**counts, "slowest_seconds": round(slowest, 2), "largest_megabytes": round(largest)}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(sys.argv[3] if len(sys.argv) > 3 else temporary)
        place.mkdir(parents=True, exist_ok=True)
        for found in fuzz(float(sys.argv[1]), int(sys.argv[2]), place):
            print(json.dumps(found), flush=True)
