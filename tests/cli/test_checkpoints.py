"""Names of checkpoint files."""

import pytest

from jaxstyle.checks import InputError
from jaxstyle.cli.checkpoints import checkpoint_name, checkpoint_names


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a{}.png", "a42.png"),
        ("a{:05}.png", "a00042.png"),
        ("a{:05d}.png", "a00042.png"),
        ("a%d.png", "a42.png"),
        ("a%05d.png", "a00042.png"),
        ("a%s.png", "a42.png"),
        ("100%/a%s.png", "100%/a42.png"),
    ],
)
def test_every_placeholder(pattern: str, expected: str):
    assert checkpoint_name(pattern, 42) == expected


@pytest.mark.parametrize("pattern", ["a.png", "a{}{}.png", "a%d_%s.png", "a{name}.png", "%%.png"])
def test_patterns_without_one_placeholder(pattern: str):
    with pytest.raises(InputError, match="one placeholder"):
        checkpoint_name(pattern, 1)


def test_all_names_of_a_run():
    assert checkpoint_names("%02d", 9, 4) == ["04", "08"]
    with pytest.raises(InputError):
        checkpoint_names("none", 3, 4)
