"""The programs that are timed, each in a process of its own that answers questions (`benchmarks.processes`).

`python -m benchmarks.speed.workers PROGRAM SIZE` prints a JSON line when it is ready; then each line `N` on its input
is answered by the seconds that N evaluations took. Between questions it sleeps, so that programs can take turns.
"""

import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.processes import serve
from benchmarks.speed.pictures import make_pictures
from jaxstyle.vgg.layers import Dtype, MemoryMode

#: Evaluates a number of times.
Evaluate = Callable[[int], None]


def make_jaxstyle_problem(size: int, dtype: Dtype = "float32", memory: MemoryMode = "normal") -> Any:
    """Returns the default objective as jaxstyle computes it."""
    from jaxstyle.problems.style_transfer import StyleTransferConfig, make_problem
    from jaxstyle.vgg.weights import load_network

    _, content, style = make_pictures(size)
    config = StyleTransferConfig(dtype=dtype, memory=memory)
    return make_problem(config, load_network().params, content, [style])


def jaxstyle_gradient(size: int, dtype: Dtype = "float32", memory: MemoryMode = "normal") -> Evaluate:
    """Value and gradient inside a compiled loop, where memory is reused as it is in a run."""
    problem = make_jaxstyle_problem(size, dtype, memory)
    return _loop_of_gradients(problem.loss_fn, problem.args, size)


def jaxstyle_tf32(size: int) -> Evaluate:
    """The float32 program with TF32 products, on a GPU; elsewhere it is the ordinary one."""
    import jax

    with jax.default_matmul_precision("tensorfloat32"):
        return jaxstyle_gradient(size)


def jaxstyle_top_level(size: int) -> Evaluate:
    """Value and gradient, called from Python each time."""
    import jax

    problem = make_jaxstyle_problem(size)
    pixels = jax.numpy.asarray(make_pictures(size)[0]) * 255
    gradient = jax.jit(jax.value_and_grad(problem.loss_fn, has_aux=True))
    gradient = gradient.lower(pixels, problem.args, None).compile()

    def run(count: int) -> None:
        for _ in range(count):
            jax.block_until_ready(gradient(pixels, problem.args, None))

    return run


def jaxstyle_iteration(size: int, dtype: Dtype = "float32", memory: MemoryMode = "normal") -> Evaluate:
    """Whole iterations of Adam, as `minimize` runs them."""
    import jax
    import numpy as np

    from jaxstyle.optimize.loop import make_loop, run_chunk
    from jaxstyle.optimize.optimizers import make_optimizer
    from jaxstyle.optimize.records import StopRule

    problem = make_jaxstyle_problem(size, dtype, memory)
    loop = make_loop(problem, make_optimizer("adam"))
    state = loop.init(problem.init_fn(jax.random.key(0)), jax.random.key(1))
    stop = StopRule(np.float32(0), np.int32(0))  # type: ignore[arg-type]
    program = run_chunk.lower(loop.step, state, problem.args, stop, np.int32(1), np.bool_(False)).compile()
    states = [state]

    def run(count: int) -> None:
        states[0], _, done = program(states[0], problem.args, stop, np.int32(count), np.bool_(False))
        assert int(done) == count

    return run


def plain_jax(size: int) -> Evaluate:
    """The same objective in plain JAX (`make_plain_objective`), in a loop."""
    return _loop_of_gradients(*make_plain_objective(size), size)


def make_plain_objective(size: int) -> tuple[Callable, Any]:
    """Returns the default objective with lax convolutions, autodiff and `reduce_window`, and its arguments."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    from jaxstyle.vgg.weights import load_network

    network = jax.tree.map(jnp.asarray, load_network().params)
    names = [name for name in network if name.startswith("conv") and name <= "conv5_1"]

    def features(network: dict, pixels: jax.Array) -> dict[str, jax.Array]:
        hidden, found = (pixels - network["mean"])[None], {}
        for name in names:
            if name.endswith("_1") and name != "conv1_1":
                hidden = lax.reduce_window(hidden, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME")
            hidden = lax.conv_general_dilated(
                hidden, network[name]["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            hidden = jax.nn.relu(hidden + network[name]["bias"])
            found[name] = hidden[0]
        return found

    def gram(value: jax.Array) -> jax.Array:
        matrix = value.reshape(-1, value.shape[-1])
        return matrix.T @ matrix / matrix.size

    style_layers = [f"conv{block}_1" for block in range(1, 6)]

    def loss(pixels: jax.Array, args: dict, key: None) -> tuple[jax.Array, dict]:
        found = features(args["network"], pixels)
        content = jnp.mean((found["conv4_2"] - args["content"]) ** 2)
        style = sum(jnp.mean((gram(found[name]) - args["styles"][name]) ** 2) for name in style_layers) / 5
        tv = jnp.mean((pixels[1:] - pixels[:-1]) ** 2) + jnp.mean((pixels[:, 1:] - pixels[:, :-1]) ** 2)
        return 5 * content + 500 * style + 100 * tv, {}

    _, content, style = make_pictures(size)
    found = jax.jit(features)(network, jnp.asarray(style) * 255)
    args = {
        "network": network,
        "content": jax.jit(features)(network, jnp.asarray(content) * 255)["conv4_2"],
        "styles": {name: gram(found[name]) for name in style_layers},
    }
    return loss, args


def _loop_of_gradients(loss: Callable, args: Any, size: int) -> Evaluate:
    """Returns what evaluates `loss` and its gradient a number of times inside one compiled loop."""
    import jax
    import numpy as np
    from jax import lax

    value_and_grad = jax.value_and_grad(loss, has_aux=True)

    def chunk(pixels: jax.Array, args: Any, count: jax.Array) -> tuple[jax.Array, jax.Array]:
        def body(_: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            pixels, total = carry
            (value, _), grad = value_and_grad(pixels, args, None)
            # Depends on the gradient, so that nothing is left out, and hardly moves the picture.
            return pixels - 1e-12 * grad, total + value

        return lax.fori_loop(0, count, body, (pixels, np.float32(0)))

    pixels = jax.numpy.asarray(make_pictures(size)[0]) * 255
    program = jax.jit(chunk).lower(pixels, args, np.int32(1)).compile()

    def run(count: int) -> None:
        jax.block_until_ready(program(pixels, args, np.int32(count)))

    return run


def torch_program(name: str, size: int) -> Evaluate:
    """The objective in PyTorch, in the layout and with or without Adam's steps, as in the name."""
    from benchmarks.speed.torch_peer import make_run

    return make_run(size, channels_last="channels_last" in name, steps="iteration" in name)


PROGRAMS: dict[str, Callable[[int], Evaluate]] = {
    "jaxstyle": jaxstyle_gradient,
    "jaxstyle bfloat16": lambda size: jaxstyle_gradient(size, "bfloat16"),
    "jaxstyle TF32": jaxstyle_tf32,
    "jaxstyle low memory": lambda size: jaxstyle_gradient(size, memory="low"),
    "jaxstyle top level": jaxstyle_top_level,
    "jaxstyle iteration": jaxstyle_iteration,
    "jaxstyle bfloat16 iteration": lambda size: jaxstyle_iteration(size, "bfloat16"),
    "plain JAX": plain_jax,
    **{
        name: partial(torch_program, name)
        for name in ("PyTorch NCHW", "PyTorch channels_last", "PyTorch channels_last iteration")
    },
}


def prepare(program: str, size: int) -> tuple[dict[str, float], Callable[[int], dict[str, float]]]:
    """Returns how long a program took to get ready, and the function that times a number of evaluations."""
    clock = time.perf_counter()
    evaluate = PROGRAMS[program](size)
    ready = time.perf_counter() - clock
    clock = time.perf_counter()
    evaluate(1)
    first = time.perf_counter() - clock

    def answer(count: int) -> dict[str, float]:
        clock = time.perf_counter()
        evaluate(count)
        seconds = (time.perf_counter() - clock) / count
        return {"seconds": seconds, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}

    return {"ready_seconds": ready, "first_seconds": first}, answer


if __name__ == "__main__":
    serve(partial(prepare, sys.argv[1], int(sys.argv[2])))
