"""What Python callers may pass: whatever is no picture, network or list of layers is refused, in words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image

import jaxstyle
from jaxstyle.argument_checks import MOST_OUTSIDE, check_picture
from jaxstyle.checks import InputError
from jaxstyle.pictures import animation_files, images
from jaxstyle.problems import content_reconstruction, dream, losses, painter, style_transfer, texture
from jaxstyle.problems.pictures import find_features
from jaxstyle.vgg import module as vgg
from jaxstyle.vgg.layers import check_order, minimum_size

from .toys import make_bowl

KEY = jax.random.key(0)

PICTURE = np.random.default_rng(0).random((20, 24, 3)).astype(np.float32)
LAYERS = {"relu1_1": 1.0}
STYLE = jaxstyle.StyleTransferConfig(content_layers=LAYERS, style_layers=LAYERS)
TEXTURE = texture.TextureConfig(layers=LAYERS)
CONTENT = content_reconstruction.ContentReconstructionConfig(layers=LAYERS)
DREAM = dream.DreamConfig(layers=LAYERS)

#: Every public function that takes a picture, in each of its places.
TAKERS: dict[str, Callable[[dict, Any], Any]] = {
    "features": lambda network, it: vgg.features(network, it, ["relu1_1"]),
    "VGG": lambda network, it: vgg.VGG(network)(it, ["relu1_1"]),
    "find_features": lambda network, it: find_features(network, it, ("relu1_1",)),
    "style transfer, content": lambda network, it: jaxstyle.make_problem(STYLE, network, it, [PICTURE]),
    "style transfer, style": lambda network, it: jaxstyle.make_problem(STYLE, network, PICTURE, [PICTURE, it]),
    "style transfer, initial": lambda network, it: jaxstyle.make_problem(
        STYLE, network, PICTURE, [PICTURE], initial=it
    ),
    "initial pixels": lambda network, it: style_transfer.initial_pixels(
        jax.random.key(0), mean=jnp.zeros(3), start=it, noise_blend=0.5
    ),
    "texture": lambda network, it: texture.make_problem(TEXTURE, network, it, height=16, width=16),
    "seam_ratio": lambda network, it: texture.seam_ratio(it),
    "content reconstruction": lambda network, it: content_reconstruction.make_problem(CONTENT, network, it),
    "dream": lambda network, it: dream.make_problem(DREAM, network, it),
    "dream, guide": lambda network, it: dream.make_problem(DREAM, network, PICTURE, guide=it),
    "zoom_in": lambda network, it: dream.zoom_in(it, 1.1),
    "painter": lambda network, it: painter.make_problem(painter.PainterConfig(), it),
    "resize": lambda network, it: images.resize(it, 5, 5),
    "luminance": lambda network, it: images.luminance(it),
    "rgb_to_ycbcr": lambda network, it: images.rgb_to_ycbcr(it),
    "preserve_colors, result": lambda network, it: images.preserve_colors(it, PICTURE),
    "preserve_colors, content": lambda network, it: images.preserve_colors(PICTURE, it),
    "color_statistics": lambda network, it: images.color_statistics(it),
    "match_color": lambda network, it: images.match_color(it, PICTURE),
    "match_color, reference": lambda network, it: images.match_color(PICTURE, it),
    "mean_squared_error": lambda network, it: images.mean_squared_error(PICTURE, it),
    "psnr": lambda network, it: images.psnr(it, PICTURE),
    "nyquist_share": lambda network, it: images.nyquist_share(it),
    "write_picture": lambda network, it: jaxstyle.write_picture("never.png", it),
    "write_animation": lambda network, it: animation_files.write_animation("never.gif", [it]),
    "contact_sheet": lambda network, it: jaxstyle.contact_sheet([[jaxstyle.Cell(it)]]),
}

#: What is no picture, and what the message has to say.
NO_PICTURES: dict[str, tuple[Any, str]] = {
    "bytes": ((255 * PICTURE).astype(np.uint8), "got uint8.*divide bytes by 255"),
    "integers": (np.ones((20, 24, 3), np.int64), "floats, got int64"),
    "booleans": (PICTURE > 0.5, "floats, got bool"),
    "0 to 255": (255 * PICTURE, r"in \[0, 1\], got values from .* to 25.*divide values of 0..255 by 255"),
    "0 to 255, of JAX": (jnp.asarray(255 * PICTURE), r"in \[0, 1\], got values from .*by 255"),
    "minus the mean": (255 * PICTURE - 120, r"in \[0, 1\], got values"),
    "ImageNet's scale": ((PICTURE - 0.45) / 0.225, r"in \[0, 1\], got values"),
    "-1 to 1": (2 * PICTURE - 1, r"in \[0, 1\], got values from -0.99.*; scale it to"),
    "NaN": (np.where(PICTURE[3, 4] == PICTURE, np.nan, PICTURE), "finite values only, got 3 that are"),
    "infinity": (np.where(PICTURE > 0.999, np.inf, PICTURE), "finite values only"),
    "with alpha": (np.ones((20, 24, 4), np.float32), r"got the shape \[20, 24, 4\]"),
    "two channels": (np.ones((20, 24, 2), np.float32), r"got the shape \[20, 24, 2\]"),
    "channels first": (np.ones((3, 20, 24), np.float32), r"got the shape \[3, 20, 24\]"),
    "a batch": (np.ones((1, 20, 24, 3), np.float32), r"got the shape \[1, 20, 24, 3\]"),
    "nothing": (np.ones((0, 24, 3), np.float32), r"got the shape \[0, 24, 3\]"),
    "a path": ("photo.jpg", "got the text 'photo.jpg'; read it first, with jaxstyle.read_picture"),
    "a Path": (Path("photo.jpg"), "got the path 'photo.jpg'; read it first"),
    "None": (None, "got None"),
}
#: Two of those can mean something else there.
EXCEPTIONS = {("style transfer, initial", "None"), ("dream, guide", "None")}
NUMPY_TAKERS = ("write_picture", "write_animation", "contact_sheet")
#: What they take is clipped before it is shown, so that only bytes are refused.
EXCEPTIONS |= {(taker, wrong) for taker in NUMPY_TAKERS for wrong in ("ImageNet's scale", "-1 to 1")}


@pytest.mark.parametrize("wrong", NO_PICTURES)
@pytest.mark.parametrize("taker", TAKERS)
def test_what_is_no_picture_is_refused(tiny_network: dict, tmp_path: Path, monkeypatch, taker: str, wrong: str):
    monkeypatch.chdir(tmp_path)
    if (taker, wrong) in EXCEPTIONS:
        return
    value, message = NO_PICTURES[wrong]
    is_text = wrong in ("a path", "a Path", "None")
    with pytest.raises(InputError, match=r"expected .*\[height" if is_text and taker in NUMPY_TAKERS else message):
        TAKERS[taker](tiny_network, value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("taker", TAKERS)
def test_any_array_of_floats_near_0_to_1_will_do(tiny_network: dict, tmp_path: Path, monkeypatch, taker: str):
    monkeypatch.chdir(tmp_path)
    read_only = PICTURE.copy()
    read_only.setflags(write=False)
    somewhat_beyond = PICTURE + np.float32([-0.05, 0, 0.05])
    somewhat_beyond[0, 0], somewhat_beyond[5, 5] = -0.8, 2.3  # what Adam without total variation leaves
    turned = np.moveaxis(np.ascontiguousarray(np.moveaxis(PICTURE, 2, 0)), 0, 2)
    pictures = (
        jnp.asarray(PICTURE),
        PICTURE.astype(np.float64),
        PICTURE.astype(np.float16),
        read_only,
        turned,
        somewhat_beyond,
        jnp.asarray(PICTURE, jnp.bfloat16),
    )
    for number, picture in enumerate(pictures):
        (tmp_path / str(number)).mkdir()
        monkeypatch.chdir(tmp_path / str(number))
        TAKERS[taker](tiny_network, picture)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (PICTURE.tolist(), "got a list; pass one picture, as numpy.asarray"),
        (Image.new("RGB", (4, 4)), r"got a PIL.Image.Image; pass numpy.asarray\(image.convert"),
        (np.ones((20, 24), np.float32), "numpy.stack"),
        (np.ones((20, 24, 1), np.float32), "numpy.repeat"),
        (np.ones((20, 24, 4), np.float32), r"leave its transparency out: picture\[..., :3\]"),
        (np.ones((3, 20, 24), np.float32), r"numpy.moveaxis\(picture, 0, -1\)"),
        (np.ones((1, 20, 24, 3), np.float32), "jax.vmap"),
        (np.ones((20, 24, 3), np.complex64), "floats, got complex64"),
        (jaxstyle.StopRule(), "got a StopRule; check the arguments' order"),
        ({"conv1_1": 0}, "got a dict"),
    ],
)
def test_the_message_says_what_to_do(value: Any, message: str):
    with pytest.raises(InputError, match=message):
        check_picture("the picture", value)


def test_a_tensor_of_another_framework_is_named():
    class Tensor:
        """Has what a tensor of PyTorch has."""

        shape, dtype = (20, 24, 3), "torch.float32"

        def __array__(self, *_: Any, **__: Any) -> np.ndarray:
            return PICTURE

    Tensor.__module__ = "torch"
    with pytest.raises(InputError, match=r"got a torch.Tensor; convert it with numpy.asarray"):
        check_picture("the picture", Tensor())


def test_how_far_outside_a_picture_may_lie():
    picture = np.full((4, 4, 3), 0.5, np.float32)
    for shift, is_taken in ((0.5 + 0.9 * MOST_OUTSIDE, True), (0.5 + 1.1 * MOST_OUTSIDE, False)):
        for sign in (1, -1):
            if is_taken:
                check_picture("it", picture + sign * shift)
            else:
                with pytest.raises(InputError):
                    check_picture("it", picture + sign * shift)


def test_half_precision_is_widened_before_the_scale_of_255(tiny_network: dict):
    picture = jnp.asarray(PICTURE, jnp.bfloat16)
    found = vgg.features(tiny_network, picture, ["conv1_1"])["conv1_1"]
    expected = vgg.features(tiny_network, picture.astype(jnp.float32), ["conv1_1"])["conv1_1"]
    np.testing.assert_array_equal(found, expected)


def test_pure_functions_stay_traceable(tiny_network: dict):
    see = lambda picture: vgg.features(tiny_network, picture, ["relu1_1"])["relu1_1"]
    np.testing.assert_allclose(jax.jit(see)(PICTURE), see(PICTURE), rtol=1e-4, atol=1e-3)
    for function in (images.luminance, images.rgb_to_ycbcr, lambda it: images.resize(it, 5, 5), images.nyquist_share):
        alone = function(PICTURE)
        np.testing.assert_allclose(jax.jit(function)(PICTURE), alone, atol=1e-5)
        np.testing.assert_allclose(jax.vmap(function)(PICTURE[None])[0], alone, atol=1e-5)
        assert jax.eval_shape(function, PICTURE).shape == alone.shape
    # What is traced has a shape and a type, which are looked at, but no values.
    assert np.isfinite(jax.jit(see)(255 * PICTURE)).all()
    for wrong in (PICTURE[..., 0], (255 * PICTURE).astype(np.uint8)):
        with pytest.raises(InputError):
            jax.jit(see)(wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["relu1_1"], "a network's parameters, a dictionary of layers, got a list; pass load_network"),
        ("vgg19.h5", "got the text 'vgg19.h5'; pass load_network"),
        (None, "got None"),
        (PICTURE, r"got an array float32 \[20, 24, 3\]"),
        ({"weights": 1}, "the convolutions of VGG-16 or VGG-19, got weights"),
    ],
)
def test_what_is_no_network_is_refused(wrong: Any, message: str):
    for use in (
        lambda: vgg.features(wrong, PICTURE, ["relu1_1"]),
        lambda: vgg.VGG(wrong),
        lambda: vgg.freeze(wrong, layers=["relu1_1"]),
        lambda: jaxstyle.make_problem(STYLE, wrong, PICTURE, [PICTURE]),
        lambda: dream.make_problem(DREAM, wrong, PICTURE),
        lambda: find_features(wrong, PICTURE, ("relu1_1",)),
    ):
        with pytest.raises(InputError, match=message):
            use()


def test_a_network_in_the_place_of_its_parameters_and_the_reverse(tiny_network: dict, tmp_path: Path):
    network = jaxstyle.Network("tiny", "vgg19", tiny_network, "0" * 64, "random")
    with pytest.raises(InputError, match=r"got a Network; pass network\.params"):
        vgg.features(network, PICTURE, ["relu1_1"])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a Network as the network, got a dict"):
        jaxstyle.save_network(tiny_network, tmp_path / "a.npz")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the path of a file of weights, got a Network"):
        jaxstyle.load_network(network)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("relu1_1", r"a list of layers, got the text 'relu1_1'; pass \['relu1_1'\]"),
        (3, "a list of layers, got an int"),
        (None, "a list of layers, got None"),
        ([["relu1_1"]], "names of layers, got a list"),
        ([1], "names of layers, got an int"),
        (PICTURE, "a list of layers, got an array"),
    ],
)
def test_what_is_no_list_of_layers_is_refused(tiny_network: dict, layers: Any, message: str):
    for use in (
        lambda: vgg.features(tiny_network, PICTURE, layers),
        lambda: vgg.VGG(tiny_network)(PICTURE, layers),
        lambda: check_order(layers),
        lambda: minimum_size(layers),
        lambda: find_features(tiny_network, PICTURE, layers),
    ):
        with pytest.raises(InputError, match=message):
            use()


@pytest.mark.parametrize("layers", [["relu1_1"], "relu1_1", {"relu1_1": "much"}, {"relu1_1": None}, {1: 1.0}])
def test_layers_of_a_config_have_weights(layers: Any):
    for config in (
        lambda: jaxstyle.StyleTransferConfig(content_layers=layers),
        lambda: jaxstyle.StyleTransferConfig(style_layers=layers),
        lambda: texture.TextureConfig(layers=layers),
        lambda: content_reconstruction.ContentReconstructionConfig(layers=layers),
        lambda: dream.DreamConfig(layers=layers),
    ):
        with pytest.raises(InputError, match=r"layers|a number as the weight of relu1_1"):
            config()


def test_things_in_each_others_places(tiny_network: dict):
    for use, message in (
        (lambda: jaxstyle.make_problem(tiny_network, STYLE, PICTURE, [PICTURE]), "a StyleTransferConfig as the config"),
        (lambda: jaxstyle.make_problem(TEXTURE, tiny_network, PICTURE, [PICTURE]), "config, got a TextureConfig"),
        (lambda: texture.make_problem(STYLE, tiny_network, PICTURE, height=16, width=16), "a TextureConfig as"),
        (lambda: painter.make_problem(PICTURE, PICTURE), "a PainterConfig as the config, got an array"),
        (lambda: jaxstyle.make_problem(STYLE, tiny_network, PICTURE, PICTURE), r"a list of pictures .*pass \[style\]"),
        (lambda: jaxstyle.make_problem(STYLE, tiny_network, PICTURE, "a.jpg"), "a list of pictures .*got the text"),
        (lambda: jaxstyle.make_problem(STYLE, tiny_network, PICTURE, []), "at least one style"),
        (lambda: jaxstyle.make_problem(STYLE, tiny_network, [PICTURE], PICTURE), "a list of pictures"),
        (lambda: jaxstyle.make_problem(STYLE, tiny_network, [PICTURE], [PICTURE]), "the content as an array"),
        (lambda: jaxstyle.minimize(STYLE, optax.sgd(1.0), key=jax.random.key(0), num_steps=1), "a Problem as"),
        (lambda: jaxstyle.minimize(make_bowl(), "adam", key=jax.random.key(0), num_steps=1), r"make_optimizer\('adam'"),
        (lambda: jaxstyle.minimize(make_bowl(), optax.sgd(1.0), key=7, num_steps=1), r"pass jax.random.key\(0\)"),
        (lambda: jaxstyle.minimize_batch(STYLE, optax.sgd, keys=[], num_steps=1), r"pass \[problem\]"),
        (lambda: jaxstyle.minimize_batch([STYLE], optax.sgd, keys=[], num_steps=1), "a Problem as each of the"),
        (lambda: jaxstyle.minimize_pyramid(make_bowl(), optax.sgd(1.0), sizes=[], num_steps=[], key=KEY), "a function"),
        (lambda: jaxstyle.apply_parameterization(STYLE, "bounded", 4, 4), "a Problem as the problem"),
        (lambda: jaxstyle.freeze(STYLE), "a network's parameters"),
        (lambda: jaxstyle.load_sample(PICTURE), "the name of a sample, got an array"),
        (lambda: jaxstyle.read_picture(PICTURE), "the path of a picture, got an array"),
        (lambda: jaxstyle.write_picture(PICTURE, "a.png"), "the path of a picture, got an array"),
        (lambda: jaxstyle.resize(PICTURE, 3.5, 4), "a size in whole pixels, got 3.5 x 4"),
        (lambda: jaxstyle.resize(PICTURE, "4", 4), "a size in whole pixels"),
        (lambda: jaxstyle.minimize(make_bowl(), None, key=jax.random.key(0), num_steps=1), "an optax optimizer, got"),
    ):
        with pytest.raises(InputError, match=message):
            use()


@pytest.mark.parametrize(
    ("holes", "message"),
    [
        (255 * (PICTURE[..., 0] > 0.5).astype(np.uint8), r"holes in \[0, 1\], got values from 0 to 255; divide by 255"),
        (np.full((20, 24), np.nan), "holes in"),
        ("mask.png", "got the text 'mask.png'"),
        (PICTURE, "a mask of holes of shape"),
    ],
)
def test_what_is_no_mask_is_refused(holes: Any, message: str):
    with pytest.raises(InputError, match=message):
        painter.make_problem(painter.PainterConfig(), PICTURE, holes=holes)


def test_losses_refuse_what_would_be_broadcast_or_wrap():
    features, gram = jnp.ones((4, 5, 3)), jnp.ones((3, 3))
    for use, message in (
        (lambda: losses.content_loss(features, jnp.ones((1, 5, 3))), r"a target of shape \(4, 5, 3\), got \(1, 5, 3\)"),
        (lambda: losses.content_loss(features, jnp.ones((4, 5))), "the target as an array"),
        (lambda: losses.style_loss(gram, gram, jnp.ones(1)), "the targets as an array"),
        (lambda: losses.style_loss(gram, jnp.ones((2, 1, 1)), jnp.ones(2)), r"targets of shape \(3, 3\)"),
        (lambda: losses.style_loss(gram, gram[None], jnp.ones(3)), "a blend of shape"),
        (lambda: losses.total_variation(np.ones((4, 5, 3), np.uint8)), "the pixels of floats, got uint8"),
        (lambda: losses.total_variation(jnp.ones((2, 4, 5, 3))), "the pixels as an array"),
        (lambda: losses.channel_activation(features, jnp.ones(1)), "weights of channels of shape"),
        (lambda: losses.guided_activation(features, jnp.ones((7, 2))), "a position of the guide of shape"),
        (lambda: jaxstyle.gram_matrix(jnp.ones((2, 4, 5, 3))), "the features as an array .*jax.vmap"),
        (lambda: jaxstyle.gram_matrix(jnp.ones((4, 5, 3), jnp.int32)), "the features of floats, got int32"),
    ):
        with pytest.raises(InputError, match=message):
            use()
