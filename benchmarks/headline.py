"""What `--optimizer auto` gains: its time to the loss that the classic setting, and PyTorch's L-BFGS, end with.

`python -m benchmarks.headline` runs on the same pictures, one after the other: the classic (Adam at rate 10, from
noise, 1000 iterations); the PyTorch program's L-BFGS (history 100, no line search, from noise, 500 evaluations), where
torch is installed; and jaxstyle's automatic choice and its parts, each until it has met both losses. It prints wall
seconds without compilation, evaluations, and the shares of the classic's and PyTorch's.

PyTorch's final picture is scored by jaxstyle's objective, so that the target does not depend on who computed it.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from benchmarks.peers import TORCH_HISTORY, is_installed
from benchmarks.problems.pictures import SCORING_PAIRS, make_style_transfer
from jaxstyle.optimize.configured import configured_optimizer
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.records import Progress, StopRule
from jaxstyle.problems.parameterizations import apply_parameterization
from jaxstyle.problems.problem import Problem
from jaxstyle.run_config import AUTO, CLASSIC, RunConfig

#: The automatic choice, exactly as `jaxstyle stylize` runs it; and what each of its parts brings.
CHALLENGERS = {
    "auto": (AUTO, "content"),
    "auto, from noise": (AUTO, "noise"),
    "L-BFGS in pixels, from the content": (replace(AUTO, parameterization="pixels"), "content"),
    "Adam, from the content": (CLASSIC, "content"),
}

TORCH_EVALUATIONS = 500


class Curve(NamedTuple):
    """A run: parallel arrays, one entry for each look at it; the losses are the lowest so far."""

    seconds: np.ndarray
    evaluations: np.ndarray
    losses: np.ndarray
    compile_seconds: float

    def first(self, target: float) -> int | None:
        """Returns the first entry that has met `target`, or None."""
        return next((index for index, loss in enumerate(self.losses) if loss <= target), None)


def run_jaxstyle(pair: str, size: int, settings: RunConfig, start: str, targets: Sequence[float] = ()) -> Curve:
    """Returns the run of settings: to its own end, or until the lowest of `targets` is met."""
    problem = make_style_transfer(pair, size=size, start=start)
    problem = apply_parameterization(problem, settings.parameterization, size, size)
    looks: list[tuple[float, int, float]] = []

    def look(progress: Progress) -> bool:
        looks.append((progress.run_seconds, int(progress.infos.evaluations[-1]), float(progress.state.best_loss)))
        return bool(targets) and looks[-1][2] <= min(targets)

    result = minimize(
        problem,
        configured_optimizer(settings),
        key=jax.random.key(0),
        num_steps=settings.iterations,
        chunk_seconds=0.5,
        stop=StopRule(settings.stop_delta, settings.stop_patience),
        callback=look,
    )
    seconds, evaluations, losses = (np.array(column) for column in zip(*looks, strict=True))
    return Curve(seconds, evaluations, losses, result.compile_seconds)


def run_torch(pair: str, size: int) -> Curve:
    """Returns the run of the PyTorch program's L-BFGS on its own network, the one that jaxstyle ships."""
    import torch

    from benchmarks.problems.pictures import make_pictures
    from benchmarks.speed.torch_peer import make_objective

    problem = make_style_transfer(pair, size=size, start="noise")
    start = np.asarray(problem.init_fn(jax.random.key(0))) / 255
    # Not channels_last, though it is faster: its L-BFGS cannot take a gradient laid out so.
    pixels, loss = make_objective(
        (start, *make_pictures(pair, size)), torch.device("cpu"), torch.contiguous_format, torch.float32
    )
    optimizer = torch.optim.LBFGS(
        [pixels],
        lr=1.0,
        max_iter=10 * TORCH_EVALUATIONS,
        max_eval=TORCH_EVALUATIONS,
        history_size=TORCH_HISTORY,
        tolerance_grad=-1.0,
        tolerance_change=-1.0,
    )
    seconds: list[float] = []
    losses: list[float] = []
    best: tuple[float, np.ndarray | None] = (np.inf, None)

    def closure() -> torch.Tensor:
        nonlocal best
        optimizer.zero_grad()
        value = loss()
        value.backward()
        losses.append(value.item())
        if losses[-1] < best[0]:
            best = (losses[-1], pixels.detach()[0].permute(1, 2, 0).numpy().copy())
        seconds.append(time.perf_counter() - clock)
        return value

    clock = time.perf_counter()
    optimizer.step(closure)
    lowest = np.minimum.accumulate(losses)
    lowest[-1] = _score(problem, best[1])
    return Curve(np.array(seconds), np.arange(1, len(seconds) + 1), lowest, 0.0)


def _score(problem: Problem, pixels: np.ndarray | None) -> float:
    return float(jax.jit(problem.loss_fn)(pixels, problem.args, jax.random.key(0))[0])


def main() -> None:
    """Runs everything and prints a Markdown table for each pair of pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="of the square picture")
    parser.add_argument("--pairs", nargs="+", default=list(SCORING_PAIRS[:1]), help="CONTENT+STYLE, of the samples")
    parser.add_argument("--iterations", type=int, default=CLASSIC.iterations, help="of the classic")
    flags = parser.parse_args()
    for pair in flags.pairs:
        classic = run_jaxstyle(pair, flags.size, RunConfig(optimizer="adam", iterations=flags.iterations), "noise")
        curves = {"classic (Adam, rate 10, from noise)": classic}
        if is_installed("torch"):
            curves["PyTorch L-BFGS, from noise"] = run_torch(pair, flags.size)
        targets = [float(curve.losses[-1]) for curve in curves.values()]
        rivals = dict(zip(curves, targets, strict=True))
        for name, (settings, start) in CHALLENGERS.items():
            curves[name] = run_jaxstyle(pair, flags.size, settings, start, targets)
        print(f"{pair}, {flags.size}x{flags.size}, {flags.iterations} iterations of the classic\n")
        heads = [f"to the loss of {name}: seconds (evaluations), share of its time" for name in rivals]
        print("| | loss in the end | seconds | evaluations | compilation | " + " | ".join(heads) + " |")
        print("|---" * (5 + len(heads)) + "|")
        for name, curve in curves.items():
            row = [
                name,
                f"{curve.losses[-1]:.4g}",
                f"{curve.seconds[-1]:.1f}",
                str(int(curve.evaluations[-1])),
                f"{curve.compile_seconds:.1f}",
            ]
            for rival, target in rivals.items():
                met = curve.first(target)
                if met is None:
                    row.append("never")
                else:
                    share = curve.seconds[met] / curves[rival].seconds[-1]
                    row.append(f"{curve.seconds[met]:.1f} ({int(curve.evaluations[met])}), {share:.3f}")
            print("| " + " | ".join(row) + " |", flush=True)
        print()


if __name__ == "__main__":
    main()
