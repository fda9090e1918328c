"""Measures the checkerboard that gradients of max pooling cause, for each parameterization and each pooling.

    python -m benchmarks.experiments.checkerboard --size 80 --iterations 60

Repaints a sample and reconstructs it from relu4_1, with every parameterization and both poolings, from noise, with Adam
at rate 10 and without total variation. The table has the share of the picture's energy near the Nyquist frequencies
(`jaxstyle.pictures.images.nyquist_share`), the loss and the seconds.

Expected: with max pooling, stylize leaves a share of 0.0250 in pixels and 0.0100 in a Laplacian pyramid; the originals
have 0.0076 and 0.0101. benchmarks/README.md has all rows.
"""

import time
from collections.abc import Iterator

import jax
import numpy as np

from benchmarks.command_line import run_main
from benchmarks.markdown import print_table
from jaxstyle import load_network, load_sample, make_optimizer, minimize
from jaxstyle.pictures import images
from jaxstyle.problems import content_reconstruction, style_transfer
from jaxstyle.problems.parameterizations import PARAMETERIZATIONS, apply_parameterization
from jaxstyle.problems.problem import Problem
from jaxstyle.vgg.layers import POOLINGS, Pooling


def main(size: int = 128, iterations: int = 150, seed: int = 0) -> None:
    """Runs all combinations and prints a Markdown table.

    Args:
        size: Width and height of the picture.
        iterations: Steps of each run.
        seed: Seed of the noise.
    """
    network = load_network().params
    content = np.asarray(images.resize(load_sample("astronaut"), size, size))
    style = load_sample("swirl", width=size)
    shares = f"astronaut {images.nyquist_share(content):.5f}, swirl {images.nyquist_share(style):.5f}"
    print(f"{size}x{size}, Adam, {iterations} iterations; shares of the originals: {shares}\n")

    def make(experiment: str, pooling: Pooling) -> Problem:
        if experiment == "stylize":
            config = style_transfer.StyleTransferConfig(tv_weight=0.0, pooling=pooling)
            return style_transfer.make_problem(config, network, content, [style])
        layer = content_reconstruction.ContentReconstructionConfig({"relu4_1": 1.0}, pooling=pooling)
        return content_reconstruction.make_problem(layer, network, content)

    def row(problem: Problem, name: str) -> tuple[str, ...]:
        own = apply_parameterization(problem, name, size, size)
        clock = time.perf_counter()
        result = minimize(own, make_optimizer("adam"), key=jax.random.key(seed), num_steps=iterations)
        seconds = time.perf_counter() - clock
        picture = np.clip(own.render_fn(result.best_params, own.args), 0, 1)
        return name, f"{images.nyquist_share(picture):.5f}", f"{result.best_loss:.4g}", f"{seconds:.0f}"

    def rows() -> Iterator[tuple[str, ...]]:
        for experiment in ("stylize", "reconstruct relu4_1"):
            for pooling in POOLINGS:
                problem = make(experiment, pooling)
                for name in PARAMETERIZATIONS:
                    yield experiment, pooling, *row(problem, name)

    print_table(("experiment", "pooling", "parameterization", "share near Nyquist", "loss", "seconds"), rows())


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.experiments.checkerboard", __doc__)
