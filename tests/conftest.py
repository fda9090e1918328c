"""Fixtures shared by all tests."""

import jax
import numpy as np
import pytest

import tests.executed_annotations  # noqa: F401 (before jaxstyle is imported)
from benchmarks.speed.pictures import make_wave_picture as make_wave_picture
from jaxstyle.vgg import module as vgg
from jaxstyle.vgg import weights as pretrained

TINY_WIDTHS = (4, 6, 8, 8, 8)


def make_tiny_network(architecture: str = "vgg19", seed: int = 0) -> dict:
    """Returns random parameters with the names of a real VGG and a few channels per layer."""
    rng = np.random.default_rng(seed)
    params: dict = {"mean": np.array([123.68, 116.779, 103.939], np.float32)}
    inputs = 3
    for block, count in enumerate(vgg.BLOCKS[architecture], start=1):
        for index in range(1, count + 1):
            outputs = TINY_WIDTHS[block - 1]
            scale = np.sqrt(2 / (9 * inputs))  # He et al. (2015): keeps activations of one size through the layers
            params[f"conv{block}_{index}"] = {
                "kernel": rng.normal(0, scale, (3, 3, inputs, outputs)).astype(np.float32),
                "bias": rng.normal(0, 1, outputs).astype(np.float32),
            }
            inputs = outputs
    return params


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory):
    """Keeps the compiled programs of the tests out of the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Lets compiled programs go after each file: together they take gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def tiny_network() -> dict:
    return make_tiny_network()


@pytest.fixture
def float64():
    """Runs a test in double precision."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def load_tiny_network(monkeypatch: pytest.MonkeyPatch, tiny_network: dict):
    """Gives the command line a network of few channels; returns what now loads it."""
    network = pretrained.Network("tiny", "vgg19", tiny_network, "0" * 64, "random")
    load = lambda path=None: network
    monkeypatch.setattr(pretrained, "load_network", load)
    return load
