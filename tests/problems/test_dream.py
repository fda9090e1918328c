"""Dreams: their objective against NumPy and brute force, what each knob does, and that activations grow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxstyle.checks import InputError
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.optimizers import make_optimizer
from jaxstyle.optimize.programs import ProgramCache
from jaxstyle.optimize.pyramid import minimize_pyramid
from jaxstyle.problems import statistics
from jaxstyle.problems.dream import (
    DreamConfig,
    check_channel,
    choose_channels,
    count_channels,
    make_problem,
    strongest_channels,
    zoom_in,
)
from jaxstyle.problems.parameterizations import apply_parameterization
from jaxstyle.vgg import module as vgg

from ..conftest import make_wave_picture

PICTURE = make_wave_picture(20, 24, 0.7)
OTHER = make_wave_picture(20, 24, 2.1)
KEY = jax.random.key(0)


def still(**options) -> DreamConfig:
    """A dream whose loss is the same whenever it is asked for, from the picture itself."""
    return DreamConfig(**{"layers": {"relu2_1": 1.0}, "jitter": 0, "headroom": 0.0, **options})


def evaluate(problem, pixels, key=None) -> tuple[float, dict[str, float]]:
    total, terms = problem.loss_fn(jnp.asarray(pixels), problem.args, key)
    return float(total), {name: float(term) for name, term in terms.items()}


def see(network: dict, picture: np.ndarray, layer: str) -> np.ndarray:
    return np.asarray(vgg.features(network, picture, [layer])[layer], np.float64)


def root_mean_square(array: np.ndarray) -> float:
    return np.sqrt(np.mean(array**2))


def test_whole_layers_are_multiples_of_their_mean_squares_at_the_start(tiny_network: dict):
    layers = {"conv1_2": 0.5, "relu2_1": 2.0, "pool2": 1.0}
    problem = make_problem(still(layers=layers), tiny_network, PICTURE)
    total, terms = evaluate(problem, 255 * PICTURE)
    assert terms == pytest.approx({"conv1_2": -0.5, "relu2_1": -2.0, "pool2": -1.0, "tv": 0.0}, rel=1e-4)
    assert total == pytest.approx(-3.5, rel=1e-4)
    _, terms = evaluate(problem, 255 * OTHER)
    for layer, weight in layers.items():
        squares = [np.mean(see(tiny_network, picture, layer) ** 2) for picture in (OTHER, PICTURE)]
        assert terms[layer] == pytest.approx(-weight * squares[0] / squares[1], rel=1e-4)


@pytest.mark.parametrize("layer", ["relu2_1", "conv2_1", "pool1"])
def test_channels_are_means_in_units_of_the_layers_size_at_the_start(tiny_network: dict, layer: str):
    problem = make_problem(still(layers={layer: 1.0}, channels=(1, 3)), tiny_network, PICTURE)
    _, terms = evaluate(problem, 255 * OTHER)
    found, size = see(tiny_network, OTHER, layer), root_mean_square(see(tiny_network, PICTURE, layer))
    if layer == "relu2_1":  # a little of what is negative counts
        sums = see(tiny_network, OTHER, "conv2_1")
        found = np.where(sums > 0, sums, 0.01 * sums)
    assert terms[layer] == pytest.approx(-found[..., [1, 3]].mean() / size, rel=1e-4)


def test_a_silent_channel_has_a_gradient(tiny_network: dict):
    silent = {**tiny_network, "conv2_1": {**tiny_network["conv2_1"], "bias": np.full(6, -1e4, np.float32)}}
    problem = make_problem(still(channels=(1,)), silent, PICTURE)
    gradient = jax.grad(lambda pixels: problem.loss_fn(pixels, problem.args, KEY)[0])(jnp.asarray(255 * PICTURE))
    assert jnp.abs(gradient).max() > 0
    assert not see(silent, PICTURE, "relu2_1").any()


def test_a_guide_is_followed_by_the_best_dot_product(tiny_network: dict):
    guide = make_wave_picture(10, 14, 4.0)
    layers = {"relu1_1": 1.0, "relu2_1": 0.5}
    problem = make_problem(still(layers=layers), tiny_network, PICTURE, guide=guide)
    total, terms = evaluate(problem, 255 * OTHER)
    for layer, weight in layers.items():
        found, start, wanted = (see(tiny_network, picture, layer) for picture in (OTHER, PICTURE, guide))
        products = found.reshape(-1, found.shape[-1]) @ wanted.reshape(-1, found.shape[-1]).T
        expected = products.max(axis=1).mean() / found.shape[-1] / root_mean_square(start) / root_mean_square(wanted)
        assert terms[layer] == pytest.approx(-weight * expected, rel=1e-4)
    assert total == pytest.approx(sum(terms.values()), rel=1e-5)


def test_a_large_guide_is_thinned_to_a_grid(tiny_network: dict, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(statistics, "MOST_POSITIONS", 60)
    problem = make_problem(still(layers={"relu1_1": 1.0}), tiny_network, PICTURE, guide=OTHER)
    # 20x24 positions: every second one would be 10x12, every third one is 7x8.
    np.testing.assert_allclose(
        problem.args["targets"]["relu1_1"]["relu1_1"],
        see(tiny_network, OTHER, "relu1_1")[::3, ::3].reshape(56, -1),
        rtol=1e-5,
    )


def test_total_variation_and_headroom(tiny_network: dict):
    problem = make_problem(still(tv_weight=0.25, headroom=0.2), tiny_network, PICTURE)
    start = np.asarray(problem.init_fn(KEY), np.float64)
    np.testing.assert_allclose(start, 127.5 + 0.8 * (255 * PICTURE - 127.5), rtol=1e-5)
    total, terms = evaluate(problem, start)
    variation = np.mean(np.diff(start, axis=0) ** 2) + np.mean(np.diff(start, axis=1) ** 2)
    assert terms["tv"] == pytest.approx(0.25 * variation, rel=1e-4)
    assert total == pytest.approx(-1 + 0.25 * variation, rel=1e-4)  # what it is at the start is what counts as 1


def test_jitter_rolls_by_every_number_of_pixels_up_to_its_own(tiny_network: dict):
    problem = make_problem(still(jitter=1, tv_weight=0.1), tiny_network, PICTURE)
    unmoved = make_problem(still(), tiny_network, PICTURE)
    rolled = {
        shifts: evaluate(unmoved, 255 * np.roll(PICTURE, shifts, axis=(0, 1)))[1]["relu2_1"]
        for shifts in np.ndindex(3, 3)
    }
    expected = sorted(evaluate(unmoved, 255 * np.roll(PICTURE, (a - 1, b - 1), axis=(0, 1)))[0] for a, b in rolled)
    loss = jax.jit(lambda key: problem.loss_fn(255 * jnp.asarray(PICTURE), problem.args, key)[1])
    terms = [loss(jax.random.key(seed)) for seed in range(80)]
    found = sorted({round(float(term["relu2_1"]), 5) for term in terms})
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert len({float(term["tv"]) for term in terms}) == 1  # the picture's own borders stay where they are
    assert problem.is_stochastic
    assert not unmoved.is_stochastic
    assert not problem.is_bounded_below


@pytest.mark.parametrize("kind", ["layer", "channels", "guide"])
def test_gradients(tiny_network: dict, kind: str, float64):
    network = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), tiny_network)
    config = still(channels=(2,) if kind == "channels" else (), pooling="avg")
    problem = make_problem(config, network, PICTURE, guide=OTHER if kind == "guide" else None)
    problem.args["network"] = vgg.freeze(network, layers=["relu2_1"])
    pixels = jnp.asarray(255 * OTHER, jnp.float64)
    loss = jax.jit(lambda pixels: problem.loss_fn(pixels, problem.args, KEY)[0])
    check_grads(loss, (pixels,), 1, modes=["rev"], rtol=1e-3)


@pytest.mark.parametrize("parameterization", ["bounded", "fourier"])
def test_activations_grow_within_bounds(tiny_network: dict, parameterization: str):
    base = make_problem(DreamConfig(layers={"relu2_1": 1.0}, jitter=2), tiny_network, PICTURE)
    problem = apply_parameterization(base, parameterization, 20, 24)
    adam, programs = make_optimizer("adam"), ProgramCache()
    runs = [minimize(problem, adam, key=jax.random.key(seed), num_steps=25, programs=programs) for seed in (1, 1, 2)]
    assert runs[0].trace.loss[0] == pytest.approx(-1, abs=0.1)
    assert runs[0].trace.loss[-1] < -2
    pictures = [np.asarray(problem.render_fn(run.params, problem.args)) for run in runs]
    assert pictures[0].min() >= 0
    assert pictures[0].max() <= 1
    assert pictures[0].tobytes() == pictures[1].tobytes() != pictures[2].tobytes()


def test_exciting_a_channel_excites_that_channel(tiny_network: dict):
    problem = apply_parameterization(make_problem(still(channels=[0]), tiny_network, PICTURE), "bounded", 20, 24)
    adam, programs, means = make_optimizer("adam"), ProgramCache(), []
    for channel in range(6):
        run = minimize(choose_channels(problem, [channel]), adam, key=KEY, num_steps=25, programs=programs)
        picture = np.asarray(problem.render_fn(run.params, problem.args))
        means.append(see(tiny_network, picture, "relu2_1").mean((0, 1)))
    np.testing.assert_array_equal(np.argmax(means, axis=0), np.arange(6))


def test_a_guided_dream_comes_nearer_to_its_guide(tiny_network: dict):
    problem = make_problem(still(), tiny_network, PICTURE, guide=OTHER)
    problem = apply_parameterization(problem, "bounded", 20, 24)
    run = minimize(problem, make_optimizer("adam"), key=KEY, num_steps=25)
    assert run.best_loss < run.trace.loss[0] - 0.5


def test_line_searches_take_a_dream_that_holds_still(tiny_network: dict):
    problem = apply_parameterization(make_problem(still(), tiny_network, PICTURE), "bounded", 20, 24)
    run = minimize(problem, make_optimizer("lbfgs"), key=KEY, num_steps=4)
    assert run.best_loss < -2
    assert not run.status.has_failed


def test_one_program_serves_all_channels(tiny_network: dict):
    first, fifth = (make_problem(still(channels=[channel]), tiny_network, PICTURE) for channel in (0, 5))
    chosen = choose_channels(first, [5])
    for found, expected in zip(jax.tree.leaves(chosen.args), jax.tree.leaves(fifth.args), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert chosen.loss_fn is first.loss_fn
    with pytest.raises(InputError, match="between 0 and 5, got 6; relu2_1 has 6 channels"):
        choose_channels(first, [6])
    with pytest.raises(InputError, match="a dream of channels"):
        choose_channels(make_problem(still(), tiny_network, PICTURE), [0])


def test_details_come_in_again_at_each_octave(tiny_network: dict):
    """Of a picture of fine detail nothing is left at half its size; all of it is there again at the end."""
    rows, columns = np.indices((16, 16))
    checkers = np.repeat(((rows + columns) % 2)[..., None], 3, axis=2).astype(np.float32)

    def make(height: int, width: int):
        picture = checkers if width == 16 else np.full((height, width, 3), 0.5, np.float32)
        return make_problem(still(layers={"relu1_1": 1.0}, headroom=0.5), tiny_network, picture)

    optimizer = make_optimizer("adam", learning_rate=0.5)
    sizes = [(8, 8), (16, 16)]
    results = minimize_pyramid(make, optimizer, sizes=sizes, num_steps=[2, 2], key=KEY, carry="change")
    np.testing.assert_allclose(results[-1].picture, 0.5 + 0.5 * (checkers - 0.5), atol=4 / 255)


def test_long_runs_are_worth_winograd(tiny_network: dict, monkeypatch: pytest.MonkeyPatch):
    asked, freeze = [], vgg.freeze

    def spy(*args, pixels: int | None = None, **options) -> dict:
        asked.append(pixels)
        return freeze(*args, **options)

    monkeypatch.setattr(vgg, "freeze", spy)
    for num_steps in (100, 10**6):
        make_problem(still(), tiny_network, PICTURE, num_steps=num_steps)
    assert [pixels for pixels in asked if pixels is not None] == [0, 20 * 24]


def test_a_layer_without_activation_gives_no_infinity(tiny_network: dict):
    silent = {name: value for name, value in tiny_network.items() if name == "mean" or name.startswith("conv1_1")}
    kernel = silent["conv1_1"]["kernel"]
    silent["conv1_1"] = {"kernel": 0 * kernel, "bias": np.full(kernel.shape[-1], -1, np.float32)}
    problem = make_problem(still(layers={"relu1_1": 1.0}), silent, PICTURE)
    assert evaluate(problem, 255 * PICTURE)[0] == 0


def test_channels_of_layers(tiny_network: dict):
    assert [count_channels(tiny_network, layer) for layer in ("conv1_1", "relu2_2", "pool2", "relu5_4")] == [4, 6, 6, 8]
    assert count_channels(vgg.freeze(tiny_network, layers=["relu2_1"]), "relu2_1") == 6
    assert check_channel(tiny_network, "relu1_1", 3) == 3
    for channel in (-1, 4):
        with pytest.raises(InputError, match=f"got {channel}; relu1_1 has 4 channels, counted from 0"):
            check_channel(tiny_network, "relu1_1", channel)
    features = np.random.default_rng(0).normal(size=(5, 4, 6)).astype(np.float32)
    expected = sorted(range(6), key=lambda channel: -features[..., channel].mean())[:4]
    assert strongest_channels(jnp.asarray(features), 4) == expected


def test_zoom_enlarges_the_middle():
    rows, columns = np.indices((21, 31))
    ramp = np.repeat(((3 * rows + 2 * columns) / 200)[..., None], 3, axis=2)
    inside = (slice(4, -4), slice(4, -4))
    zoomed = zoom_in(ramp, 2.0)
    np.testing.assert_allclose(zoomed[10, 15], ramp[10, 15], atol=1e-6)
    np.testing.assert_allclose(zoomed[inside], ((ramp + ramp[10, 15]) / 2)[inside], atol=2e-3)
    np.testing.assert_allclose(zoom_in(zoomed, 0.5)[8:-8, 11:-11], ramp[8:-8, 11:-11], atol=5e-3)


def test_zoom_turns_counterclockwise():
    picture = np.random.default_rng(1).random((9, 9, 3)).astype(np.float32)
    np.testing.assert_allclose(zoom_in(picture, 1.0, degrees=90), np.rot90(picture), atol=1e-5)
    np.testing.assert_allclose(zoom_in(picture, 1.0, degrees=-180), picture[::-1, ::-1], atol=1e-5)
    with pytest.raises(InputError, match="a zoom factor above 0"):
        zoom_in(picture, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": {}}, "weights of layers with a sum above 0"),
        ({"layers": {"relu1_1": -1.0}}, "weights of layers"),
        ({"layers": {"relu1_1": 1.0, "relu2_1": 1.0}, "channels": [0]}, "one layer with channels, got 2"),
        ({"channels": [1, 1]}, "channels that differ, got 1 1"),
        ({"jitter": -1}, "jitter between 0"),
        ({"jitter": 1.5}, "whole pixels"),
        ({"tv_weight": float("nan")}, "tv_weight"),
        ({"headroom": 1.5}, "headroom between 0 and 1"),
        ({"pooling": "mean"}, "max, avg"),
        ({"dtype": "float16"}, "bfloat16"),
        ({"memory": "tiny"}, "normal, low"),
    ],
)
def test_bad_configurations(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        still(**options)


@pytest.mark.parametrize(
    ("options", "pictures", "message"),
    [
        ({"layers": {"relu9_1": 1.0}}, {}, "relu9_1"),
        ({"channels": [6]}, {}, "relu2_1 has 6 channels"),
        ({"channels": [0]}, {"guide": OTHER}, "channels or a guide, got both"),
        ({}, {"picture": PICTURE[..., 0]}, r"the picture \[height, width, 3\], got"),
        ({"layers": {"relu5_1": 1.0}}, {"picture": PICTURE[:15]}, "the picture at least 16x16 pixels, got 24x15"),
        ({"layers": {"relu5_1": 1.0}}, {"guide": OTHER[:, :9]}, "the guide at least 16x16 pixels, got 9x20"),
    ],
)
def test_bad_problems(tiny_network: dict, options: dict, pictures: dict, message: str):
    with pytest.raises(InputError, match=message):
        make_problem(still(**options), tiny_network, **{"picture": PICTURE, **pictures})
