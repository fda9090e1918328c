"""Content reconstruction: the formula, and the ladder of layers on the shipped network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.checks import InputError
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.optimizers import make_optimizer
from jaxstyle.pictures.images import psnr
from jaxstyle.problems.content_reconstruction import ContentReconstructionConfig, make_problem
from jaxstyle.vgg import module as vgg
from jaxstyle.vgg.weights import load_network

from ..conftest import make_wave_picture

PICTURE = make_wave_picture(24, 32, 0.7)


def test_the_loss_is_the_relative_error_of_the_features(tiny_network: dict):
    layers = {"relu1_2": 2.0, "relu3_1": 0.5}
    problem = make_problem(ContentReconstructionConfig(layers, tv_weight=3.0), tiny_network, PICTURE)
    other = make_wave_picture(24, 32, 1.9)
    loss, terms = problem.loss_fn(jnp.asarray(255 * other), problem.args, None)
    found, targets = (
        jax.tree.map(np.asarray, vgg.features(tiny_network, picture, tuple(layers))) for picture in (other, PICTURE)
    )
    content = sum(
        weight * np.sum((found[name] - targets[name]) ** 2) / np.sum(targets[name] ** 2)
        for name, weight in layers.items()
    )
    tv = 3 * sum(np.mean(np.diff(255 * other, axis=axis) ** 2) for axis in (0, 1))
    assert float(terms["content"]) == pytest.approx(content, rel=1e-4)
    assert float(terms["tv"]) == pytest.approx(tv, rel=1e-4)
    assert float(loss) == pytest.approx(content + tv, rel=1e-4)
    assert float(problem.loss_fn(jnp.asarray(255 * PICTURE), problem.args, None)[1]["content"]) < 1e-9


def test_it_starts_from_white_noise(tiny_network: dict):
    problem = make_problem(ContentReconstructionConfig(noise_deviation=20.0), tiny_network, PICTURE)
    start = np.asarray(problem.init_fn(jax.random.key(0)))
    np.testing.assert_allclose(start.mean((0, 1)), tiny_network["mean"], atol=3)
    assert start.std(axis=(0, 1)) == pytest.approx(20, rel=0.1)


def test_the_first_layers_keep_nearly_all_and_each_keeps_less():
    """Mahendran and Vedaldi (2015): reconstructions degrade with depth."""
    network, picture = load_network().params, make_wave_picture(32, 32, 0.7)
    ratios = []
    for layer in ("relu1_1", "relu2_1", "relu3_1"):
        problem = make_problem(ContentReconstructionConfig({layer: 1.0}), network, picture)
        result = minimize(problem, make_optimizer("lbfgs"), key=jax.random.key(0), num_steps=60)
        ratios.append(float(psnr(np.clip(problem.render_fn(result.best_params, problem.args), 0, 1), picture)))
    assert ratios[0] > 30
    assert ratios == sorted(ratios, reverse=True)


def test_bad_input(tiny_network: dict):
    with pytest.raises(InputError, match="relu9_1"):
        make_problem(ContentReconstructionConfig({"relu9_1": 1.0}), tiny_network, PICTURE)
    with pytest.raises(InputError, match="at least 16x16"):
        make_problem(ContentReconstructionConfig({"relu5_1": 1.0}), tiny_network, PICTURE[:12])
    with pytest.raises(InputError, match="sum above 0"):
        ContentReconstructionConfig({"relu1_1": 0.0})
