"""The check of annotations: it is installed, it finds what is false, and it leaves errors alone."""

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, TypeCheckError, jaxtyped

from jaxstyle import gram_matrix
from tests.executed_annotations import check


@jaxtyped(typechecker=check)
def drop(row: Float[Array, " size"], count: int) -> Float[Array, " size"]:
    if count < 0:
        raise ValueError("negative")
    return row[count:]


def test_what_is_false_is_found_and_errors_are_left_alone():
    assert drop(jnp.ones(3), 0).shape == (3,)
    with pytest.raises(TypeCheckError, match="size"):  # a size that changes under one name
        drop(jnp.ones(3), 1)
    with pytest.raises(TypeCheckError, match="count"):  # a wrong argument that is taken
        drop(jnp.ones(3), jnp.int32(0))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="negative"):  # one that it refuses
        drop([1.0], -1)  # pyright: ignore[reportArgumentType]


def test_it_is_installed():
    with pytest.raises(TypeCheckError, match="statistics"):
        gram_matrix(np.ones((2, 2, 3), np.float32))  # pyright: ignore[reportArgumentType]
