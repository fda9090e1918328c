"""Measures the default learning rates of `jaxstyle.optimize.optimizers`: `python -m benchmarks.learning_rates`.

Each optimizer repaints one photograph from noise under a grid of rates, in factors of about 3 around its present
default, and the rate with the lowest best loss after so many steps wins. It prints a table in Markdown, with the
optimizers ordered by that loss. These are sensible defaults, not a comparison of optimizers: one pair of pictures,
one seed, one size.
"""

import argparse
from functools import partial

import jax
import numpy as np

from jaxstyle.optimize.batch import minimize_batch
from jaxstyle.optimize.optimizers import OPTIMIZERS, make_optimizer
from jaxstyle.pictures.images import resize
from jaxstyle.pictures.samples import load_sample
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.style_transfer import StyleTransferConfig, make_problem
from jaxstyle.vgg.weights import load_network

FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)


def make_tuning_problem(size: int) -> Problem:
    """Returns the style transfer that the rates are measured on, `size` pixels square."""
    content = resize(load_sample("astronaut"), size, size)
    style = load_sample("swirl", height=size, width=size)
    return make_problem(StyleTransferConfig(), load_network().params, content, [style])


def measure(problem: Problem, name: str, num_steps: int) -> dict[float, float]:
    """Returns the best loss of each rate of the grid (infinite where the run failed); all rates run as one program."""
    spec = OPTIMIZERS[name]
    option = "max_learning_rate" if "max_learning_rate" in spec.defaults else "learning_rate"
    if option not in spec.defaults:
        return {}
    rates = [float(f"{float(spec.defaults[option]) * factor:.1g}") for factor in FACTORS]
    results = minimize_batch(
        [problem] * len(rates),
        partial(make_optimizer, name),
        keys=[jax.random.key(0)] * len(rates),
        num_steps=num_steps,
        options=[{option: rate} for rate in rates],
    )
    losses = [result.best_loss if np.isfinite(result.best_loss) else np.inf for result in results]
    return dict(zip(rates, losses, strict=True))


def main() -> None:
    """Runs the grid and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--optimizers", nargs="*", default=list(OPTIMIZERS))
    options = parser.parse_args()
    problem = make_tuning_problem(options.size)
    print("| optimizer | best rate | its loss | rate: loss |\n|---|---|---|---|", flush=True)
    for name in options.optimizers:
        losses = measure(problem, name, options.steps)
        if losses:
            best = min(losses, key=losses.__getitem__)
            row = ", ".join(f"{rate:g}: {loss:.3g}" for rate, loss in losses.items())
            print(f"| {name} | {best:g} | {losses[best]:.4g} | {row} |", flush=True)


if __name__ == "__main__":
    main()
