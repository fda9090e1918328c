"""Texture synthesis: the formula, sizes, and tiles without a seam."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.checks import InputError
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.optimizers import make_optimizer
from jaxstyle.problems.texture import TextureConfig, make_problem, seam_ratio
from jaxstyle.vgg import module as vgg

from ..conftest import make_wave_picture

SOURCE = make_wave_picture(24, 32, 0.7)


def test_the_loss_against_numpy(tiny_network: dict):
    layers = {"relu1_1": 0.25, "relu2_2": 0.75}
    config = TextureConfig(layers, style_weight=10.0, tv_weight=2.0)
    problem = make_problem(config, tiny_network, SOURCE, height=20, width=16)
    picture = make_wave_picture(20, 16, 1.9)
    loss, terms = problem.loss_fn(jnp.asarray(255 * picture), problem.args, None)
    grams = []
    for image in (picture, SOURCE):
        found = vgg.features(tiny_network, image, tuple(layers))
        rows = {name: np.asarray(value, np.float64).reshape(-1, value.shape[-1]) for name, value in found.items()}
        grams.append({name: row.T @ row / row.size for name, row in rows.items()})
    style = 10 * sum(weight * np.mean((grams[0][name] - grams[1][name]) ** 2) for name, weight in layers.items())
    tv = 2 * sum(np.mean(np.diff(255 * picture, axis=axis) ** 2) for axis in (0, 1))
    assert float(terms["style"]) == pytest.approx(style, rel=1e-4)
    assert float(loss) == pytest.approx(style + tv, rel=1e-4)


def test_a_picture_has_its_own_texture_and_a_longer_one_nearly(tiny_network: dict):
    problem = make_problem(TextureConfig(), tiny_network, SOURCE, height=24, width=32)
    assert float(problem.loss_fn(jnp.asarray(255 * SOURCE), problem.args, None)[0]) < 1e-3
    start = float(problem.loss_fn(problem.init_fn(jax.random.key(0)), problem.args, None)[0])
    twice = make_problem(TextureConfig(), tiny_network, SOURCE, height=24, width=64)
    doubled = np.concatenate([SOURCE, SOURCE[:, ::-1]], axis=1)
    assert float(twice.loss_fn(jnp.asarray(255 * doubled), twice.args, None)[0]) < 0.1 * start


def test_a_tile_has_no_place_for_a_seam(tiny_network: dict):
    """Loss and gradient of a rolled tile are those of the tile: no border is anywhere."""
    problem = make_problem(TextureConfig(is_tileable=True, tv_weight=1.0), tiny_network, SOURCE, height=32, width=48)
    value_and_grad = jax.jit(jax.value_and_grad(lambda pixels: problem.loss_fn(pixels, problem.args, None)[0]))
    pixels = 255 * make_wave_picture(32, 48, 1.3)
    loss, grad = value_and_grad(pixels)
    for shift in ((16, 0), (0, 32), (16, 16)):
        rolled_loss, rolled_grad = value_and_grad(np.roll(pixels, shift, (0, 1)))
        np.testing.assert_allclose(rolled_loss, loss, rtol=1e-5)
        expected = np.roll(grad, shift, (0, 1))
        np.testing.assert_allclose(rolled_grad, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_seams_are_no_stronger_than_the_inside(tiny_network: dict):
    """Over several seeds, the mean difference across the seam is that between neighbors elsewhere."""
    ratios = {}
    for is_tileable in (True, False):
        config = TextureConfig(is_tileable=is_tileable, layers={"relu1_1": 0.5, "relu2_1": 0.5}, tv_weight=0.3)
        problem = make_problem(config, tiny_network, SOURCE, height=32, width=32)
        found = []
        for seed in range(4):
            result = minimize(problem, make_optimizer("adam"), key=jax.random.key(seed), num_steps=60)
            found.append(seam_ratio(problem.render_fn(result.best_params, problem.args)))
        ratios[is_tileable] = np.mean(found)
    assert ratios[True] == pytest.approx(1, abs=0.15)
    assert ratios[False] > 1.25


def test_seam_ratio_by_hand():
    ramp = np.broadcast_to(np.linspace(0, 1, 11)[:, None, None], (11, 4, 3))
    assert seam_ratio(ramp) == pytest.approx((10.0, 0.0))


def test_bad_input(tiny_network: dict):
    with pytest.raises(InputError, match=r"sides that 16 divides, got 40x30; make it 32x32|make it 48x32"):
        make_problem(TextureConfig(is_tileable=True), tiny_network, SOURCE, height=30, width=40)
    with pytest.raises(InputError, match="a texture at least 16x16 pixels, got 64x8"):
        make_problem(TextureConfig(), tiny_network, SOURCE, height=8, width=64)
    with pytest.raises(InputError, match="the source at least 16x16"):
        make_problem(TextureConfig(), tiny_network, SOURCE[:12], height=32, width=32)
