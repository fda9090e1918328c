"""Sample pictures by name, so that every command runs on a bare machine with no download.

The contents are photographs that scikit-image carries in its package; the styles are painted by
`jaxstyle.paintings` when they are asked for, at any size.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from jaxstyle.argument_checks import describe
from jaxstyle.checks import InputError, check_choice

PREFIX = "sample:"
MAX_SIDE = 8192  # a painting of twice that, squared, would take some 16 GB


@dataclass(frozen=True)
class Sample:
    """A picture that comes with jaxstyle.

    Args:
        name: What it is called.
        kind: Whether it is a photograph to repaint or a painting whose style to take.
        description: One line.
        size: Natural `(height, width)`; a style can be painted at any other.
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
    """Loads a photograph or paints a painting.

    Args:
        name: One of `SAMPLES`, with or without the prefix `sample:`.
        height: Height to paint a style at. With only one side given, the painting keeps its natural shape.
        width: Width to paint a style at. A content always comes at its natural size, whatever is asked for
            here: resizing is the business of whoever knows which filter is wanted.

    Returns:
        The picture, float32 [height, width, 3] in [0, 1].

    Raises:
        InputError: If there is no such sample, or the size cannot be painted.
    """
    if not isinstance(name, str):
        raise InputError("the name of a sample", describe(name), f"choose one of {', '.join(SAMPLES)}")
    sample = SAMPLES[check_choice("sample", name.removeprefix(PREFIX), SAMPLES)]
    if sample.kind == "content":
        return _load_photograph(sample.name)
    height, width = _painted_size(sample, height, width)
    # Imported here: SciPy and scikit-image take longer to load than most commands need to answer.
    from jaxstyle import paintings

    return getattr(paintings, f"paint_{sample.name}")(height, width)


def _load_photograph(name: str) -> np.ndarray:
    from skimage import data

    return np.asarray(getattr(data, name)(), np.float32) / np.float32(255)


def _painted_size(sample: Sample, height: int | None, width: int | None) -> tuple[int, int]:
    """Returns the size to paint at, a side that was not given following from the natural shape."""
    natural_height, natural_width = sample.size
    if height is None and width is None:
        return sample.size
    if height is None:
        assert width is not None
        height = round(width * natural_height / natural_width)
    elif width is None:
        width = round(height * natural_width / natural_height)
    if max(height, width) > MAX_SIDE:
        raise InputError(f"a painting of at most {MAX_SIDE} pixels a side", f"{height}x{width}", "ask for less")
    return height, width
