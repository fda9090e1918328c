"""Small networks that are optimized themselves: a picture as a function of position, and regressions like it.

They are Flax (NNX) modules, and `functional` turns each into two pure functions, so that its parameters are an ordinary
pytree like any other unknown. Nothing here is pretrained; the networks that give features are in `jaxstyle.vgg.module`.
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

#: Weights and widths of the coordinate network of Mordvintsev et al. (2018), by their published program (lucid).
CPPN_WIDTHS = (2, 24, 24, 24, 24, 24, 24, 24, 24, 3)
CPPN_BIAS_DEVIATION = 0.1

# The root mean squares of arctan(z) and of arctan(z)^2 for a normal z of deviation 1, rounded as in lucid.
_ARCTAN_SIZE, _ARCTAN_SQUARED_SIZE = 0.67, 0.6


class Functional(NamedTuple):
    """A module as two pure functions.

    Attributes:
        init: `init(key) -> params`: nested dictionaries of arrays, strongly typed.
        apply: `apply(params, *inputs)`: what the module returns, with these parameters in it.
    """

    init: Callable[[Key], dict[str, Any]]
    apply: Callable[..., Any]


def functional(make_module: Callable[[nnx.Rngs], nnx.Module]) -> Functional:
    """Returns a module's pure `init` and `apply`, which can be jitted, differentiated and mapped like any others.

    >>> network = functional(lambda rngs: MLP((2, 8, 3), rngs=rngs))
    >>> network.apply(network.init(jax.random.key(0)), jnp.zeros((5, 2))).shape
    (5, 3)

    Args:
        make_module: Builds the module, drawing from the given `nnx.Rngs`. The module's only state may be parameters
            (`nnx.Param`): a constant array is an input of `apply`, not a part of the module.

    Raises:
        InputError: If the module holds other state, such as dropout's random numbers: it would be lost or hidden.
    """
    # Shapes only: this computes nothing. What is kept of it, the structure of the module, holds no array.
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
        widths: Inputs, units of each hidden layer, outputs. `(2, 64, 3)` has one hidden layer.
        activation: Works along the last axis. It may change that axis's length, as `arctan_pair` does.
        kernel_init: Draws the weights; by default normal, of variance 1 / inputs (LeCun et al. 1998).
        bias_init: Draws the biases.
        last_kernel_init: Draws the last layer's weights, if not as the others.
        rngs: Where all of them draw from.

    Raises:
        InputError: If there are fewer than two widths, or one below 1.
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
    ):
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
        """Returns the last layer's sums."""
        for index in range(self.depth):
            x = getattr(self, f"dense{index}")(x if index == 0 else self.activation(x))
        return x


def arctan_pair(x: Float[Array, "*batch channels"]) -> Float[Array, "*batch twice_channels"]:
    """Returns `[arctan(x) / 0.67, arctan(x)^2 / 0.6]`, joined along the last axis: an odd and an even curve.

    The activation of the coordinate network of Mordvintsev et al. (2018), in their program's biased form. The divisors
    give both halves a root mean square of 1 for normal x of deviation 1.
    """
    x = jnp.arctan(x)
    return jnp.concatenate([x / _ARCTAN_SIZE, jnp.square(x) / _ARCTAN_SQUARED_SIZE], axis=-1)


class CoordinateNetwork(nnx.Module):
    """A picture as a function from position to color (a compositional pattern-producing network, CPPN).

    Mordvintsev, Pezzotti, Schubert and Olah (2018), "Differentiable image parameterizations", with the architecture of
    the program published with it (lucid): eight layers of 24 units, `arctan_pair` between, a sigmoid at the end;
    truncated normal weights of variance 1 / inputs, biases of deviation 0.1, and zeros for the last layer's weights, so
    that it starts from one color near middle gray.

    Deviation: that program paints squares only, its outermost pixels at +-sqrt(3). With `pixel_positions`, pictures
    may have any shape, and the edges of a square's outermost pixels are there (nearly).

    Args:
        widths: Inputs (2 for a position), units of each hidden layer, outputs (3 colors).
        activation: Between the layers.
        rngs: Where the initial weights are drawn from.
    """

    def __init__(self, widths: Sequence[int] = CPPN_WIDTHS, *, activation: Activation = arctan_pair, rngs: nnx.Rngs):
        self.layers = MLP(
            widths,
            activation=activation,
            bias_init=nnx.initializers.normal(CPPN_BIAS_DEVIATION),
            last_kernel_init=nnx.initializers.zeros,
            rngs=rngs,
        )

    def __call__(self, positions: Float[Array, "*batch 2"]) -> Float[Array, "*batch 3"]:
        """Returns the colors, in (0, 1), at `positions` such as those of `pixel_positions`."""
        return nnx.sigmoid(self.layers(positions))


def pixel_positions(height: int, width: int, *, like: tuple[int, int] | None = None) -> Float[Array, "height width 2"]:
    """Returns the positions of a picture's pixels, (row, column), of mean 0 and standard deviation 1.

    The mean is taken from each axis by itself, and both are divided by one deviation, that of rows and columns
    together, `sqrt((H^2 + W^2 - 2) / 24)` pixels: pixels stay square whatever the picture's shape. For a square
    picture this is the same as normalizing each axis, or all numbers at once; the corners are near +-sqrt(3).

    Args:
        height: Pixels from top to bottom.
        width: Pixels from left to right.
        like: `(height, width)` of the picture whose mean and deviation are used, and over which the new pixels are
            spread: what a network has learned of it can be painted at any size. The picture itself, if left out.

    Raises:
        InputError: If a size is below 1.
    """
    rows, columns = (height, width) if like is None else like
    if min(height, width, rows, columns) < 1:
        raise InputError("a size of at least 1 x 1", f"{height} x {width}", "pass positive numbers of pixels")
    deviation = ((rows**2 + columns**2 - 2) / 24) ** 0.5 or 1.0  # a single pixel is at 0, whatever its unit
    axes = [
        # The centers of `new` pixels spread over `old` ones, counted in those, from the middle.
        ((jnp.arange(new) + 0.5) / new - 0.5) * (old / deviation)
        for new, old in ((height, rows), (width, columns))
    ]
    return jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1)


def draw_frequencies(
    key: Key, count: int, deviation: float, *, dimensions: int = 2
) -> Float[Array, "count dimensions"]:
    """Draws the matrix B of `fourier_features`: normal, of the given deviation, in cycles per unit of position."""
    return deviation * jax.random.normal(key, (count, dimensions))


def fourier_features(
    positions: Float[Array, "*batch dimensions"], frequencies: Float[Array, "count dimensions"]
) -> Float[Array, "*batch twice_count"]:
    """Returns `[cos(2 pi B v), sin(2 pi B v)]` for positions v and frequencies B.

    Tancik et al. (2020), "Fourier features let networks learn high frequency functions in low dimensional domains",
    equation 5 with all amplitudes 1. B stays as it was drawn: it is no parameter.
    """
    # In full precision: half precision, which GPU and TPU would take, is off by a tenth of a turn at high frequencies.
    phases = 2 * jnp.pi * jnp.matmul(positions, frequencies.T, precision=lax.Precision.HIGHEST)
    return jnp.concatenate([jnp.cos(phases), jnp.sin(phases)], axis=-1)
