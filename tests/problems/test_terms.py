"""A new style loss is one function and one row: with it, single runs, batches and textures work."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.checks import InputError
from jaxstyle.optimize.batch import minimize_batch
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.optimizers import make_optimizer
from jaxstyle.problems import style_transfer, terms, texture
from jaxstyle.types import Features
from jaxstyle.vgg import module as vgg

from ..conftest import make_wave_picture

CONTENT = make_wave_picture(16, 24, 0.7)
STYLES = [make_wave_picture(20, 28, 2.1), make_wave_picture(32, 18, 4.0)]
LAYERS = {"relu1_1": 0.25, "relu2_1": 0.75}


def channel_moments(features: Features) -> dict[str, jax.Array]:
    return {"mean": features.mean((0, 1)), "deviation": features.std((0, 1))}


@pytest.fixture(autouse=True)
def moments(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(terms.STYLE_LOSSES, "moments", terms.Term(channel_moments))


def make_config(**options) -> style_transfer.StyleTransferConfig:
    return style_transfer.StyleTransferConfig(
        content_layers={"relu2_1": 1.0}, style_layers=LAYERS, style_loss="moments", **options
    )


def test_a_new_row_against_numpy(tiny_network: dict):
    def distance(picture: np.ndarray, style: np.ndarray, layer: str) -> float:
        found = (np.asarray(vgg.features(tiny_network, it, (layer,))[layer], float) for it in (picture, style))
        own, wanted = ((it.mean((0, 1)), it.std((0, 1))) for it in found)
        return sum(np.mean((a - b) ** 2) for a, b in zip(own, wanted, strict=True))

    config = make_config(style_weight=7.0, style_blend_weights=(3, 1))
    problem = style_transfer.make_problem(config, tiny_network, CONTENT, STYLES)
    _, found = problem.loss_fn(jnp.asarray(255 * CONTENT[::-1]), problem.args, None)
    expected = [sum(w * distance(CONTENT[::-1], style, layer) for layer, w in LAYERS.items()) for style in STYLES]
    assert list(found) == ["content", "style", "tv"]
    assert float(found["style"]) == pytest.approx(7 * (0.75 * expected[0] + 0.25 * expected[1]), rel=1e-4)

    synthesis = texture.TextureConfig(LAYERS, style_weight=7.0, style_loss="moments")
    problem = texture.make_problem(synthesis, tiny_network, STYLES[0], height=16, width=24)
    _, found = problem.loss_fn(jnp.asarray(255 * CONTENT[::-1]), problem.args, None)
    assert float(found["style"]) == pytest.approx(7 * expected[0], rel=1e-4)


def test_a_batch_of_a_new_row_with_other_weights_equals_single_runs(tiny_network: dict):
    base = style_transfer.make_problem(make_config(), tiny_network, CONTENT, STYLES)
    problems = [
        style_transfer.with_weights(
            base, make_config(style_weight=weight), mean=tiny_network["mean"], start=CONTENT, is_given=False
        )
        for weight in (1.0, 1000.0)
    ]
    options = {"keys": [jax.random.key(0)] * 2, "num_steps": 5}
    batch = minimize_batch(problems, make_optimizer("adam"), **options)
    for problem, found in zip(problems, batch, strict=True):
        alone = minimize(problem, make_optimizer("adam"), key=jax.random.key(0), num_steps=5)
        np.testing.assert_allclose(found.trace.loss, alone.trace.loss, rtol=1e-4)
    assert batch[0].trace.loss[-1] < batch[1].trace.loss[-1]


@pytest.mark.parametrize("style_loss", ["moment", "features", None])
def test_an_unknown_style_loss_is_refused_with_the_names_of_the_table(tiny_network: dict, style_loss: str):
    config, synthesis = style_transfer.StyleTransferConfig(), texture.TextureConfig()
    for each in (config, synthesis):  # the types of what is passed to a config are checked, and None is none
        object.__setattr__(each, "style_loss", style_loss)
    with pytest.raises(InputError, match="style_loss to be one of gram, moments"):
        style_transfer.make_problem(config, tiny_network, CONTENT, STYLES)
    with pytest.raises(InputError, match="style_loss to be one of gram, moments"):
        texture.make_problem(synthesis, tiny_network, CONTENT, height=16, width=16)
