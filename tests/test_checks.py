"""Checks of input, and the messages they make."""

import pytest

from jaxstyle import checks
from jaxstyle.checks import InputError


def test_messages_say_what_was_expected_what_was_got_and_what_to_do():
    assert str(InputError("a cat", "a dog", "call it")) == "expected a cat, got a dog; call it"
    with pytest.raises(InputError, match=r"^expected size above 0, got -3; pass a number above 0$"):
        checks.check_positive("size", -3)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_positive(value: float):
    with pytest.raises(InputError):
        checks.check_positive("x", value)
    assert checks.check_positive("x", 0.5) == 0.5


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, float("nan")], [1, 2, 3]])
def test_weights(weights: list[float]):
    with pytest.raises(InputError):
        checks.check_weights("weights", weights, 2)
    assert checks.check_weights("weights", [1, 3], 2) == (1.0, 3.0)


def test_messages_are_short_and_act_on_no_terminal():
    message = str(InputError("a name", "x\x1b[2J" * 9000, "rename caf\u00e9.png"))
    assert message.isprintable()
    assert message.startswith("expected a name, got x\\x1b[2J")
    assert message.endswith("; rename caf\u00e9.png")
    assert len(message) < 600
