"""The gradient's error against PyTorch in float64: `python -m benchmarks.speed.accuracy`. Needs PyTorch.

It is measured on the picture of tests/references, and on three starts: the first noise of a run, the content, and a
picture in between. In float32, a few ReLUs and maxima of pooling differ from those in float64, which changes the
gradient of the pixels below by far more than rounding. Therefore the table has the error of the median pixel besides
the norm, and also the error of the direct convolution, to which this applies too.
"""

from collections.abc import Iterator, Sequence

import jax
import numpy as np
import torch

from benchmarks.command_line import run_main
from benchmarks.markdown import print_table
from benchmarks.speed.pictures import make_wave_picture
from benchmarks.speed.torch_peer import make_objective
from jaxstyle.pictures.images import resize
from jaxstyle.pictures.samples import load_sample
from jaxstyle.problems.style_transfer import StyleTransferConfig, make_problem
from jaxstyle.vgg import convolution
from jaxstyle.vgg.weights import load_network


def errors(found: np.ndarray, exact: np.ndarray) -> tuple[float, float]:
    """Returns the relative error by norm, and that of the median pixel."""
    off = np.linalg.norm(found - exact, axis=-1)
    size = np.linalg.norm(exact, axis=-1)
    return float(np.linalg.norm(off) / np.linalg.norm(size)), float(np.median(off) / np.median(size))


def make_cases(sizes: Sequence[int]) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Returns start, content and style of each case by its name."""
    cases = {
        "reference 64x96": (
            make_wave_picture(64, 96, 0.0),
            make_wave_picture(64, 96, 0.7),
            make_wave_picture(72, 80, 2.1),
        )
    }
    mean = load_network().params["mean"] / 255
    for size in sizes:
        content = np.asarray(resize(load_sample("astronaut"), size, size))
        style = load_sample("swirl", height=size, width=size)
        noise = np.random.default_rng(0).standard_normal(content.shape).astype(np.float32)
        starts = {
            "noise": (mean + 0.256 / 255 * noise).astype(np.float32),
            "content": content,
            "between": (0.5 * content + 0.5 * style + 0.05 * noise).astype(np.float32),
        }
        cases |= {f"{name} {size}x{size}": (start, content, style) for name, start in starts.items()}
    return cases


def _rows(sizes: Sequence[int]) -> Iterator[tuple[str, ...]]:
    for name, pictures in make_cases(sizes).items():
        pixels, loss = make_objective(pictures, torch.device("cpu"), torch.contiguous_format, torch.float64)
        loss().backward()
        assert pixels.grad is not None
        exact = pixels.grad[0].permute(1, 2, 0).numpy()
        start, content, style = pictures
        for method, threshold in (("winograd", 0), ("direct", 1 << 40)):
            convolution.WINOGRAD_PIXELS = threshold
            problem = make_problem(StyleTransferConfig(), load_network().params, content, [style])
            gradient = jax.jit(jax.grad(problem.loss_fn, has_aux=True))
            found, _ = gradient(start * np.float32(255), problem.args, None)
            norm, median = errors(np.asarray(found, np.float64), exact)
            yield name, method, f"{norm:.1e}", f"{median:.1e}"


def main(sizes: tuple[int, ...] = (128, 256)) -> None:
    """Prints a Markdown table of pictures of these widths and heights."""
    print_table(("start", "method", "relative norm", "median pixel"), _rows(sizes))


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.accuracy", __doc__)
