"""Which parameterizations, and which pooling, leave the least of the checkerboard that max pooling's gradients draw.

`python -m benchmarks.checkerboard` repaints a sample and reconstructs it from relu4_1, with every parameterization and
both poolings, from noise, with Adam at rate 10 and without total variation, and prints for each the share of the
picture's energy near the Nyquist frequencies (`jaxstyle.pictures.images.nyquist_share`) beside the loss and the
seconds.
"""

import argparse
import time

import jax
import numpy as np

from jaxstyle import load_network, load_sample, make_optimizer, minimize
from jaxstyle.pictures import images
from jaxstyle.problems import content_reconstruction, style_transfer
from jaxstyle.problems.parameterizations import PARAMETERIZATIONS, apply_parameterization
from jaxstyle.problems.problem import Problem
from jaxstyle.vgg.module import POOLINGS


def main() -> None:
    """Runs all combinations and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="of the square picture")
    parser.add_argument("--iterations", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    network = load_network().params
    content = np.asarray(images.resize(load_sample("astronaut"), flags.size, flags.size))
    style = load_sample("swirl", width=flags.size)
    shares = ", ".join(
        f"{name} {images.nyquist_share(picture):.5f}" for name, picture in (("astronaut", content), ("swirl", style))
    )
    print(f"{flags.size}x{flags.size}, Adam, {flags.iterations} iterations; shares of the originals: {shares}\n")
    print(
        "| experiment | pooling | parameterization | share near Nyquist | loss | seconds |\n|---|---|---|---|---|---|"
    )

    def make(experiment: str, pooling: str) -> Problem:
        if experiment == "stylize":
            config = style_transfer.StyleTransferConfig(tv_weight=0.0, pooling=pooling)
            return style_transfer.make_problem(config, network, content, [style])
        layer = content_reconstruction.ContentReconstructionConfig({"relu4_1": 1.0}, pooling=pooling)
        return content_reconstruction.make_problem(layer, network, content)

    for experiment in ("stylize", "reconstruct relu4_1"):
        for pooling in POOLINGS:
            problem = make(experiment, pooling)
            for name in PARAMETERIZATIONS:
                own = apply_parameterization(problem, name, flags.size, flags.size)
                clock = time.perf_counter()
                key = jax.random.key(flags.seed)
                result = minimize(own, make_optimizer("adam"), key=key, num_steps=flags.iterations)
                seconds = time.perf_counter() - clock
                picture = np.clip(own.render_fn(result.best_params, own.args), 0, 1)
                share = float(images.nyquist_share(picture))
                row = (experiment, pooling, name, f"{share:.5f}", f"{result.best_loss:.4g}", f"{seconds:.0f}")
                print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
