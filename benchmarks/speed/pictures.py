"""The pictures that every program is timed on: any size, no files."""

import numpy as np


def make_pictures(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns a start, a content and a style, float32 `[size, size, 3]` in [0, 1].

    Speed depends on the pictures only through zeros, so that they are noise over waves, like photographs.
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


#: Channels of the convolutions up to conv5_1, by block; before each block but the first, the picture is halved.
BLOCKS = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512,))


def direct_flops(size: int) -> float:
    """Returns the floating-point operations of one value-and-gradient, with direct convolutions.

    A multiplication and an addition are two. Each convolution runs once forward and once for the picture's gradient;
    each Gram matrix takes one product forward and one, as large, backward.
    """
    total, inputs = 0.0, 3
    for halvings, block in enumerate(BLOCKS):
        pixels = (size / 2**halvings) ** 2
        for channels in block:
            total += 2 * 2 * 9 * inputs * channels * pixels
            inputs = channels
        total += 2 * 2 * inputs**2 * pixels  # the Gram matrix, of the block's first convolution
    return total
