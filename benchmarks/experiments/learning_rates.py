"""Measures the default learning rates of `jaxstyle.optimize.optimizer_table`.

    python -m benchmarks.experiments.learning_rates [--optimizers NAME ...]

Each optimizer repaints one photograph from noise under a grid of rates, in factors of about 3 around its present
default, and the rate with the lowest best loss after 60 steps wins. These are sensible defaults, not a comparison of
optimizers: one pair of pictures, one seed, one size.

Expected: for each optimizer whose source contains "rate measured", the best rate is the default of its row.
"""

from collections.abc import Iterator

import jax
import numpy as np

from benchmarks.command_line import run_main
from benchmarks.markdown import print_table
from jaxstyle.checks import check_choice
from jaxstyle.optimize.batch import minimize_batch
from jaxstyle.optimize.optimizers import OPTIMIZERS, make_optimizer
from jaxstyle.pictures.images import resize
from jaxstyle.pictures.samples import load_sample
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.style_transfer import StyleTransferConfig, make_problem
from jaxstyle.vgg.weights import load_network

FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)


def measure(problem: Problem, name: str, num_steps: int) -> dict[float, float]:
    """Returns the best loss of each rate of the grid (infinite where the run failed); all rates run as one program."""
    spec = OPTIMIZERS[name]
    rates = [float(f"{float(spec.defaults[spec.rate]) * factor:.1g}") for factor in FACTORS]
    results = minimize_batch(
        [problem] * len(rates),
        [make_optimizer(name, traced=[spec.rate], **{spec.rate: rate}) for rate in rates],
        keys=[jax.random.key(0)] * len(rates),
        num_steps=num_steps,
    )
    losses = [result.best_loss if np.isfinite(result.best_loss) else np.inf for result in results]
    return dict(zip(rates, losses, strict=True))


def main(size: int = 64, steps: int = 60, optimizers: tuple[str, ...] = tuple(OPTIMIZERS)) -> None:
    """Runs the grid and prints the table.

    Args:
        size: Width and height of the picture.
        steps: Steps of each run.
        optimizers: Names of optimizers; those without a learning rate are left out.
    """
    content = resize(load_sample("astronaut"), size, size)
    style = load_sample("swirl", height=size, width=size)
    problem = make_problem(StyleTransferConfig(), load_network().params, content, [style])

    def rows() -> Iterator[tuple[str, ...]]:
        for name in optimizers:
            if OPTIMIZERS[check_choice("--optimizers", name, OPTIMIZERS)].rate:
                losses = measure(problem, name, steps)
                best = min(losses, key=losses.__getitem__)
                texts = (f"{rate:g}: {loss:.3g}" for rate, loss in losses.items())
                yield name, f"{best:g}", f"{losses[best]:.4g}", ", ".join(texts)

    print_table(("optimizer", "best rate", "its loss", "rate: loss"), rows())


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.experiments.learning_rates", __doc__)
