"""The memory check: true sizes, and a refusal before anything runs."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxstyle import memory
from jaxstyle.checks import InputError
from jaxstyle.loop import minimize

from .toys import make_bowl


def test_available_memory_is_that_of_a_machine():
    assert 1e6 < memory.available_bytes() < 1e15


def test_new_bytes_counts_results_and_temporaries_but_not_donated_buffers():
    x = jnp.zeros((1000, 250))  # 1 MB
    program = jax.jit(lambda x: jnp.concatenate([x, x]) + 1).lower(x).compile()
    assert 2e6 <= memory.new_bytes(program) < 4.1e6
    donated = jax.jit(lambda x: x + 1, donate_argnums=0).lower(x).compile()
    assert memory.new_bytes(donated) < 1e5


def test_what_does_not_fit_is_refused_before_it_runs(monkeypatch: pytest.MonkeyPatch):
    x = np.ones((1000, 250), np.float32)
    function = jax.jit(lambda x: x + 1)
    np.testing.assert_array_equal(memory.compile_to_fit(function, x)(x), x + 1)
    monkeypatch.setattr(memory, "available_bytes", lambda: 250_000)
    with pytest.raises(
        InputError, match=r"0.00 GB, the free memory, got one of 0.00 GB; make the pictures 0.4\d times"
    ):
        memory.compile_to_fit(function, x)
    monkeypatch.setattr(memory, "available_bytes", lambda: 10)
    called = []
    with pytest.raises(InputError, match="memory='low'"):
        minimize(make_bowl(lambda: called.append(1)), optax.adam(0.1), key=jax.random.key(0), num_steps=3)
    assert not called
