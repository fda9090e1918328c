"""The problems whose unknowns are pictures: style transfer, reconstruction, texture, dream.

Photographs and paintings are cropped to a square.
"""

from dataclasses import replace
from functools import cache

import jax
import numpy as np

from jaxstyle.config import NOISE_DEVIATION
from jaxstyle.pictures.images import resize
from jaxstyle.pictures.samples import load_sample
from jaxstyle.problems import content_reconstruction, dream, style_transfer, texture
from jaxstyle.problems.parameterizations import apply_parameterization
from jaxstyle.problems.problem import Problem
from jaxstyle.types import Key, NetworkParams
from jaxstyle.vgg.layers import STYLE_LAYERS
from jaxstyle.vgg.weights import load_network

#: Deviation of the noise that seeds add to a photograph, on 0..255: that of anishathalye/neural-style.
START_DEVIATION = NOISE_DEVIATION


@cache
def _network() -> NetworkParams:
    return load_network().params


def _photograph(name: str, size: int) -> np.ndarray:
    picture = load_sample(name)
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return np.asarray(resize(picture[top : top + side, left : left + side], size, size))


def make_pictures(pair: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the content and the style of a pair, square."""
    content, style = pair.split("+")
    return _photograph(content, size), load_sample(style, height=size, width=size)


def make_style_transfer(instance: str, shrink: int = 1, *, size: int, start: str, layers: int = 5) -> Problem:
    """Returns the default objective for a pair of sample pictures.

    Args:
        instance: CONTENT+STYLE.
        shrink: Divisor of the size.
        size: Width and height of the square picture.
        start: `noise`, or `content`: the photograph with weak noise, so that seeds differ.
        layers: How many of the five style layers, from the shallowest; with 2, relu2_1 stands for the content too.
    """
    content, style = make_pictures(instance, size // shrink)
    names = STYLE_LAYERS[:layers]
    config = style_transfer.StyleTransferConfig(
        style_layers=dict.fromkeys(names, 1 / layers),
        content_layers={"relu4_2" if layers == 5 else names[-1]: 1.0},
        noise_blend=0.0 if start == "content" else None,
    )
    problem = style_transfer.make_problem(config, _network(), content, [style])
    return _disturb(problem) if start == "content" else problem


def make_reconstruction(instance: str, shrink: int = 1, *, size: int) -> Problem:
    """Returns the reconstruction of a photograph from relu3_1, from noise."""
    config = content_reconstruction.ContentReconstructionConfig({"relu3_1": 1.0})
    return content_reconstruction.make_problem(config, _network(), _photograph(instance, size // shrink))


def make_texture(instance: str, shrink: int = 1, *, size: int) -> Problem:
    """Returns the synthesis of a texture like a painting, from noise."""
    side = size // shrink
    source = load_sample(instance, height=side, width=side)
    return texture.make_problem(texture.TextureConfig(), _network(), source, height=side, width=side)


def make_dream(instance: str, *, size: int) -> Problem:
    """Returns the dream of a photograph in bounded pixels, without jitter, so that it is deterministic."""
    problem = dream.make_problem(dream.DreamConfig(jitter=0), _network(), _photograph(instance, size))
    return apply_parameterization(_disturb(problem), "bounded", size, size)


def _disturb(problem: Problem) -> Problem:
    def init_fn(key: Key) -> jax.Array:
        start = problem.init_fn(key)
        return start + START_DEVIATION * jax.random.normal(key, start.shape)

    return replace(problem, init_fn=init_fn)
