"""The work of `jaxstyle reconstruct`."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial, singledispatch

import numpy as np

from jaxstyle.cli.commands.reconstruct import ReconstructContent, Reconstruction, ReconstructStyle, parse_size
from jaxstyle.cli.pictures import describe, load_network, read_scaled, read_sized, resize_to
from jaxstyle.cli.session import RunOutcome, Session, record_of
from jaxstyle.optimize.configured import configured_optimizer
from jaxstyle.pictures.images import psnr
from jaxstyle.pictures.sheets import Cell, contact_sheet
from jaxstyle.problems import content_reconstruction, texture
from jaxstyle.problems.pictures import check_size
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.texture import check_texture_size, seam_ratio
from jaxstyle.types import NetworkParams
from jaxstyle.vgg.layers import STYLE_LAYERS, layer_names, minimum_size


@singledispatch
def run(flags: Reconstruction) -> int:
    """Reconstructs and returns the exit code."""
    raise NotImplementedError


@run.register
def _run_content(flags: ReconstructContent) -> int:
    """Reconstructs and returns the exit code."""
    original = read_sized(flags.picture, flags, flags.matte)
    height, width, _ = original.shape
    # A mistake that concerns only the last layer is reported before the first one runs.
    check_size("the picture", *flags.optimization.sizes(height, width)[0], minimum_size(flags.layers))

    def make(layer: str, network: NetworkParams, height: int, width: int) -> Problem:
        config = replace(flags.content, layers={layer: 1.0})
        return content_reconstruction.make_problem(config, network, resize_to(original, height, width))

    def caption(outcome: RunOutcome) -> str:
        whole = resize_to(original, *outcome.picture.shape[:2])  # a run that ended early may be at a coarse size
        noise_ratio = float(psnr(np.clip(outcome.picture, 0, 1), whole))
        return f"{noise_ratio:.1f} dB, loss {outcome.loss:.3g}"

    return _reconstruct(flags, original, height, width, make, caption)


@run.register
def _run_style(flags: ReconstructStyle) -> int:
    """Synthesizes and returns the exit code."""
    asked_width, asked_height = parse_size(flags.size)
    original = read_sized(flags.picture, flags, flags.matte)
    height, width = asked_height or original.shape[0], asked_width or original.shape[1]
    for size in flags.optimization.sizes(height, width):
        check_texture_size(*size, flags.layers, is_tileable=flags.texture.is_tileable)
        scale = size[1] / width
        source_size = (round(scale * original.shape[0]), round(scale * original.shape[1]))
        check_size("the source", *source_size, minimum_size(flags.layers))
    depth, last_width = layer_names("vgg19").index, width

    def make(layer: str, network: NetworkParams, height: int, width: int) -> Problem:
        stack = [other for other in STYLE_LAYERS if depth(other) < depth(layer)] + [layer]
        config = replace(flags.texture, layers=dict.fromkeys(stack, 1 / len(stack)))
        source_width = max(1, round(original.shape[1] * width / last_width))
        source = original if width == last_width else read_scaled(flags.picture, source_width, flags.matte)
        return texture.make_problem(config, network, source, height=height, width=width)

    def caption(outcome: RunOutcome) -> str:
        rows, columns = seam_ratio(np.clip(outcome.picture, 0, 1))
        seams = f", seams {rows:.2f} and {columns:.2f} of the inside's" if flags.texture.is_tileable else ""
        return f"loss {outcome.loss:.3g}{seams}"

    return _reconstruct(flags, original, height, width, make, caption)


def _reconstruct(
    flags: Reconstruction,
    original: np.ndarray,
    height: int,
    width: int,
    make_problem: Callable[[str, NetworkParams, int, int], Problem],
    caption: Callable[[RunOutcome], str],
) -> int:
    """Runs one layer after the other, writes the pictures, and returns the exit code."""
    optimizer = configured_optimizer(flags.optimization)
    network = load_network(flags.network, flags.layers)
    cells, records, codes = [Cell(original, "original")], [], []
    with Session(flags, precision=flags.matmul_precision) as session:
        session.introduce(height, width, describe(network), dtype=flags.objective.dtype)
        picture = original
        for layer in flags.layers:
            make = partial(make_problem, layer, network.params)
            label = layer if len(flags.layers) > 1 else ""
            outcome = session.minimize_picture(make, optimizer, height, width, flags=flags, label=label)
            if outcome.is_untouched and records:  # only noise, unlike the layers before it
                break
            line, picture = caption(outcome), outcome.picture
            session.log(f"{layer}: {line}")
            cells.append(Cell(picture.clip(0, 1), f"{layer}\n{line}"))
            records.append({"layer": layer, **record_of(outcome)})
            codes.append(outcome.exit_code)
            if flags.pictures is not None:
                session.write_extra(flags.pictures.replace("{}", layer), picture)
            del outcome  # frees the network, the targets and the optimizer's state before the next layer
            if session.is_interrupted:
                break
        session.write_result(contact_sheet([cells]) if len(flags.layers) > 1 else picture)
        record = {"runs": records} if len(flags.layers) > 1 else records[0]
        session.write_summary(record, network=network.checksum)
        if session.is_interrupted and len(records) < len(flags.layers):
            codes.append(session.interrupted_code)
    return max(codes)
