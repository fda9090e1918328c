"""Measures the time of `--optimizer auto` to the final losses of the classic setting and of PyTorch's L-BFGS.

    python -m benchmarks.experiments.headline

Runs on the same pictures, one after the other: the classic (Adam at rate 10, from noise, 1000 iterations); the L-BFGS
of jcjohnson/neural-style and ProGamerGov/neural-style-pt (history 100, no line search, from noise, 500 evaluations),
if torch is installed; and jaxstyle's automatic choice and its parts, each until it has reached both losses. The table
has seconds without compilation, evaluations, and the shares of the classic's and PyTorch's time. PyTorch's final
picture is scored by jaxstyle's objective, so that its target does not depend on its own arithmetic.

Expected (two cores of a shared AMD EPYC, jax 0.10.2, torch 2.13, chelsea + waves at 256x256): the classic's loss,
3.54e6 after 195 s, is met by `auto` after 36 s and 160 evaluations, a share of 0.19. benchmarks/README.md has all rows.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import jax
import numpy as np

from benchmarks.command_line import run_main
from benchmarks.experiments import Curve, curve
from benchmarks.markdown import print_table
from benchmarks.methods import is_installed
from benchmarks.peers import make_torch_lbfgs
from benchmarks.problems.pictures import make_pictures, make_style_transfer
from benchmarks.problems.registry import SCORING_PAIRS
from jaxstyle.optimize.configured import configured_optimizer
from jaxstyle.problems.parameterizations import apply_parameterization
from jaxstyle.run_config import AUTO, CLASSIC, RunConfig

#: The automatic choice, exactly as `jaxstyle stylize` runs it, and the same with one of its parts replaced.
CHALLENGERS = {
    "auto": (AUTO, "content"),
    "auto, from noise": (AUTO, "noise"),
    "L-BFGS in pixels, from the content": (replace(AUTO, parameterization="pixels"), "content"),
    "Adam, from the content": (CLASSIC, "content"),
}

TORCH_EVALUATIONS = 500


def run_jaxstyle(pair: str, size: int, settings: RunConfig, start: str, targets: Sequence[float] = ()) -> Curve:
    """Returns the run of settings: to its own end, or until the lowest of `targets` is met."""
    problem = make_style_transfer(pair, size=size, start=start)
    problem = apply_parameterization(problem, settings.parameterization, size, size)
    optimizer = configured_optimizer(settings)
    return curve(problem, optimizer, settings.iterations, stop=settings.stop_rule(), targets=targets)


def run_torch(pair: str, size: int) -> Curve:
    """Returns the run of PyTorch's L-BFGS with the network that comes with jaxstyle."""
    import torch

    from benchmarks.speed.torch_peer import make_objective

    problem = make_style_transfer(pair, size=size, start="noise")
    start = np.asarray(problem.init_fn(jax.random.key(0))) / 255
    # Not channels_last, though it is faster: torch's L-BFGS cannot flatten a gradient in that layout.
    pixels, loss = make_objective(
        (start, *make_pictures(pair, size)), torch.device("cpu"), torch.contiguous_format, torch.float32
    )
    optimizer = make_torch_lbfgs(pixels, 1.0, TORCH_EVALUATIONS)
    seconds: list[float] = []
    losses: list[float] = []
    best = pixels.detach()

    def closure() -> torch.Tensor:
        nonlocal best
        optimizer.zero_grad()
        value = loss()
        value.backward()
        if value.item() < min(losses, default=np.inf):
            best = pixels.detach().clone()
        losses.append(value.item())
        seconds.append(time.perf_counter() - clock)
        return value

    clock = time.perf_counter()
    optimizer.step(closure)
    lowest = np.minimum.accumulate(losses)
    picture = best[0].permute(1, 2, 0).numpy()
    lowest[-1] = float(jax.jit(problem.loss_fn)(picture, problem.args, jax.random.key(0))[0])
    return Curve(np.array(seconds), np.arange(1, len(seconds) + 1), lowest)


def _rows(curves: dict[str, Curve], rivals: Sequence[str]) -> Iterator[list[str]]:
    for name, run in curves.items():
        row = [name, f"{run.losses[-1]:.4g}", f"{run.seconds[-1]:.1f}", f"{run.evaluations[-1]:.0f}"]
        row.append(f"{run.compile_seconds:.1f}")
        for rival in rivals:
            met = run.first(curves[rival].losses[-1])
            if met is None:
                row.append("never")
            else:
                share = run.seconds[met] / curves[rival].seconds[-1]
                row.append(f"{run.seconds[met]:.1f} ({run.evaluations[met]:.0f}), {share:.3f}")
        yield row


def main(size: int = 256, pairs: tuple[str, ...] = SCORING_PAIRS[:1], iterations: int = CLASSIC.iterations) -> None:
    """Runs everything and prints a Markdown table for each pair of pictures.

    Args:
        size: Width and height of the pictures.
        pairs: Pairs CONTENT+STYLE of the samples.
        iterations: Iterations of the classic.
    """
    for pair in pairs:
        classic = run_jaxstyle(pair, size, replace(CLASSIC, iterations=iterations), "noise")
        curves = {"classic (Adam, rate 10, from noise)": classic}
        if is_installed("torch"):
            curves["PyTorch L-BFGS, from noise"] = run_torch(pair, size)
        rivals = list(curves)
        targets = [float(run.losses[-1]) for run in curves.values()]
        for name, (settings, start) in CHALLENGERS.items():
            curves[name] = run_jaxstyle(pair, size, settings, start, targets)
        print(f"{pair}, {size}x{size}, {iterations} iterations of the classic\n")
        shares = [f"to the loss of {name}: seconds (evaluations), share of its time" for name in rivals]
        print_table(("", "loss in the end", "seconds", "evaluations", "compilation", *shares), _rows(curves, rivals))
        print()


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.experiments.headline", __doc__)
