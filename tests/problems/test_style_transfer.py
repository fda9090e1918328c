"""The default objective against stored PyTorch numbers, and what each knob must do."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.checks import InputError
from jaxstyle.config import StyleTransferConfig, blended_content_layers, exponential_style_layers
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.optimizers import make_optimizer
from jaxstyle.problems.style_transfer import initial_pixels, make_problem
from jaxstyle.vgg import convolution
from jaxstyle.vgg.weights import load_network

from ..conftest import make_wave_picture

REFERENCE = json.loads((Path(__file__).parent.parent / "references" / "vgg19_default_objective.json").read_text())
TOLERANCE = 1e-4
CONTENT = make_wave_picture(24, 32, 0.7)
STYLES = [make_wave_picture(20, 28, 2.1), make_wave_picture(32, 18, 4.0)]


def evaluate(problem, pixels) -> tuple[float, dict[str, float]]:
    total, terms = problem.loss_fn(jnp.asarray(pixels), problem.args, None)
    return float(total), {name: float(term) for name, term in terms.items()}


@pytest.mark.parametrize("method", ["direct", "fastest"])
@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_terms_and_gradient_of_the_shipped_network_equal_pytorchs(
    pooling: str, method: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(convolution, "WINOGRAD_PIXELS", 1e9 if method == "direct" else 0)
    x, content, style = (make_wave_picture(*REFERENCE[name]) for name in ("x", "content", "style"))
    problem = make_problem(StyleTransferConfig(pooling=pooling), load_network().params, content, [style])
    value_and_grad = jax.jit(jax.value_and_grad(problem.loss_fn, has_aux=True))
    (total, terms), grad = value_and_grad(x * 255, problem.args, None)
    expected = REFERENCE["losses"][pooling]
    for name in ("content", "style", "tv"):
        np.testing.assert_allclose(terms[name], expected[name], rtol=TOLERANCE)
    np.testing.assert_allclose(total, expected["total"], rtol=TOLERANCE)
    norm = expected["grad_norm_255"]
    np.testing.assert_allclose(np.linalg.norm(grad), norm, rtol=TOLERANCE)
    # The corner's gradient is a hundredth of a typical one, so it is held to the same absolute error.
    typical = norm / np.sqrt(grad.size)
    np.testing.assert_allclose(grad[10, 20], expected["grad_at_10_20"], rtol=TOLERANCE)
    np.testing.assert_allclose(grad[0, 0], expected["grad_at_0_0"], rtol=TOLERANCE, atol=TOLERANCE * typical)


def test_the_loss_is_the_sum_of_its_terms_and_zero_where_it_must_be(tiny_network: dict):
    problem = make_problem(StyleTransferConfig(tv_weight=0.0), tiny_network, CONTENT, [CONTENT])
    total, terms = evaluate(problem, CONTENT * 255)
    assert total == pytest.approx(0, abs=1e-4)
    total, terms = evaluate(problem, STYLES[0][:20, :28].mean() * np.ones((24, 32, 3)))
    assert total == pytest.approx(sum(terms.values()), rel=1e-6)
    assert terms["content"] > 0 < terms["style"]


@pytest.mark.parametrize("weight", ["content_weight", "style_weight", "tv_weight"])
def test_each_weight_scales_its_own_term(tiny_network: dict, weight: str):
    pixels = np.random.default_rng(0).random((24, 32, 3)) * 255
    default = StyleTransferConfig()
    doubled = StyleTransferConfig(**{weight: 2 * getattr(default, weight)})
    _, before = evaluate(make_problem(default, tiny_network, CONTENT, STYLES), pixels)
    _, after = evaluate(make_problem(doubled, tiny_network, CONTENT, STYLES), pixels)
    for term, value in before.items():
        factor = 2 if term == weight.removesuffix("_weight") else 1
        assert after[term] == pytest.approx(factor * value, rel=1e-5)


def test_styles_blend_by_normalized_weights(tiny_network: dict):
    pixels = np.random.default_rng(1).random((24, 32, 3)) * 255
    alone = [
        evaluate(make_problem(StyleTransferConfig(), tiny_network, CONTENT, [style]), pixels)[1]["style"]
        for style in STYLES
    ]
    blended = StyleTransferConfig(style_blend_weights=(30, 10))
    _, terms = evaluate(make_problem(blended, tiny_network, CONTENT, STYLES), pixels)
    assert terms["style"] == pytest.approx(0.75 * alone[0] + 0.25 * alone[1], rel=1e-5)
    _, terms = evaluate(make_problem(StyleTransferConfig(), tiny_network, CONTENT, STYLES), pixels)
    assert terms["style"] == pytest.approx(np.mean(alone), rel=1e-5)


def test_content_layers_blend(tiny_network: dict):
    pixels = np.random.default_rng(2).random((24, 32, 3)) * 255

    def content(blend: float) -> float:
        config = StyleTransferConfig(content_layers=blended_content_layers(blend))
        return evaluate(make_problem(config, tiny_network, CONTENT, STYLES[:1]), pixels)[1]["content"]

    assert content(0.3) == pytest.approx(0.3 * content(1.0) + 0.7 * content(0.0), rel=1e-5)


def test_exponential_style_layers():
    for exponent in (0.2, 1.0, 2.0):
        weights = list(exponential_style_layers(exponent).values())
        assert sum(weights) == pytest.approx(1)
        np.testing.assert_allclose(np.divide(weights[1:], weights[:-1]), exponent)


def test_layers_without_weight_are_not_computed(tiny_network: dict):
    config = StyleTransferConfig(content_layers={"relu2_2": 1.0, "relu5_4": 0.0}, style_layers={"relu1_1": 1.0})
    problem = make_problem(config, tiny_network, CONTENT, STYLES[:1])
    text = str(jax.make_jaxpr(problem.loss_fn)(CONTENT * 255, problem.args, None))
    assert text.count("conv_general_dilated[") == 4


def test_initial_noise_and_blends():
    mean = np.array([123.68, 116.779, 103.939], np.float32)
    start = np.random.default_rng(3).random((200, 200, 3)).astype(np.float32)
    key = jax.random.key(0)
    noise = np.asarray(initial_pixels(key, mean=mean, start=start, noise_blend=1.0))
    np.testing.assert_allclose(noise.mean((0, 1)), mean, atol=0.01)
    np.testing.assert_allclose(noise.std((0, 1)), 0.256, rtol=0.02)
    np.testing.assert_array_equal(initial_pixels(key, mean=mean, start=start, noise_blend=0.0), 255 * start)
    half = initial_pixels(key, mean=mean, start=start, noise_blend=0.5)
    np.testing.assert_allclose(half, 0.5 * noise + 0.5 * 255 * start, rtol=1e-5)


def test_where_a_run_starts(tiny_network: dict):
    key = jax.random.key(0)

    def start(noise_blend: float | None, initial: np.ndarray | None = None) -> np.ndarray:
        config = StyleTransferConfig(noise_blend=noise_blend)
        problem = make_problem(config, tiny_network, CONTENT, STYLES, initial=initial)
        return np.asarray(problem.init_fn(key))

    assert start(None).std((0, 1)).max() < 1  # noise around the mean color
    np.testing.assert_allclose(start(0.0), 255 * CONTENT, rtol=1e-6)
    initial = CONTENT[::-1]
    np.testing.assert_allclose(start(None, initial), 255 * initial, rtol=1e-6)
    assert np.abs(start(0.1, initial) - 255 * initial).max() > 1


def test_optimizing_makes_the_picture_alike_and_the_same_key_gives_the_same_bytes(tiny_network: dict):
    problem = make_problem(StyleTransferConfig(), tiny_network, CONTENT, STYLES)
    runs = [minimize(problem, make_optimizer("adam"), key=jax.random.key(5), num_steps=40) for _ in range(2)]
    assert runs[0].best_loss < 0.2 * runs[0].trace.loss[0]
    pictures = [np.asarray(problem.render_fn(run.best_params, problem.args)) for run in runs]
    assert pictures[0].tobytes() == pictures[1].tobytes()
    other = minimize(problem, make_optimizer("adam"), key=jax.random.key(6), num_steps=40)
    assert np.asarray(other.best_params).tobytes() != np.asarray(runs[0].best_params).tobytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"content_weight": -1}, "content_weight of at least 0, got -1"),
        ({"tv_weight": float("nan")}, "tv_weight of at least 0, got nan"),
        ({"pooling": "mean"}, "max, avg"),
        ({"noise_blend": 1.5}, "between 0 and 1"),
        ({"style_layers": {"relu1_1": -0.5}}, "the weight of relu1_1 in style_layers"),
    ],
)
def test_bad_configurations(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        StyleTransferConfig(**options)


@pytest.mark.parametrize(
    ("options", "pictures", "message"),
    [
        ({"style_blend_weights": (1.0,)}, {}, "2 style_blend_weights, one for each, got 1"),
        ({"style_blend_weights": (0.0, 0.0)}, {}, "a sum above 0"),
        ({"content_layers": {"relu4_9": 1.0}}, {}, "relu4_9"),
        ({}, {"content": CONTENT[:15]}, "the content at least 16x16 pixels, got 32x15"),
        ({}, {"styles": [CONTENT, CONTENT[:, :9]]}, "style 2 at least 16x16 pixels, got 9x24"),
        ({}, {"content": CONTENT[..., 0]}, "shape"),
        ({}, {"initial": CONTENT[1:]}, "an initial picture of shape"),
        ({}, {"styles": []}, "style"),
    ],
)
def test_bad_problems(tiny_network: dict, options: dict, pictures: dict, message: str):
    pictures = {"content": CONTENT, "styles": STYLES, "initial": None, **pictures}
    with pytest.raises(InputError, match=message):
        make_problem(
            StyleTransferConfig(**options),
            tiny_network,
            pictures["content"],
            pictures["styles"],
            initial=pictures["initial"],
        )
