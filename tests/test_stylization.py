"""Style transfer in one call: what the command line makes by default, byte for byte, and what cannot be used."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxstyle
from jaxstyle.checks import InputError
from jaxstyle.cli import main
from jaxstyle.optimize.configured import choose_memory_size, configured_optimizer
from jaxstyle.optimize.records import Status
from jaxstyle.pictures.image_files import read_picture

PICTURES = np.random.default_rng(0).random((2, 24, 32, 3)).astype(np.float32)
SHORT = replace(jaxstyle.AUTO, iterations=3)
#: Compiles in a quarter of the time; at this rate each step lowers the loss.
QUICK = jaxstyle.Settings(optimizer="adam", options={"learning_rate": 0.3}, iterations=3, initial_noiseblend=0.0)


def test_it_gives_what_the_command_line_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_network: dict, load_tiny_network
):
    monkeypatch.chdir(tmp_path)
    for name, picture in zip(("content.png", "style.png"), PICTURES, strict=True):
        jaxstyle.write_picture(name, picture)
    content, style = read_picture("content.png"), read_picture("style.png")[:, :20]
    jaxstyle.write_picture("style.png", style, overwrite=True)
    done = jaxstyle.stylize(content, [style], network=tiny_network, width=28, settings=SHORT)
    jaxstyle.write_picture("python.png", done.picture)
    flags = "stylize --content content.png --styles style.png --width 28 --iterations 3 --output cli.png --quiet"
    assert main(flags.split()) == 0
    assert Path("python.png").read_bytes() == Path("cli.png").read_bytes()
    assert done.picture.shape == (21, 28, 3)
    assert done.result.status == Status.BUDGET_SPENT
    assert 0 <= done.picture.min() <= done.picture.max() <= 1


def test_it_stops_by_the_rule_of_its_settings(tiny_network: dict):
    assert (jaxstyle.AUTO.stop_delta, jaxstyle.AUTO.stop_patience) == (0.01, 20)
    settings = replace(jaxstyle.AUTO, stop_delta=0.9)
    done = jaxstyle.stylize(PICTURES[0], [PICTURES[1]], network=tiny_network, settings=settings)
    assert done.result.status == Status.CONVERGED
    assert done.result.best_loss < 0.5 * done.result.trace.loss[0]
    assert done.problem.name == "style_transfer/preconditioned"


def test_its_knobs(tiny_network: dict):
    def run(styles=(PICTURES[1],), **options) -> np.ndarray:
        options = {"settings": QUICK, "network": tiny_network, **options}
        return jaxstyle.stylize(PICTURES[0], styles, **options).picture

    plain = run()
    np.testing.assert_array_equal(plain, run(key=jax.random.key(5)))  # it starts from the content: nothing is random
    for other in (
        run(styles=PICTURES, style_scale=0.75),
        run(initial=PICTURES[1, :12, :16]),
        run(settings=replace(QUICK, scales=(24, 32))),
    ):
        assert other.shape == plain.shape
        assert np.abs(other - plain).max() > 1e-4


def test_a_callback_ends_it(tiny_network: dict):
    done = jaxstyle.stylize(
        PICTURES[0], [PICTURES[1]], network=tiny_network, callback=lambda scale, progress: progress.step >= 1
    )
    assert done.result.status == Status.INTERRUPTED


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"content": 255 * PICTURES[0]}, "the content in"),
        ({"styles": PICTURES[1]}, r"pass \[style\]"),
        ({"styles": [PICTURES[1], "a.jpg"]}, "style 2 as an array .*read_picture"),
        ({"settings": "auto"}, "a RunConfig as the settings, got the text 'auto'; pass jaxstyle.AUTO"),
        ({"width": 0}, "sizes of at least 1"),
        ({"style_scale": -1.0}, "style_scale above 0"),
        ({"initial": np.zeros((4, 4), np.float32)}, "height, width, 3"),
        ({"config": jaxstyle.AUTO}, "a StyleTransferConfig as the config, got a RunConfig"),
        ({"network": 5}, "a network's parameters"),
    ],
)
def test_what_cannot_be_used(tiny_network: dict, change: dict, message: str):
    arguments = {"content": PICTURES[0], "styles": [PICTURES[1]], "network": tiny_network} | change
    with pytest.raises(InputError, match=message):
        jaxstyle.stylize(**arguments)


def test_auto_is_no_optimizer_and_says_what_to_call():
    with pytest.raises(InputError, match=r"call jaxstyle\.stylize\(content, styles\)"):
        jaxstyle.make_optimizer("auto")


def test_the_memory_of_lbfgs_shrinks_with_the_picture():
    assert (choose_memory_size(512, 512), choose_memory_size(4096, 4096)) == (20, 4)
    pairs = jax.eval_shape(
        configured_optimizer(jaxstyle.AUTO, 4096, 4096).init, jax.ShapeDtypeStruct((4, 4, 3), "float32")
    )
    assert {leaf.shape[0] for leaf in jax.tree.leaves(pairs) if len(leaf.shape) == 4} == {4}
