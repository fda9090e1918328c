"""The network against stored PyTorch activations, a NumPy pooling, and its own invariances."""

import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.test_util import check_grads
from scipy import ndimage

from jaxstyle.checks import InputError
from jaxstyle.vgg import module as vgg
from jaxstyle.vgg.layers import check_order, minimum_size
from jaxstyle.vgg.pooling import average_pool, max_pool
from jaxstyle.vgg.weights import load_network

from ..conftest import make_tiny_network, make_wave_picture

REFERENCE = json.loads((Path(__file__).parents[1] / "references" / "vgg19_default_objective.json").read_text())
TOLERANCE = 1e-4

POOLS = {"max": max_pool, "avg": average_pool}

features = jax.jit(vgg.features, static_argnames=("layers", "pooling"))


@pytest.fixture(scope="module")
def shipped() -> dict:
    return load_network().params


@pytest.fixture(scope="module")
def reference_features(shipped: dict) -> dict:
    return features(shipped, make_wave_picture(*REFERENCE["x"]), tuple(REFERENCE["layers"]))


@pytest.mark.parametrize("layer", REFERENCE["layers"])
def test_activations_of_the_shipped_network_equal_pytorchs(reference_features: dict, layer: str):
    expected = REFERENCE["layers"][layer]
    found = np.asarray(reference_features[layer], np.float64)
    assert list(found.shape) == expected["shape_hwc"]
    np.testing.assert_allclose(found.mean(), expected["mean"], rtol=TOLERANCE)
    np.testing.assert_allclose(found.std(), expected["std"], rtol=TOLERANCE)
    np.testing.assert_allclose(found.max(), expected["max"], rtol=TOLERANCE)
    np.testing.assert_allclose(found[1, 2, :3], expected["first3_at_1_2"], rtol=TOLERANCE, atol=1e-6 * expected["max"])


@pytest.mark.parametrize("layer", REFERENCE["odd"])
def test_odd_sizes_round_up_as_in_the_reference(shipped: dict, layer: str):
    expected = REFERENCE["odd"][layer]
    found = features(shipped, make_wave_picture(*expected["input"]), (layer,))[layer]
    assert list(found.shape) == expected["shape_hwc"]
    np.testing.assert_allclose(np.asarray(found, np.float64).mean(), expected["mean"], rtol=TOLERANCE)


@pytest.mark.parametrize(("architecture", "count"), [("vgg16", 13), ("vgg19", 16)])
def test_every_layer_in_order_and_nothing_past_the_deepest(architecture: str, count: int):
    names = vgg.layer_names(architecture)
    assert sum(name.startswith("conv") for name in names) == count
    assert len(names) == 2 * count + 5
    params = make_tiny_network(architecture)
    picture = np.random.default_rng(0).random((32, 48, 3), np.float32)
    found = vgg.features(params, picture, names)
    assert list(found) == list(names)
    assert found["pool5"].shape[:2] == (1, 2)
    text = str(jax.make_jaxpr(partial(vgg.features, layers=("relu2_1",)))(params, picture))
    assert text.count("conv_general_dilated") == 3


def test_frozen_and_plain_parameters_give_the_same(tiny_network: dict):
    picture = make_wave_picture(20, 26, 0.4)
    plain = vgg.features(tiny_network, picture, ("relu3_1", "pool2"))
    frozen = vgg.features(vgg.freeze(tiny_network), picture, ("relu3_1", "pool2"))
    for layer, value in plain.items():
        np.testing.assert_array_equal(value, frozen[layer])


def test_winograd_gives_the_same_features(shipped: dict):
    picture = make_wave_picture(37, 51, 0.4)
    fast = vgg.freeze(shipped, pixels=512 * 512)
    if jax.default_backend() == "cpu":
        assert fast["conv3_1"]["kernel"].method == "winograd"
    found = features(fast, picture, ("relu1_2", "relu3_2", "relu5_1"))
    for layer, expected in features(shipped, picture, ("relu1_2", "relu3_2", "relu5_1")).items():
        np.testing.assert_allclose(found[layer], expected, rtol=1e-3, atol=1e-5 * float(expected.max()))


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_low_memory_gives_the_same_gradient(tiny_network: dict, pooling: str):
    picture = make_wave_picture(20, 26, 0.4)

    def loss(picture: jax.Array, memory: str) -> jax.Array:
        found = vgg.features(tiny_network, picture, ("relu1_1", "relu4_2"), pooling=pooling, memory=memory)
        return jnp.mean(found["relu4_2"] ** 2) + jnp.mean(found["relu1_1"] ** 2)

    normal, low = (jax.grad(loss)(picture, memory) for memory in vgg.MEMORY_MODES)
    np.testing.assert_allclose(normal, low, rtol=1e-4, atol=1e-4 * float(jnp.abs(normal).max()))
    compiled = jax.grad(jax.jit(loss, static_argnums=1))(picture, "low")
    np.testing.assert_allclose(normal, compiled, rtol=1e-4, atol=1e-4 * float(jnp.abs(normal).max()))


def test_half_precision_features_are_close(tiny_network: dict):
    picture = make_wave_picture(32, 48, 0.4)
    half = vgg.features(vgg.freeze(tiny_network, dtype="bfloat16"), picture, ("relu3_1",))["relu3_1"]
    full = vgg.features(tiny_network, picture, ("relu3_1",))["relu3_1"]
    assert half.dtype == jnp.bfloat16
    error = np.linalg.norm(half.astype(np.float32) - full) / np.linalg.norm(full)
    assert 0 < error < 0.02  # bfloat16 keeps 8 bits


def test_the_module_is_an_ordinary_flax_module(tiny_network: dict):
    module = vgg.VGG(tiny_network)
    graph, state = nnx.split(module)
    picture = make_wave_picture(16, 16, 0.0)
    found = nnx.merge(graph, state)(picture, ("relu5_1",))["relu5_1"]
    np.testing.assert_array_equal(found, vgg.features(tiny_network, picture, ("relu5_1",))["relu5_1"])


@pytest.mark.parametrize("shape", [(4, 6), (5, 7), (1, 1), (1, 8)])
@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_pooling_against_numpy(shape: tuple[int, int], pooling: str):
    values = np.random.default_rng(1).normal(size=(*shape, 3)).astype(np.float32)
    height, width = -(-shape[0] // 2), -(-shape[1] // 2)
    reduce = {"max": np.max, "avg": np.mean}[pooling]
    expected = np.array(
        [
            [reduce(values[2 * i : 2 * i + 2, 2 * j : 2 * j + 2], axis=(0, 1)) for j in range(width)]
            for i in range(height)
        ]
    )
    np.testing.assert_allclose(POOLS[pooling](jnp.asarray(values)), expected, rtol=1e-6)


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_gradient_by_the_picture(float64: None, pooling: str):
    params = jax.tree.map(lambda leaf: leaf.astype(np.float64), make_tiny_network())
    picture = np.random.default_rng(2).random((9, 11, 3))

    def loss(picture: jax.Array) -> jax.Array:
        found = vgg.features(params, picture, ("relu3_2", "conv2_1"), pooling=pooling)
        return jnp.mean(found["relu3_2"] ** 2) + jnp.mean(found["conv2_1"])

    check_grads(loss, (picture,), order=1, modes=["rev"], eps=1e-7, rtol=1e-4)


def test_vmap_equals_a_loop(tiny_network: dict):
    pictures = np.random.default_rng(3).random((3, 16, 18, 3), np.float32)
    read = partial(vgg.features, tiny_network, layers=("relu4_1",))
    batched = jax.vmap(read)(pictures)["relu4_1"]
    single = np.stack([read(picture)["relu4_1"] for picture in pictures])
    np.testing.assert_allclose(batched, single, rtol=1e-4, atol=1e-2)


def test_minimum_size():
    assert minimum_size(["relu1_2"]) == 1
    assert minimum_size(["pool1"]) == 2
    assert minimum_size(["relu4_2", "relu2_1"]) == 8


def test_bad_input(tiny_network: dict):
    picture = make_wave_picture(16, 16, 0.0)
    with pytest.raises(InputError, match=r"relu5_5.*did you mean"):
        vgg.features(tiny_network, picture, ("relu5_5",))
    with pytest.raises(InputError, match="pooling to be one of max, avg, got 'min'"):
        vgg.features(tiny_network, picture, ("relu1_1",), pooling="min")
    with pytest.raises(InputError, match="VGG-16 or VGG-19"):
        vgg.features({"mean": np.zeros(3)}, picture, ("relu1_1",))


@pytest.mark.parametrize(("padding", "mode"), [("zero", "constant"), ("circular", "wrap"), ("edge", "nearest")])
def test_what_lies_beyond_the_border_against_scipy(tiny_network: dict, padding: str, mode: str):
    picture = make_wave_picture(10, 13, 0.7)
    found = vgg.features(tiny_network, picture, ["relu1_2"], padding=padding)["relu1_2"]
    hidden = 255.0 * picture - tiny_network["mean"]
    for name in ("conv1_1", "conv1_2"):
        kernel, bias = tiny_network[name]["kernel"], tiny_network[name]["bias"]
        sums = [
            sum(ndimage.correlate(hidden[..., i], kernel[..., i, o], mode=mode) for i in range(hidden.shape[-1]))
            for o in range(kernel.shape[-1])
        ]
        hidden = np.maximum(np.stack(sums, axis=-1) + bias, 0)
    np.testing.assert_allclose(found, hidden, rtol=1e-4, atol=1e-3)


def test_a_rolled_picture_has_rolled_features(tiny_network: dict):
    picture = make_wave_picture(32, 48, 0.7)
    layers = ["relu2_1", "relu5_1"]
    found, rolled = (
        vgg.features(tiny_network, np.roll(p, shift, (0, 1)), layers, padding="circular")
        for p, shift in ((picture, (0, 0)), (picture, (16, 32)))
    )
    np.testing.assert_allclose(rolled["relu2_1"], np.roll(found["relu2_1"], (8, 16), (0, 1)), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(rolled["relu5_1"], np.roll(found["relu5_1"], (1, 2), (0, 1)), rtol=1e-4, atol=1e-3)


def test_layers_are_named_in_order_of_depth():
    assert check_order(["relu1_1", "conv3_4", "pool5"]) == ("relu1_1", "conv3_4", "pool5")
    for layers in (["relu3_1", "relu1_1"], ["relu1_1", "relu1_1"]):
        with pytest.raises(InputError, match="order of depth"):
            check_order(layers)
    with pytest.raises(InputError, match="did you mean 'relu3_4'"):
        check_order(["relu3_9"])
