"""Fixtures shared by all tests."""

from collections.abc import Iterator

import jax
import jax.monitoring
import numpy as np
import pytest

import tests.executed_annotations  # before jaxstyle is imported
from benchmarks.speed.pictures import make_wave_picture as make_wave_picture
from jaxstyle.vgg import weights as pretrained
from jaxstyle.vgg.layers import ARCHITECTURES

tests.executed_annotations.compare_undecorated()

TINY_WIDTHS = (4, 6, 8, 8, 8)


def make_tiny_network(architecture: str = "vgg19", seed: int = 0) -> dict:
    """Returns random parameters with the names of a real VGG and a few channels per layer."""
    rng = np.random.default_rng(seed)
    params: dict = {"mean": np.array([123.68, 116.779, 103.939], np.float32)}
    inputs = 3
    for block, (count, _) in enumerate(ARCHITECTURES[architecture], start=1):
        for index in range(1, count + 1):
            outputs = TINY_WIDTHS[block - 1]
            scale = np.sqrt(2 / (9 * inputs))  # He et al. (2015): activations have the same variance in all layers
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
    """Clears the cache of compiled programs after each file, because together they take gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """Names of the functions that XLA has compiled during a test: "take_steps", or "take_steps_of_all" for a batch."""
    found: list[str] = []

    def listen(event: str, seconds: float, fun_name: str = "", **_: object) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(fun_name.removeprefix("jit(").removesuffix(")"))

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    jax.monitoring.unregister_event_duration_listener(listen)


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
    """Makes `load_network` return a network with few channels, and returns that function."""
    network = pretrained.Network("tiny", "vgg19", tiny_network, "0" * 64, "random")
    load = lambda path=None: network
    monkeypatch.setattr(pretrained, "load_network", load)
    return load
