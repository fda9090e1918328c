"""The 3x3 convolution of a frozen network: stride 1, zero padding, channels last, no batch axis.

A frozen network never needs the gradient by its kernels, only by the picture. That gradient is a convolution too,
with the kernel turned by 180 degrees and its channels swapped. Autodiff writes the turn into the program, where a
loop on the CPU redoes it (and leaves the fast convolution path) at every step: jax issue 12868, about three times
slower. So `freeze_kernel` does once whatever depends on the kernel alone, and the result travels as an argument.

On a CPU most layers take Winograd's algorithm (`jaxstyle.vgg.winograd`); elsewhere the vendor's convolution wins.
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

#: With fewer channels the transforms cost more than they save.
WINOGRAD_CHANNELS = 64

#: Smaller pictures take milliseconds either way, and Winograd's programs take longer to compile.
WINOGRAD_PIXELS = 96 * 96


@partial(jax.tree_util.register_dataclass, data_fields=("forward", "backward"), meta_fields=("method",))
@dataclass(frozen=True)
class FrozenKernel:
    """A kernel in the forms that `convolve` needs: a pytree whose leaves are arrays.

    Attributes:
        forward: The kernel `[3, 3, in, out]` (direct), or its transform, six arrays `[6, in, out]` (winograd).
        backward: The kernel turned by 180 degrees `[3, 3, out, in]` (direct); nothing (winograd), where one
            transform serves both ways.
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
    """Returns what `convolve` needs of a kernel, computed once.

    Args:
        kernel: `[3, 3, in, out]`, to be correlated with the features as every deep learning library does.
        method: `direct` or `winograd`; see `choose_method`.
        dtype: Type of the convolution: features are cast to it. Winograd is float32 only.

    Raises:
        InputError: For another shape, an unknown method, or Winograd in half precision.
    """
    if kernel.shape[:2] != (3, 3) or kernel.ndim != 4:
        raise InputError("a kernel of shape (3, 3, in, out)", kernel.shape, "pass a VGG's kernel")
    if check_choice("method", method, METHODS) == "winograd":
        if jnp.dtype(dtype) != jnp.float32:
            raise InputError("float32 for Winograd's algorithm", dtype, "use the direct method")
        return FrozenKernel(winograd.transform_kernel(np.asarray(kernel)), (), method)
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    return FrozenKernel((jnp.asarray(kernel, dtype),), (jnp.asarray(turned, dtype),), method)


def choose_method(
    inputs: int,
    outputs: int,
    *,
    pixels: int,
    dtype: str | jnp.dtype = "float32",
    platform: str | None = None,
) -> str:
    """Returns the method that was measured to be faster for such a layer; see benchmarks/speed/README.md.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        pixels: Height times width of the network's picture (not of the layer).
        dtype: Type of the convolution.
        platform: `cpu`, `gpu` or `tpu`; JAX's default one if left out.
    """
    is_cpu = (platform or jax.default_backend()) == "cpu"
    is_worth_it = min(inputs, outputs) >= WINOGRAD_CHANNELS and pixels >= WINOGRAD_PIXELS
    return "winograd" if is_cpu and is_worth_it and jnp.dtype(dtype) == jnp.float32 else "direct"


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def convolve(features: Inputs, kernel: FrozenKernel, bias: Float[Array, " outputs"], relu: bool) -> Outputs:
    """Correlates `features` `[height, width, in]` with a kernel, adds the bias, and applies the ReLU if asked to.

    The gradient by `features` is exact (the ReLU's is 0 at 0); the gradients by `kernel` and `bias` are defined as
    zero, because the network is frozen.
    """
    if kernel.method == "winograd":
        return winograd.correlate(features, kernel.forward, bias, relu=relu)
    sums = _correlate(features, kernel.forward[0]) + bias
    return jnp.maximum(sums, 0) if relu else sums


def _convolve_forward(
    features: Inputs, kernel: FrozenKernel, bias: Float[Array, " outputs"], relu: bool
) -> tuple[Outputs, tuple[Outputs | None, FrozenKernel]]:
    result: Any = convolve(features, kernel, bias, relu)
    # Where the result is positive says all that the ReLU's gradient needs; nothing before it is kept.
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
