"""What only a GPU can show; skipped, with the reason, where JAX sees none."""

import jax
import numpy as np
import pytest

from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.optimizers import make_optimizer
from jaxstyle.problems.style_transfer import StyleTransferConfig, make_problem
from jaxstyle.vgg.weights import load_network

from .conftest import make_wave_picture

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(jax.default_backend() != "gpu", reason="JAX sees no GPU"),
]


@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_half_precision_descends_as_single_does(name: str):
    network, content, style = load_network().params, make_wave_picture(96, 128, 0.7), make_wave_picture(96, 96, 2.1)
    losses = {}
    for dtype in ("float32", "bfloat16"):
        problem = make_problem(StyleTransferConfig(dtype=dtype), network, content, [style])
        result = minimize(problem, make_optimizer(name), key=jax.random.key(0), num_steps=50)
        losses[dtype] = result.trace.loss
    np.testing.assert_allclose(losses["bfloat16"][0], losses["float32"][0], rtol=0.01)
    np.testing.assert_allclose(losses["bfloat16"].min(), losses["float32"].min(), rtol=0.1)


def test_the_gpu_agrees_with_the_cpu():
    problem = make_problem(
        StyleTransferConfig(), load_network().params, make_wave_picture(64, 96, 0.7), [make_wave_picture(72, 80, 2.1)]
    )
    pixels = make_wave_picture(64, 96, 0.0) * 255
    with jax.default_matmul_precision("highest"):
        (found, _), grad = jax.value_and_grad(problem.loss_fn, has_aux=True)(pixels, problem.args, None)
    # tests/references: PyTorch in float64.
    np.testing.assert_allclose(found, 21900404.095252026, rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(grad), 123145.53497239406, rtol=1e-4)
