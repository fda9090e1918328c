"""Files of settings: what is written is read, what cannot be used is refused by name, schedules are what they say."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxstyle.checks import InputError
from jaxstyle.optimize.configured import configured_optimizer, schedule_of
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.optimizers import OPTIMIZERS, make_optimizer
from jaxstyle.run_config import FORMAT, MOST_BYTES, RunConfig, read_settings, write_settings

from ..toys import TARGET, make_bowl

GOOD = {"format": FORMAT, "optimizer": "adam", "iterations": 10}
RATED = [name for name, spec in OPTIMIZERS.items() if "learning_rate" in spec.defaults]


def write(folder: Path, **changes) -> Path:
    path = folder / "settings.json"
    path.write_text(json.dumps({key: value for key, value in {**GOOD, **changes}.items() if value is not ...}))
    return path


def test_what_is_written_is_read(tmp_path: Path):
    settings = RunConfig(
        optimizer="lbfgs",
        options={"memory_size": 7, "initial_guess": "keep"},
        parameterization="fourier",
        scales=(2,),
        scale_iterations=(30, 40),
        iterations=500,
        initial_noiseblend=0.25,
        stop_delta=0.01,
        stop_patience=20,
        provenance={"score": 1.5, "of": ["a", {"b": None}]},
    )
    write_settings(tmp_path / "a.json", settings)
    assert read_settings(tmp_path / "a.json") == settings
    scheduled = RunConfig(optimizer="adam", options={"b1": 0.8}, schedule=((0, 10.0), (5, 0.1)), iterations=9)
    write_settings(tmp_path / "a.json", scheduled, overwrite=True)
    assert read_settings(tmp_path / "a.json") == scheduled
    assert json.loads((tmp_path / "a.json").read_text())["format"] == "jaxstyle settings 1"
    with pytest.raises(FileExistsError, match="still free"):
        write_settings(tmp_path / "a.json", settings)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_what_is_left_out_has_its_default(tmp_path: Path):
    assert read_settings(write(tmp_path)) == RunConfig(optimizer="adam", iterations=10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": ...}, "format"),
        ({"format": "jaxstyle settings 2"}, "jaxstyle settings 1"),
        ({"optimizer": ...}, "the key 'optimizer'"),
        ({"iterations": ...}, "the key 'iterations'"),
        ({"optimiser": "adam"}, "did you mean 'optimizer'"),
        ({"optimizer": "adamm"}, "did you mean 'adam'"),
        ({"optimizer": 3}, "text for optimizer"),
        ({"options": [1]}, "options"),
        ({"options": {"beta": 1}}, "an option that adam has"),
        ({"options": {"b1": 1.0}}, "b1 below 1"),
        ({"options": {"learning_rate": 0}}, "learning_rate above 0"),
        ({"options": {"learning_rate": True}}, "a number for the option 'learning_rate'"),
        ({"options": {"learning_rate": 1e39}}, "a finite number"),
        ({"options": {"learning_rate": {}}}, "a number for the option 'learning_rate'"),
        ({"schedule": [[0, 1.0]], "options": {"learning_rate": 1}}, "both"),
        ({"schedule": [[0, 1.0]], "optimizer": "lbfgs"}, "a learning rate at every step"),
        ({"schedule": [[0, 1.0]], "optimizer": "polyak_sgd"}, "a learning rate at every step"),
        ({"schedule": [[0, 1.0]], "optimizer": "rprop"}, "a learning rate at every step"),
        ({"schedule": [[1, 1.0]]}, "grow from 0"),
        ({"schedule": [[0, 1.0], [5, 1.0], [5, 2.0]]}, "grow from 0"),
        ({"schedule": [[0, 1.0], [5.0, 1.0]]}, "a whole number"),
        ({"schedule": [[0, -1.0]]}, "each learning rate above 0"),
        ({"schedule": [[0, "1"]]}, "a number for each learning rate"),
        ({"schedule": [[0]]}, "a step and a learning rate"),
        ({"schedule": 10.0}, "a list for schedule"),
        ({"parameterization": "pixel"}, "did you mean 'pixels'"),
        ({"scales": []}, "at least one number in scales"),
        ({"scales": [64, 32]}, "scales that grow"),
        ({"scales": [1.5]}, "a whole number"),
        ({"scales": [31]}, "the number of scales"),
        ({"scales": [2], "scale_iterations": [5]}, "2 scale_iterations"),
        ({"iterations": 0}, "iterations between 1"),
        ({"iterations": 10.0}, "a whole number for iterations"),
        ({"iterations": 2**31}, "iterations between 1"),
        ({"initial_noiseblend": 1.5}, "initial_noiseblend between"),
        ({"initial_noiseblend": "1"}, "a number for initial_noiseblend"),
        ({"stop_delta": -0.1}, "stop_delta between"),
        ({"stop_patience": -1}, "stop_patience between"),
        ({"provenance": "me"}, "provenance"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line(tmp_path: Path, changes: dict, message: str):
    with pytest.raises(InputError, match=r"^expected .*, got ") as refusal:
        configured_optimizer(read_settings(write(tmp_path, **changes)))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "settings as JSON"),
        (b"\xff\xfe", "settings as JSON"),
        (b"[" * 200_000, "settings as JSON"),
        (b"[1]", "an object whose format"),
        (b'{"iterations": ' + b"9" * 5000 + b"}", "settings as JSON"),
        (b'{"stop_delta": NaN}', "finite numbers"),
        (b'{"iterations": 1, "iterations": 2}', "each key once"),
        (b" " * MOST_BYTES + b"{}", "at most 1000000 bytes"),
    ],
)
def test_what_is_no_file_of_settings_is_refused(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_settings(tmp_path / "settings.json")
    for place in (tmp_path, tmp_path / "none", Path("/dev/null")):
        with pytest.raises(FileNotFoundError, match="a file of settings"):
            read_settings(place)


def test_what_could_not_be_read_is_not_written(tmp_path: Path):
    with pytest.raises(InputError, match="JSON can hold"):
        RunConfig(optimizer="adam", iterations=1, provenance={"loss": float("nan")})
    with pytest.raises(InputError, match="shorten the provenance"):
        write_settings(tmp_path / "a", RunConfig(optimizer="adam", iterations=1, provenance={"text": "a" * MOST_BYTES}))
    assert not list(tmp_path.iterdir())


def test_a_schedule_is_constant_from_step_to_step():
    pairs = [(0, 10.0), (3, 2.5), (4, 7.0), (100, 1e-3)]
    steps = np.arange(200)
    kinds = [steps >= step for step, _ in reversed(pairs)]
    expected = np.select(kinds, [rate for _, rate in reversed(pairs)]).astype(np.float32)
    rate = schedule_of(pairs)
    np.testing.assert_array_equal(jax.jit(jax.vmap(rate))(jnp.asarray(steps)), expected)
    assert float(rate(99)) == pytest.approx(7.0)


def test_a_run_takes_the_rate_of_each_step():
    """Gradient descent on a quadratic, against NumPy."""
    settings = RunConfig(optimizer="sgd", schedule=((0, 0.05), (3, 0.01), (4, 0.09)), iterations=6)
    result = minimize(make_bowl(), configured_optimizer(settings), key=jax.random.key(0), num_steps=6)
    target = {name: np.asarray(value, np.float64) for name, value in TARGET.items()}
    position = {"a": np.ones(3), "b": np.full((2, 2), -1.0)}
    for rate in (0.05, 0.05, 0.05, 0.01, 0.09, 0.09):
        slope = {"a": position["a"] - target["a"], "b": 10 * (position["b"] - target["b"])}
        position = {name: position[name] - rate * slope[name] for name in position}
    for name in position:
        np.testing.assert_allclose(result.params[name], position[name], rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in RATED if not OPTIMIZERS[name].reads_rate_once])
def test_every_optimizer_with_a_rate_heeds_its_schedule(name: str):
    """One rate throughout is what the option gives; another from step 1 on changes the second step, not the first."""
    rate = float(OPTIMIZERS[name].defaults["learning_rate"])

    def moves(optimizer: optax.GradientTransformation) -> list[np.ndarray]:
        params, state, gone = jnp.array([1.0, -2.0, 0.5]), None, []
        wide = optax.with_extra_args_support(optimizer)
        for grad in ([0.1, 0.2, -0.3], [0.2, -0.1, 0.3]):
            state = wide.init(params) if state is None else state
            updates, state = wide.update(jnp.array(grad), state, params, value=jnp.float32(1))
            params = params + updates
            gone.append(np.asarray(updates))
        return gone

    constant = moves(make_optimizer(name))
    same = moves(configured_optimizer(RunConfig(optimizer=name, schedule=((0, rate),))))
    np.testing.assert_allclose(same, constant, rtol=2e-4, atol=1e-6 * np.abs(constant).max())
    other = moves(configured_optimizer(RunConfig(optimizer=name, schedule=((0, rate), (1, rate / 10)))))
    np.testing.assert_array_equal(other[0], same[0])
    assert np.abs(other[1] - same[1]).max() > 0.01 * np.abs(same[1]).max()
