"""What pictures are made of: against NumPy, and what each parameterization promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle import run_config
from jaxstyle.checks import InputError
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.optimizers import make_optimizer
from jaxstyle.problems import content_reconstruction, dream, style_transfer, texture
from jaxstyle.problems.parameterizations import (
    COLOR_ROOT,
    PARAMETERIZATIONS,
    apply_parameterization,
    make_parameterization,
)
from jaxstyle.problems.problem import reparameterize

from ..conftest import make_wave_picture
from ..toys import make_bowl

KEY = jax.random.key(0)
SIZES = [(24, 32), (17, 23)]


def test_the_command_line_knows_the_same_names():
    assert tuple(PARAMETERIZATIONS) == run_config.PARAMETERIZATIONS


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["pixels", "bounded", "fourier", "preconditioned", "laplacian"])
def test_a_start_is_kept(name: str, size: tuple[int, int]):
    pixels = 10 + 235 * make_wave_picture(*size, 0.3)
    form = make_parameterization(name, *size)
    assert form.keeps_start
    np.testing.assert_allclose(form.decode(form.init(KEY, jnp.asarray(pixels))), pixels, atol=0.02)


@pytest.mark.parametrize("name", ["bounded", "fourier"])
def test_bounds_hold_and_a_start_beyond_them_is_brought_in(name: str):
    form = make_parameterization(name, 16, 16)
    params = form.init(KEY, jnp.asarray(np.linspace(-50, 300, 16 * 16 * 3).reshape(16, 16, 3), jnp.float32))
    far = jax.tree.map(lambda leaf: 1e4 * leaf, params)
    for pixels in (form.decode(params), form.decode(far)):
        assert jnp.all((pixels >= 0) & (pixels <= 255))


@pytest.mark.parametrize("size", SIZES)
def test_fourier_against_numpy(size: tuple[int, int]):
    height, width = size
    rng = np.random.default_rng(0)
    params = rng.normal(0, 20, (height, width // 2 + 1, 3, 2))
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    sizes = 1 / np.maximum(frequencies, 1 / max(size))
    sizes /= np.sqrt(np.mean(sizes**2))
    spectrum = (params[..., 0] + 1j * params[..., 1]) * sizes[:, : width // 2 + 1, None]
    plain = np.fft.irfft2(spectrum, size, axes=(0, 1), norm="ortho")
    colors = COLOR_ROOT / np.max(np.linalg.norm(COLOR_ROOT, axis=0))
    expected = 127.5 * (1 + np.tanh(plain @ colors.T / 127.5))
    decoded = make_parameterization("fourier", *size).decode(jnp.asarray(params, jnp.float32))
    np.testing.assert_allclose(decoded, expected, atol=5e-3)


@pytest.mark.parametrize("size", SIZES)
def test_preconditioned_against_numpy(size: tuple[int, int]):
    params = np.random.default_rng(0).normal(0, 20, (*size, 3))
    frequencies = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1])[None])
    gains = np.maximum(frequencies, 1 / max(size)) ** -0.5
    gains /= np.sqrt(np.mean(gains**2))
    expected = np.fft.ifft2(np.fft.fft2(params, axes=(0, 1)) * gains[..., None], axes=(0, 1)).real
    decoded = make_parameterization("preconditioned", *size).decode(jnp.asarray(params, jnp.float32))
    np.testing.assert_allclose(decoded, expected, atol=1e-3)


def test_laplacian_levels_add_up():
    form = make_parameterization("laplacian", 32, 48)
    params = form.init(KEY, jnp.zeros((32, 48, 3)))
    assert [level.shape for level in params] == [(32, 48, 3), (16, 24, 3), (8, 12, 3)]
    ones = [jnp.full(level.shape, value) for level, value in zip(params, (1.0, 20.0, 300.0), strict=True)]
    np.testing.assert_allclose(form.decode(ones), 321 / 3**0.5, rtol=1e-5)


@pytest.mark.parametrize("name", ["pixels", "bounded", "fourier", "preconditioned", "laplacian"])
def test_steps_of_one_size_change_the_picture_by_about_as_much(name: str):
    form = make_parameterization(name, 64, 64)
    params = form.init(KEY, jnp.full((64, 64, 3), 127.5))
    leaves, structure = jax.tree.flatten(params)
    signs = [jax.random.rademacher(jax.random.key(i), leaf.shape, jnp.float32) for i, leaf in enumerate(leaves)]
    stepped = jax.tree.unflatten(structure, [leaf + sign for leaf, sign in zip(leaves, signs, strict=True)])
    change = form.decode(stepped) - form.decode(params)
    assert 0.5 < float(jnp.sqrt(jnp.mean(change**2))) < 1.5


def test_a_network_paints_the_same_at_every_size():
    small, large = (make_parameterization("network", size, size) for size in (8, 24))
    assert not small.keeps_start
    params = small.init(KEY, jnp.zeros((8, 8, 3)))
    leaves, structure = jax.tree.flatten(params)
    noisy = [leaf + 250 * jax.random.normal(jax.random.key(i), leaf.shape) for i, leaf in enumerate(leaves)]
    params = jax.tree.unflatten(structure, noisy)
    fine, coarse = large.decode(params), small.decode(params)
    assert fine.std() > 5  # a picture, not one color
    np.testing.assert_allclose(fine[1::3, 1::3], coarse, atol=0.05)  # the middle of each cell is the coarse pixel


@pytest.mark.parametrize("name", list(PARAMETERIZATIONS))
def test_each_serves_every_problem_of_pictures(tiny_network: dict, name: str):
    picture = make_wave_picture(16, 16, 0.7)
    problems = [
        style_transfer.make_problem(
            style_transfer.StyleTransferConfig(content_layers={"relu2_1": 1.0}, style_layers={"relu1_1": 1.0}),
            tiny_network,
            picture,
            [picture[::-1]],
        ),
        content_reconstruction.make_problem(
            content_reconstruction.ContentReconstructionConfig({"relu2_1": 1.0}), tiny_network, picture
        ),
        texture.make_problem(
            texture.TextureConfig({"relu1_2": 1.0}, is_tileable=True), tiny_network, picture, height=16, width=32
        ),
        dream.make_problem(dream.DreamConfig(layers={"relu2_1": 1.0}, jitter=0), tiny_network, picture),
    ]
    for problem in problems:
        height, width, _ = problem.init_fn(KEY).shape
        other = apply_parameterization(problem, name, height, width)
        result = minimize(other, make_optimizer("adam"), key=KEY, num_steps=15)
        assert result.best_loss < result.trace.loss[0], problem.name
        assert other.render_fn(result.best_params, other.args).shape == (height, width, 3)


@pytest.mark.parametrize("name", PARAMETERIZATIONS)
def test_the_text_of_a_program_has_no_arrays_of_the_size_of_the_picture(name: str):
    """Such an array is in the text with 8 characters for each number, and is compiled each time."""
    form = make_parameterization(name, 512, 384)
    pixels = jax.ShapeDtypeStruct((512, 384, 3), jnp.float32)
    params = jax.eval_shape(form.init, KEY, pixels)
    most = 120_000 if name in ("laplacian", "network") else 50_000  # their code is long
    for lowered in (jax.jit(form.decode).lower(params), jax.jit(form.init).lower(KEY, pixels)):
        text = lowered.as_text()
        assert len(text) < most
        assert max(len(line) for line in text.splitlines()) < 12_000


def test_reparameterizing_changes_the_unknowns_and_not_the_loss():
    bowl = make_bowl()
    halved = reparameterize(
        bowl, lambda key, start: jax.tree.map(lambda x: x / 2, start), lambda p: jax.tree.map(lambda x: 2 * x, p)
    )
    params = halved.init_fn(KEY)
    np.testing.assert_allclose(params["a"], [0.5, 0.5, 0.5])
    assert halved.loss_fn(params, halved.args, KEY)[0] == bowl.loss_fn(bowl.init_fn(KEY), bowl.args, KEY)[0]
    np.testing.assert_array_equal(halved.render_fn(params, halved.args), bowl.init_fn(KEY)["b"])
    with pytest.raises(ValueError, match="without a projection"):
        reparameterize(make_bowl(project_fn=lambda params: params), lambda key, start: start, lambda params: params)


def test_bad_input():
    with pytest.raises(InputError, match="did you mean 'fourier'"):
        make_parameterization("furier", 8, 8)
