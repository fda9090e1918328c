"""Small networks whose weights are optimized: pictures as functions of position, and regressions like them.

They are Flax (NNX) modules, and `functional` converts each to two pure functions, so that its parameters are an
ordinary pytree. They are not pretrained; the networks that compute features are in `jaxstyle.vgg.module`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from jaxstyle.checks import InputError, check_positive
from jaxstyle.types import Key

Activation = Callable[[jax.Array], jax.Array]
Initializer = jax.nn.initializers.Initializer

_LECUN_NORMAL: Initializer = nnx.initializers.lecun_normal()

#: Layer widths of `CoordinateNetwork` and standard deviation of its initial biases, both from tensorflow/lucid.
CPPN_WIDTHS = (2, 24, 24, 24, 24, 24, 24, 24, 24, 3)
CPPN_BIAS_DEVIATION = 0.1

# The root mean squares of arctan(z) and of arctan(z)^2 for a normal z of deviation 1, rounded as in tensorflow/lucid.
_ARCTAN_SIZE, _ARCTAN_SQUARED_SIZE = 0.67, 0.6


class Functional(NamedTuple):
    """A module as two pure functions.

    Attributes:
        init: Function `init(key) -> params` that returns nested dictionaries of strongly typed arrays.
        apply: Function `apply(params, *inputs)` that returns the output of the module with these parameters.
    """

    init: Callable[[Key], dict[str, Any]]
    apply: Callable[..., Any]


def functional(make_module: Callable[[nnx.Rngs], nnx.Module]) -> Functional:
    """Returns a module's pure functions `init` and `apply`, which can be jitted, differentiated and mapped.

    >>> network = functional(lambda rngs: MLP((2, 8, 3), rngs=rngs))
    >>> network.apply(network.init(jax.random.key(0)), jnp.zeros((5, 2))).shape
    (5, 3)

    Args:
        make_module: Function that builds the module with random numbers from the given `nnx.Rngs`. Its only state may
            be parameters (`nnx.Param`); pass constant arrays as inputs of `apply`.

    Raises:
        InputError: If the module has other state, such as dropout's random numbers, which would be lost or hidden.
    """
    # This evaluates shapes only, and `structure`, which is used later, contains no array.
    shapes = nnx.eval_shape(lambda: make_module(nnx.Rngs(0)))
    structure, _, others = nnx.split(shapes, nnx.Param, ...)
    if names := [".".join(map(str, path)) for path, _ in nnx.to_flat_state(others)]:
        raise InputError("a module with no state but parameters", ", ".join(names), "pass other arrays as inputs")

    def init(key: Key) -> dict[str, Any]:
        return nnx.to_pure_dict(nnx.state(make_module(nnx.Rngs(key)), nnx.Param))

    def apply(params: dict[str, Any], *inputs: Any) -> Any:
        return nnx.merge(structure, params)(*inputs)

    return Functional(init, apply)


class MLP(nnx.Module):
    """Dense layers with an activation between them, and none at the end: `x -> W_n a(... a(W_1 x + b_1) ...) + b_n`.

    Its parameters are `{"dense0": {"kernel": [in, out], "bias": [out]}, "dense1": ...}`.

    Args:
        widths: Numbers of inputs, of units in each hidden layer, and of outputs. `(2, 64, 3)` has one hidden layer.
        activation: Activation between the layers. It may change the length of the last axis, as `arctan_pair` does.
        kernel_init: Initializer of the weights; by default normal, of variance 1 / inputs (LeCun et al. 1998).
        bias_init: Initializer of the biases.
        last_kernel_init: Initializer of the last layer's weights; None is `kernel_init`.
        rngs: Random number generators for all initializers.

    Raises:
        InputError: If `widths` has fewer than two numbers, or one below 1.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        activation: Activation = nnx.relu,
        kernel_init: Initializer = _LECUN_NORMAL,
        bias_init: Initializer = nnx.initializers.zeros,
        last_kernel_init: Initializer | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        if len(widths) < 2:
            raise InputError("the widths of inputs and outputs at least", list(widths), "pass for example (2, 64, 3)")
        for width in widths:
            check_positive("each width of a network", width)
        self.activation = activation
        self.depth = len(widths) - 1
        inputs = widths[0]
        for index, outputs in enumerate(widths[1:]):
            is_last = index == self.depth - 1
            layer_init = last_kernel_init if is_last and last_kernel_init is not None else kernel_init
            layer = nnx.Linear(inputs, outputs, kernel_init=layer_init, bias_init=bias_init, rngs=rngs)
            setattr(self, f"dense{index}", layer)
            inputs = jax.eval_shape(activation, jax.ShapeDtypeStruct((outputs,), jnp.float32)).shape[0]

    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Returns the outputs of the last layer."""
        for index in range(self.depth):
            x = getattr(self, f"dense{index}")(x if index == 0 else self.activation(x))
        return x


def arctan_pair(x: Float[Array, "*batch channels"]) -> Float[Array, "*batch twice_channels"]:
    """Returns `[arctan(x) / 0.67, arctan(x)^2 / 0.6]`, an odd and an even function, joined along the last axis.

    This is the activation of the coordinate network of Mordvintsev et al. (2018), in tensorflow/lucid's biased form.
    The divisors give both halves a root mean square of 1 for normal x of deviation 1.
    """
    x = jnp.arctan(x)
    return jnp.concatenate([x / _ARCTAN_SIZE, jnp.square(x) / _ARCTAN_SQUARED_SIZE], axis=-1)


class CoordinateNetwork(nnx.Module):
    """A picture as a function from position to color (a compositional pattern-producing network, CPPN).

    Mordvintsev, Pezzotti, Schubert and Olah (2018), "Differentiable image parameterizations", with the architecture of
    tensorflow/lucid (https://github.com/tensorflow/lucid): eight layers of 24 units with `arctan_pair` after each, and
    a sigmoid at the end; truncated normal weights of variance 1 / inputs, biases of deviation 0.1, and zeros for the
    last layer's weights, so that the network starts from one color near middle gray.

    Deviation: lucid's pictures are squares, with the centers of the outermost pixels at +-sqrt(3). With
    `pixel_positions`, pictures may have any shape, and the outer edges of a square's pixels are near +-sqrt(3).

    Args:
        widths: Numbers of inputs (2 for a position), of units in each hidden layer, and of outputs (3 colors).
        activation: Activation between the layers.
        rngs: Random number generators for the initial weights.
    """

    def __init__(
        self, widths: Sequence[int] = CPPN_WIDTHS, *, activation: Activation = arctan_pair, rngs: nnx.Rngs
    ) -> None:
        self.layers = MLP(
            widths,
            activation=activation,
            bias_init=nnx.initializers.normal(CPPN_BIAS_DEVIATION),
            last_kernel_init=nnx.initializers.zeros,
            rngs=rngs,
        )

    def __call__(self, positions: Float[Array, "*batch 2"]) -> Float[Array, "*batch 3"]:
        """Returns the colors, in (0, 1), at `positions` such as those that `pixel_positions` returns."""
        return nnx.sigmoid(self.layers(positions))


def pixel_positions(height: int, width: int, *, like: tuple[int, int] | None = None) -> Float[Array, "height width 2"]:
    """Returns the positions (row, column) of a picture's pixels, with mean 0 and standard deviation 1.

    Each axis has mean 0, and both are divided by the same deviation, that of rows and columns together,
    `sqrt((H^2 + W^2 - 2) / 24)` pixels, so that pixels are square for every shape of picture. For a square picture
    this is the same as normalizing each axis, or all numbers at once; the corners are near +-sqrt(3).

    Args:
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.
        like: `(height, width)` of another picture, over whose positions the new pixels are spread, so that a network
            which was trained on one size can be evaluated at another. None is the same size.

    Raises:
        InputError: If a size is below 1.
    """
    rows, columns = (height, width) if like is None else like
    if min(height, width, rows, columns) < 1:
        raise InputError("a size of at least 1 x 1", f"{height} x {width}", "pass positive numbers of pixels")
    deviation = ((rows**2 + columns**2 - 2) / 24) ** 0.5 or 1.0  # a single pixel is at 0 with any divisor
    axes = [
        # The centers of `new` pixels that cover the same interval as `old` ones, relative to its middle.
        ((jnp.arange(new) + 0.5) / new - 0.5) * (old / deviation)
        for new, old in ((height, rows), (width, columns))
    ]
    return jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1)


def draw_frequencies(
    key: Key, count: int, deviation: float, *, dimensions: int = 2
) -> Float[Array, "count dimensions"]:
    """Draws the matrix B of `fourier_features`: normal, with this standard deviation in cycles per unit of position."""
    return deviation * jax.random.normal(key, (count, dimensions))


def fourier_features(
    positions: Float[Array, "*batch dimensions"], frequencies: Float[Array, "count dimensions"]
) -> Float[Array, "*batch twice_count"]:
    """Returns `[cos(2 pi B v), sin(2 pi B v)]` for positions v and frequencies B.

    Tancik et al. (2020), "Fourier features let networks learn high frequency functions in low dimensional domains",
    equation 5 with all amplitudes 1. B is constant, not a parameter.
    """
    # Full precision is needed: in GPUs' and TPUs' default precision, high frequencies are wrong by a tenth of a cycle.
    phases = 2 * jnp.pi * jnp.matmul(positions, frequencies.T, precision=lax.Precision.HIGHEST)
    return jnp.concatenate([jnp.cos(phases), jnp.sin(phases)], axis=-1)
