"""Measures the time that coarse to fine saves: the seconds until it reaches the final loss of a run at one size.

    python -m benchmarks.experiments.coarse_to_fine --iterations 60 --scales 2 --coarse 30 --optimizers lbfgs --restart

Repaints a sample at one size, then again through growing sizes up to the same one. Seconds leave out compilation and
the making of targets. All losses are those of the default objective at full size.

Expected (two cores of an AMD EPYC that other runs shared): 4.176e6 after 98.8 s at 512; through 256 and 512 the same
loss after 85.9 s, a share of 0.87, and 3.492e6 in the end.
"""

from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from benchmarks.command_line import run_main
from benchmarks.experiments import Curve
from benchmarks.markdown import print_table
from jaxstyle import load_network, load_sample, make_optimizer
from jaxstyle.optimize.pyramid import minimize_pyramid
from jaxstyle.pictures import images
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.style_transfer import StyleTransferConfig, make_problem
from jaxstyle.run_config import growing_sizes


def run(
    make: Callable[[int, int], Problem],
    optimizer: str,
    sizes: Sequence[tuple[int, int]],
    steps: Sequence[int],
    carry_moments: bool,
) -> Curve:
    """Returns the steps at the last size of a run; all evaluations at it are taken to last equally long."""
    scales = minimize_pyramid(
        make,
        make_optimizer(optimizer),
        sizes=sizes,
        num_steps=steps,
        key=jax.random.key(0),
        carry_moments=carry_moments,
    )
    before = sum(scale.result.run_seconds for scale in scales[:-1])
    last = scales[-1].result
    evaluations = np.asarray(last.trace.evaluations)
    seconds = before + last.run_seconds * evaluations / evaluations[-1]
    return Curve(seconds, evaluations, np.minimum.accumulate(last.trace.loss))


def main(
    size: int = 512,
    iterations: int = 200,
    optimizers: tuple[str, ...] = ("adam", "lbfgs"),
    scales: tuple[int, ...] = (2, 3, 4),
    step: float = 2.0,
    coarse: int = 100,
    restart: bool = False,
) -> None:
    """Runs each optimizer at one size and through several, and prints a Markdown table.

    Args:
        size: Width and height of the picture.
        iterations: Iterations at the last size.
        optimizers: Names of optimizers.
        scales: Numbers of sizes.
        step: Ratio of neighboring sizes.
        coarse: Iterations at each size but the last.
        restart: Do not carry the optimizer's moments from one size to the next.
    """
    network, content = load_network().params, load_sample("astronaut")

    def make(height: int, width: int) -> Problem:
        style = load_sample("swirl", width=width)
        return make_problem(StyleTransferConfig(), network, np.asarray(images.resize(content, height, width)), [style])

    def rows() -> Iterator[tuple[str, ...]]:
        for optimizer in optimizers:
            single = run(make, optimizer, growing_sizes(size, size), [iterations], not restart)
            target, whole = single.losses[-1], single.seconds[-1]
            yield optimizer, str(size), f"{target:.4g}", f"{whole:.1f}", "", "1"
            for count in scales:
                sizes = growing_sizes(size, size, count=count, step=step)
                found = run(make, optimizer, sizes, [coarse] * (count - 1) + [iterations], not restart)
                met = found.first(target)
                when = (
                    ("never", "") if met is None else (f"{found.seconds[met]:.1f}", f"{found.seconds[met] / whole:.2f}")
                )
                widths = " ".join(str(width) for _, width in sizes)
                yield optimizer, widths, f"{found.losses[-1]:.4g}", f"{found.seconds[-1]:.1f}", *when

    print(f"{size}x{size}, {iterations} iterations at one size, {coarse} at each coarser one")
    print_table(("optimizer", "sizes", "final loss", "seconds", "seconds to the loss of one size", "share"), rows())


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.experiments.coarse_to_fine", __doc__)
