"""The 3x3 convolution of a frozen network: stride 1, zero padding, channels last, no batch axis.

A frozen network never needs the gradient by its kernels, only by the picture. That gradient is a convolution too,
with the kernel turned by 180 degrees and its channels swapped. Autodiff writes the turn into the program, where a
loop on the CPU redoes it (and leaves the fast convolution path) at every step: jax issue 12868, about three times
slower. So `freeze_kernel` turns each kernel once, and both kernels travel as arguments.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxstyle.types import Features


class FrozenKernel(NamedTuple):
    """A kernel in the two forms that `convolve` needs.

    Attributes:
        forward: `[3, 3, in, out]`, correlated with the features as every deep learning library does.
        backward: `[3, 3, out, in]`: `forward` turned by 180 degrees, channels swapped.
    """

    forward: Float[Array, "3 3 inputs outputs"]
    backward: Float[Array, "3 3 outputs inputs"]


def freeze_kernel(kernel: Float[Array, "3 3 inputs outputs"]) -> FrozenKernel:
    """Returns `kernel` together with the kernel of its gradient by the features."""
    kernel = jnp.asarray(kernel)
    return FrozenKernel(kernel, jnp.flip(kernel, (0, 1)).swapaxes(2, 3))


def _correlate(features: Features, kernel: Float[Array, "3 3 inputs outputs"]) -> Features:
    return lax.conv_general_dilated(features[None], kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))[
        0
    ]


@jax.custom_vjp
def convolve(features: Features, kernel: FrozenKernel) -> Features:
    """Correlates `features` `[height, width, in]` with `kernel`; returns `[height, width, out]`.

    The gradient by `features` is exact; the gradient by `kernel` is defined as zero, because the network is frozen.
    """
    return _correlate(features, kernel.forward)


def _convolve_forward(features: Features, kernel: FrozenKernel) -> tuple[Features, FrozenKernel]:
    return _correlate(features, kernel.forward), kernel


def _convolve_backward(kernel: FrozenKernel, cotangent: Features) -> tuple[Features, None]:
    return _correlate(cotangent, kernel.backward), None


convolve.defvjp(_convolve_forward, _convolve_backward)
