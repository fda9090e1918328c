"""The default objective in PyTorch, as in ProGamerGov/neural-style-pt, with the network that jaxstyle ships."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional

from benchmarks.speed.pictures import make_pictures
from jaxstyle.vgg.weights import load_network

STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


def make_objective(
    pictures: Sequence[np.ndarray], device: torch.device, layout: torch.memory_format, dtype: torch.dtype
) -> tuple[torch.Tensor, Callable[[], torch.Tensor]]:
    """Returns the pixels to optimize and what computes their loss.

    Args:
        pictures: Start, content and style, `[height, width, 3]` in [0, 1].
        device: Where to compute.
        layout: `torch.channels_last` or `torch.contiguous_format`.
        dtype: Type of all arrays.
    """
    params = load_network().params
    mean = torch.tensor(params["mean"], device=device, dtype=dtype).reshape(1, 3, 1, 1)
    network = {
        name: (
            torch.tensor(params[name]["kernel"]).permute(3, 2, 0, 1).contiguous(memory_format=layout).to(device, dtype),
            torch.tensor(params[name]["bias"], device=device, dtype=dtype),
        )
        for name in params
        if name != "mean" and name <= "conv5_1"
    }

    def features(pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden, found = pixels - mean, {}
        for name, (kernel, bias) in network.items():
            if name.endswith("_1") and name != "conv1_1":
                hidden = functional.max_pool2d(hidden, 2, ceil_mode=True)
            hidden = functional.relu(functional.conv2d(hidden, kernel, bias, padding=1))
            found[name] = hidden
        return found

    def gram(value: torch.Tensor) -> torch.Tensor:
        matrix = value.reshape(value.shape[1], -1)
        return matrix @ matrix.T / matrix.numel()

    start, content, style = (
        torch.tensor(picture * np.float32(255))
        .permute(2, 0, 1)[None]
        .contiguous(memory_format=layout)
        .to(device, dtype)
        for picture in pictures
    )
    with torch.no_grad():
        content_target = features(content)["conv4_2"]
        found = features(style)
        style_targets = {name: gram(found[name]) for name in STYLE_LAYERS}
    pixels = start.clone().requires_grad_()

    def loss() -> torch.Tensor:
        found = features(pixels)
        content = functional.mse_loss(found["conv4_2"], content_target)
        style = sum(functional.mse_loss(gram(found[name]), style_targets[name]) for name in STYLE_LAYERS) / 5
        rows, columns = pixels[:, :, 1:] - pixels[:, :, :-1], pixels[..., 1:] - pixels[..., :-1]
        return 5 * content + 500 * style + 100 * (rows.square().mean() + columns.square().mean())

    return pixels, loss


def make_run(size: int, *, channels_last: bool, steps: bool) -> Callable[[int], None]:
    """Returns what evaluates the loss and its gradient, or steps Adam, a number of times."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    layout = torch.channels_last if channels_last else torch.contiguous_format
    pixels, loss = make_objective(make_pictures(size), device, layout, torch.float32)
    optimizer = torch.optim.Adam([pixels], lr=10.0)

    def run(count: int) -> None:
        for _ in range(count):
            pixels.grad = None
            loss().backward()
            if steps:
                optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run
