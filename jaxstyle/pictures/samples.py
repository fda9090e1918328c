"""Sample pictures by name, so that every command runs on a bare machine with no download.

The contents are photographs that scikit-image carries in its package; the styles are JPEG files in `samples/`, 1024
pixels wide.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from jaxstyle.argument_checks import describe
from jaxstyle.checks import InputError, check_choice, check_positive

PREFIX = "sample:"
MAX_SIDE = 8192  # a square style of that size takes 0.8 GB as float32
_FOLDER = Path(__file__).parent / "samples"


@dataclass(frozen=True)
class Sample:
    """A picture that comes with jaxstyle.

    Args:
        name: The name after `sample:`.
        kind: `content` for a photograph to repaint, `style` for a painting whose style to take.
        description: What the picture shows, in one line.
        size: The `(height, width)` in pixels in which it is loaded without another size.
    """

    name: str
    kind: Literal["content", "style"]
    description: str
    size: tuple[int, int]


SAMPLES: dict[str, Sample] = {
    sample.name: sample
    for sample in (
        Sample("astronaut", "content", "Eileen Collins in her space suit (NASA, public domain)", (512, 512)),
        Sample("chelsea", "content", "Chelsea the cat, close up (Stefan van der Walt, CC0)", (300, 451)),
        Sample("coffee", "content", "a cup of coffee on a table (Rachel Michetti, CC0)", (400, 600)),
        Sample("rocket", "content", "a Falcon 9 before its launch (SpaceX, public domain)", (427, 640)),
        Sample("autumn", "style", "an avenue after rain, laid on with a palette knife", (512, 768)),
        Sample("garden", "style", "a pond with lilies under blossoming trees, in dabs of color", (512, 768)),
        Sample("mosaic", "style", "a leaded glass window: the sun over hills and a river", (512, 768)),
        Sample("swirl", "style", "a whirling night sky in thick paint", (512, 768)),
        Sample("waves", "style", "a woodblock print of a great wave", (512, 768)),
    )
}


def is_sample(path: str) -> bool:
    """Returns whether `path` names a sample instead of a file.

    >>> is_sample("sample:swirl"), is_sample("swirl.png")
    (True, False)
    """
    return path.startswith(PREFIX)


def load_sample(name: str, *, height: int | None = None, width: int | None = None) -> np.ndarray:
    """Loads a sample picture.

    A style is cropped around its center to the aspect ratio and resized by Lanczos' filter. The files are 1024 x 683
    pixels: a larger style is enlarged from that, without more detail.

    Args:
        name: One of `SAMPLES`, with or without the prefix `sample:`.
        height: Height of a style in pixels. With only one side given, the style keeps its natural shape.
        width: Width of a style in pixels. A content ignores both and always comes at its natural size.

    Returns:
        The picture, float32 `[height, width, 3]` in [0, 1].

    Raises:
        InputError: If there is no such sample, or the size is not one of 1 to 8192 pixels a side.
    """
    if not isinstance(name, str):
        raise InputError("the name of a sample", describe(name), f"choose one of {', '.join(SAMPLES)}")
    sample = SAMPLES[check_choice("sample", name.removeprefix(PREFIX), SAMPLES)]
    if sample.kind == "content":
        from skimage import data  # imported here because it takes longer to load than most commands need to answer

        pixels = np.asarray(getattr(data, sample.name)())
    else:
        height, width = _style_size(sample, height, width)
        with Image.open(_FOLDER / f"{sample.name}.jpg") as image:
            pixels = np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS))
    return pixels.astype(np.float32) / np.float32(255)


def _style_size(sample: Sample, height: int | None, width: int | None) -> tuple[int, int]:
    """Returns the `(height, width)` of a style; a side that was not given follows from the natural shape."""
    for name, side in (("a height", height), ("a width", width)):
        if side is not None:
            check_positive(name, side)
    natural_height, natural_width = sample.size
    if height is None:
        height = natural_height if width is None else max(1, round(width * natural_height / natural_width))
    if width is None:
        width = max(1, round(height * natural_width / natural_height))
    if max(height, width) > MAX_SIDE:
        raise InputError(f"a style of at most {MAX_SIDE} pixels a side", f"{height}x{width}", "use a smaller size")
    return height, width
