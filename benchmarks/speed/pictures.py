"""The pictures every program is timed on: any size, no files."""

import numpy as np


def make_pictures(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns a start, a content and a style, float32 `[size, size, 3]` in [0, 1].

    Speed does not depend on what is in them, but for zeros: so they are noise over waves, like photographs.
    """
    rng = np.random.default_rng(0)
    rows, columns = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    pictures = []
    for phase in range(3):
        waves = np.sin(rows / (9 + phase) + columns / 17 + phase)[..., None] * [0.25, 0.2, 0.15]
        pictures.append((0.5 + waves + 0.08 * rng.standard_normal((size, size, 3))).clip(0, 1).astype(np.float32))
    return pictures[0], pictures[1], pictures[2]


def make_wave_picture(height: int, width: int, phase: float) -> np.ndarray:
    """Returns the picture that tests/references were computed on, by its formula: float32 `[height, width, 3]`."""
    rows, columns, channels = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    angle = 2 * np.pi * (rows * (channels + 1) / 64 + columns * (3 - channels) / 96) + phase
    return (0.5 + 0.5 * np.sin(angle)).astype(np.float32)


#: Channels in and out of the 13 convolutions up to conv5_1, and how often the picture was halved before.
CONVOLUTIONS = (
    (3, 64, 0),
    (64, 64, 0),
    (64, 128, 1),
    (128, 128, 1),
    (128, 256, 2),
    (256, 256, 2),
    (256, 256, 2),
    (256, 256, 2),
    (256, 512, 3),
    (512, 512, 3),
    (512, 512, 3),
    (512, 512, 3),
    (512, 512, 4),
)

#: Channels of the five style layers, and how often the picture was halved before.
GRAMS = ((64, 0), (128, 1), (256, 2), (512, 3), (512, 4))


def direct_flops(size: int) -> float:
    """Returns the floating-point operations of one value-and-gradient, with direct convolutions.

    A multiplication and an addition are two. Each convolution runs once forward and once for the picture's gradient;
    each Gram matrix takes one product forward and one, as large, backward.
    """
    total = 0.0
    for inputs, outputs, halvings in CONVOLUTIONS:
        total += 2 * 2 * 9 * inputs * outputs * (size / 2**halvings) ** 2
    for channels, halvings in GRAMS:
        total += 2 * 2 * channels**2 * (size / 2**halvings) ** 2
    return total
