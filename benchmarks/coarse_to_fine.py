"""How much time coarse to fine saves: seconds until it is where one size alone ends.

`python -m benchmarks.coarse_to_fine` repaints a sample at one size, then again through growing sizes up to the same
one, and prints when the latter met the former's final loss. Seconds are those of running; compilation and the making of
targets are left out. All losses are those of the default objective at full size.
"""

import argparse
from collections.abc import Callable, Sequence

import jax
import numpy as np

from jaxstyle import load_network, load_sample, make_optimizer
from jaxstyle.optimize.pyramid import minimize_pyramid
from jaxstyle.pictures import images
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.style_transfer import StyleTransferConfig, make_problem
from jaxstyle.run_config import growing_sizes


def main() -> None:
    """Runs each optimizer at one size and through several, and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="of the square picture")
    parser.add_argument("--iterations", type=int, default=200, help="at one size")
    parser.add_argument("--optimizers", nargs="+", default=["adam", "lbfgs"])
    parser.add_argument("--scales", type=int, nargs="+", default=[2, 3, 4], help="numbers of sizes")
    parser.add_argument("--step", type=float, default=2.0, help="from one size to the next")
    parser.add_argument("--coarse", type=int, default=100, help="iterations at each size but the last")
    parser.add_argument("--restart", action="store_true", help="without carrying the moments up")
    flags = parser.parse_args()
    make = _problem_maker()
    print(f"{flags.size}x{flags.size}, {flags.iterations} iterations at one size, {flags.coarse} at each coarser one")
    print("| optimizer | sizes | final loss | seconds | seconds to the loss of one size | share |")
    print("|---|---|---|---|---|---|")
    for optimizer in flags.optimizers:
        single = _run(make, optimizer, growing_sizes(flags.size, flags.size), [flags.iterations], flags.restart)
        target, whole = min(loss for _, loss in single), single[-1][0]
        print(f"| {optimizer} | {flags.size} | {target:.4g} | {whole:.1f} | | 1 |", flush=True)
        for count in flags.scales:
            sizes = growing_sizes(flags.size, flags.size, count=count, step=flags.step)
            steps = [flags.coarse] * (count - 1) + [flags.iterations]
            curve = _run(make, optimizer, sizes, steps, flags.restart)
            met = next((seconds for seconds, loss in curve if loss <= target), None)
            name = " ".join(str(width) for _, width in sizes)
            best = min(loss for _, loss in curve)
            when = ("never", "") if met is None else (f"{met:.1f}", f"{met / whole:.2f}")
            print(f"| {optimizer} | {name} | {best:.4g} | {curve[-1][0]:.1f} | {when[0]} | {when[1]} |", flush=True)


def _problem_maker() -> Callable[[int, int], Problem]:
    network = load_network().params
    content = load_sample("astronaut")

    def make(height: int, width: int) -> Problem:
        style = load_sample("swirl", width=width)
        return make_problem(StyleTransferConfig(), network, np.asarray(images.resize(content, height, width)), [style])

    return make


def _run(
    make: Callable[[int, int], Problem],
    optimizer: str,
    sizes: Sequence[tuple[int, int]],
    steps: Sequence[int],
    restart: bool,
) -> list[tuple[float, float]]:
    """Returns seconds since the start and losses, for the steps of the last size.

    Every evaluation of a run is taken to have lasted as long as the others.
    """
    scales = minimize_pyramid(
        make, make_optimizer(optimizer), sizes=sizes, num_steps=steps, key=jax.random.key(0), carry_moments=not restart
    )
    before = sum(scale.result.run_seconds for scale in scales[:-1])
    last = scales[-1].result
    seconds = before + last.run_seconds * last.trace.evaluations / last.trace.evaluations[-1]
    return list(zip(seconds.tolist(), last.trace.loss.tolist(), strict=True))


if __name__ == "__main__":
    main()
