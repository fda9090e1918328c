"""Paints the sample styles and writes them as the JPEG files that ship with jaxstyle.

Usage: python weights/build_samples.py [FOLDER]

The pictures are 1024 pixels wide, with full color resolution (4:4:4), in the highest quality that stays below 250 kB:
of WebP and JPEG at that size, JPEG differed less from the painting, by 1 to 6 dB at widths of 768, 512 and 256.
"""

import argparse
import io
from pathlib import Path

import numpy as np
import paintings
from PIL import Image

HEIGHT, WIDTH = 683, 1024
MAX_BYTES = 250_000
FOLDER = Path(__file__).parents[1] / "jaxstyle" / "pictures" / "samples"


def encode(painting: np.ndarray) -> bytes:
    """Returns float32 `[height, width, 3]` in [0, 1] as the best JPEG of at most `MAX_BYTES`."""
    image = Image.fromarray(np.rint(painting * 255).astype(np.uint8))
    for quality in range(95, 0, -1):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality, subsampling="4:4:4", optimize=True, progressive=True)
        if file.tell() <= MAX_BYTES:
            break
    return file.getvalue()


def main() -> None:
    """Paints the five styles and writes their files."""
    parser = argparse.ArgumentParser(description="Paint the sample styles and write them as JPEG files.")
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in paintings.__all__:
        data = encode(getattr(paintings, name)(HEIGHT, WIDTH))
        path = folder / f"{name.removeprefix('paint_')}.jpg"
        path.write_bytes(data)
        print(f"{path}: {len(data)} bytes")


if __name__ == "__main__":
    main()
