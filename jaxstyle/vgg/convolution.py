"""The 3x3 convolution of a frozen network: stride 1, zero padding, channels last, no batch axis.

A frozen network needs the gradient with respect to the picture only, not to its kernels. That gradient is a convolution
too, with the kernel rotated by 180 degrees and its channels swapped. Autodiff makes the rotation a part of the program,
where a loop on the CPU repeats it at every step (and does not use the fast convolution): jax issue 12868, about three
times slower. So `freeze_kernel` computes once what depends on the kernel alone, and its result is an argument.

On a CPU most layers use Winograd's algorithm (`jaxstyle.vgg.winograd`); elsewhere the vendor's convolution is faster.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxstyle.checks import InputError, check_choice
from jaxstyle.vgg import winograd

#: Features before a convolution and after it.
Inputs = Float[Array, "height width inputs"]
Outputs = Float[Array, "height width outputs"]

METHODS = ("direct", "winograd")

#: Fewest channels for Winograd's algorithm; with fewer, its transforms cost more than it saves.
WINOGRAD_CHANNELS = 64

#: Fewest pixels for Winograd's algorithm. Smaller pictures take milliseconds anyway, and its programs compile slower.
WINOGRAD_PIXELS = 96 * 96


@partial(jax.tree_util.register_dataclass, data_fields=("forward", "backward"), meta_fields=("method",))
@dataclass(frozen=True)
class FrozenKernel:
    """A kernel in the forms that `convolve` needs: a pytree whose leaves are arrays.

    Attributes:
        forward: The kernel `[3, 3, in, out]` (direct), or its transform, six arrays `[6, in, out]` (winograd).
        backward: The kernel rotated by 180 degrees, `[3, 3, out, in]` (direct); empty (winograd), because the same
            transform serves the gradient.
        method: `direct` or `winograd`.
    """

    # Arrays; but JAX also builds this class of whatever stands in an array's place in a pytree, such as None.
    forward: tuple[Any, ...]
    backward: tuple[Any, ...]
    method: str


def freeze_kernel(
    kernel: Float[Array | np.ndarray, "3 3 inputs outputs"],
    *,
    method: str = "direct",
    dtype: str | jnp.dtype = "float32",
) -> FrozenKernel:
    """Returns the forms of a kernel that `convolve` needs, computed once.

    Args:
        kernel: `[3, 3, in, out]`, used as a cross-correlation, as in every deep learning library.
        method: `direct` or `winograd`, as `choose_method` returns it.
        dtype: Type to which the features are cast for the convolution. Winograd's algorithm requires float32.

    Raises:
        InputError: For another shape, an unknown method, or Winograd in half precision.
    """
    if kernel.shape[:2] != (3, 3) or kernel.ndim != 4:
        raise InputError("a kernel of shape (3, 3, in, out)", kernel.shape, "pass a VGG's kernel")
    if check_choice("method", method, METHODS) == "winograd":
        if jnp.dtype(dtype) != jnp.float32:
            raise InputError("float32 for Winograd's algorithm", dtype, "use the direct method")
        return FrozenKernel(winograd.transform_kernel(np.asarray(kernel)), (), method)
    rotated = kernel[::-1, ::-1].swapaxes(2, 3)
    return FrozenKernel((jnp.asarray(kernel, dtype),), (jnp.asarray(rotated, dtype),), method)


def choose_method(
    inputs: int,
    outputs: int,
    *,
    pixels: int,
    dtype: str | jnp.dtype = "float32",
    platform: str | None = None,
) -> str:
    """Returns the method that was measured to be faster for such a layer (benchmarks/speed/README.md).

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels.
        pixels: Height times width of the network's picture (not of the layer).
        dtype: Type of the convolution.
        platform: `cpu`, `gpu` or `tpu`; None is JAX's default platform.
    """
    is_cpu = (platform or jax.default_backend()) == "cpu"
    is_worth_it = min(inputs, outputs) >= WINOGRAD_CHANNELS and pixels >= WINOGRAD_PIXELS
    return "winograd" if is_cpu and is_worth_it and jnp.dtype(dtype) == jnp.float32 else "direct"


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def convolve(features: Inputs, kernel: FrozenKernel, bias: Float[Array, " outputs"], relu: bool) -> Outputs:
    """Correlates `features` `[height, width, in]` with a kernel, adds the bias, and applies a ReLU if `relu` is true.

    The gradient with respect to `features` is exact (the ReLU's is 0 at 0); the gradients with respect to `kernel` and
    `bias` are defined as zero, because the network is frozen.
    """
    if kernel.method == "winograd":
        return winograd.correlate(features, kernel.forward, bias, relu=relu)
    sums = _correlate(features, kernel.forward[0]) + bias
    return jnp.maximum(sums, 0) if relu else sums


def _convolve_forward(
    features: Inputs, kernel: FrozenKernel, bias: Float[Array, " outputs"], relu: bool
) -> tuple[Outputs, tuple[Outputs | None, FrozenKernel]]:
    result: Any = convolve(features, kernel, bias, relu)
    # The ReLU's gradient needs only where the result is positive, so the values before the ReLU are not stored.
    return result, (result if relu else None, kernel)


def _convolve_backward(
    relu: bool, residuals: tuple[Outputs | None, FrozenKernel], cotangent: Outputs
) -> tuple[Inputs, None, None]:
    result, kernel = residuals
    if result is not None:
        cotangent = jnp.where(result > 0, cotangent, 0)
    if kernel.method == "winograd":
        return winograd.correlate(cotangent, kernel.forward, backward=True), None, None
    return _correlate(cotangent, kernel.backward[0]), None, None


convolve.defvjp(_convolve_forward, _convolve_backward)


def _correlate(features: Inputs, kernel: Float[Array, "3 3 inputs outputs"]) -> Outputs:
    return lax.conv_general_dilated(features[None], kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))[
        0
    ]
