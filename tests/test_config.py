"""A knob is declared once: in a config, whose fields are the flags."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from importlib import import_module
from inspect import get_annotations
from pkgutil import iter_modules
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from jaxstyle import config, knobs, run_config
from jaxstyle.checks import InputError
from jaxstyle.cli import commands, inputs, running
from jaxstyle.cli.flags import flags_of, subcommands_of
from jaxstyle.cli.parsing import all_commands, parse
from jaxstyle.config import StyleTransferConfig
from jaxstyle.knobs import NO_FLAG
from jaxstyle.problems import parameterizations
from jaxstyle.run_config import AUTO, CLASSIC, RunConfig
from jaxstyle.vgg.layers import POOLINGS

MODULES = [knobs, config, run_config, inputs, running]
MODULES += [import_module(f"{commands.__name__}.{module.name}") for module in iter_modules(commands.__path__)]

STYLIZE = ["stylize", "--content", "c.png", "--styles", "s.png", "--output", "o.png"]


def dataclasses() -> set[type]:
    kinds = {each for module in MODULES for each in vars(module).values() if isinstance(each, type)}
    return {each for each in kinds if is_dataclass(each) and each.__module__ in {module.__name__ for module in MODULES}}


def own_fields(kind: type) -> list[Field]:
    """Returns the fields that a dataclass declares itself."""
    return [each for each in fields(kind) if each.name in get_annotations(kind) and each.init]


def leaves(known: dict[str, type]) -> Iterator[type]:
    for command in known.values():
        below = subcommands_of(command)
        yield from leaves(below) if below else [command]


def test_no_field_is_declared_twice():
    found = defaultdict(list)
    for kind in dataclasses():
        hints = get_type_hints(kind, include_extras=True)
        for each in own_fields(kind):
            default = each.default if each.default_factory is MISSING else each.default_factory()
            found[each.name, str(hints[each.name]), repr(default)].append(kind.__name__)
    assert {key: kinds for key, kinds in found.items() if len(kinds) > 1} == {}


def test_every_field_of_a_config_is_a_flag_or_marked_as_none():
    flags = {(flag.config, flag.field): flag for command in leaves(all_commands()) for flag in flags_of(command)}
    configs = {
        (each.name, type(each.default))
        for command in leaves(all_commands())
        for each in fields(command)
        if is_dataclass(each.default)
    }
    assert {kind for _, kind in configs} == {
        kind for kind in dataclasses() if kind.__module__ in (config.__name__, run_config.__name__) and is_used(kind)
    }
    for name, kind in configs:
        hints = get_type_hints(kind, include_extras=True)
        for each in fields(kind):
            is_marked = NO_FLAG in get_args(hints[each.name])
            # The layers of a reconstruction are a flag of the command: each of them has a run of its own.
            assert is_marked != ((name, each.name) in flags) or (
                each.name == "layers" and name in ("content", "texture")
            )


def is_used(kind: type) -> bool:
    """Returns whether a config is one of an experiment, and no base of several."""
    return kind.__name__ not in ("Config", "FeatureConfig", "StyleConfig", "NoiseConfig")


def test_names_that_are_also_tables():
    assert tuple(parameterizations.PARAMETERIZATIONS) == run_config.PARAMETERIZATIONS
    assert get_origin(get_type_hints(StyleTransferConfig)["pooling"]) is not None
    assert POOLINGS == ("max", "avg")


def test_configs_load_no_jax():
    code = "import sys, jaxstyle.run_config; print([m for m in ('jax', 'tyro', 'PIL') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_flags_over_preset_over_defaults():
    assert parse(STYLIZE).optimization == AUTO
    assert parse([*STYLIZE, "--optimizer", "adam"]).optimization == CLASSIC
    found = parse([*STYLIZE, "--iterations", "7", "--stop-delta", "0", "--content-weight", "3"])
    assert found.optimization == replace(AUTO, iterations=7, stop_delta=0.0, stop_patience=0)
    assert found.objective == StyleTransferConfig(content_weight=3.0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"optimizer": "lion"}, {"optimizer": "lion", "options": {}, "schedule": ()}),
        ({"options": {"b1": 0.5}}, {"options": {"b1": 0.5, "eps": 1e-6}}),
        ({"options": {"learning_rate": 2.0}}, {"options": {"eps": 1e-6, "learning_rate": 2.0}, "schedule": ()}),
        ({"iterations": 9}, {"iterations": 9, "scale_iterations": ()}),
        ({"scales": (1,)}, {"scales": (1,), "scale_iterations": ()}),
        ({"scales": (1,), "scale_iterations": (3,)}, {"scales": (1,), "scale_iterations": (3,)}),
        ({"stop_delta": 0.5}, {"stop_delta": 0.5, "stop_patience": 50}),
        ({"stop_delta": 0.1}, {}),
        ({"stop_delta": 0.5, "stop_patience": 2}, {"stop_delta": 0.5, "stop_patience": 2}),
        ({"parameterization": "network"}, {"parameterization": "network", "initial_noiseblend": None}),
    ],
)
def test_what_belongs_to_a_changed_value_goes_with_it(changes: dict[str, Any], expected: dict[str, Any]):
    base = RunConfig(
        options={"b1": 0.8, "eps": 1e-6} if "options" not in changes else {"eps": 1e-6},
        schedule=((0, 9.0), (2, 1.0)),
        scales=(2,),
        scale_iterations=(3, 4),
        initial_noiseblend=0.5,
        stop_delta=0.1,
        stop_patience=7,
    )
    assert base.changed(**changes) == replace(base, **expected)


def test_a_mistake_names_the_flag_that_was_typed():
    for words, message in (
        (["--tv-weight", "-1"], "--tv-weight of at least 0"),
        (["--scales", "31"], "the number of --scales between 1 and 30"),
        (["--style-layers", "relu1_1=-1"], "in --style-layers of at least 0"),
    ):
        with pytest.raises(InputError, match=message):
            parse([*STYLIZE, *words])


def test_positional_values_cannot_land_in_another_field():
    layers = {"relu1_1": 1.0}
    for kind in (config.TextureConfig, config.ContentReconstructionConfig, config.DreamConfig):
        assert kind(layers).layers == layers
        with pytest.raises(TypeError, match="positional"):
            kind(layers, 500.0)
    with pytest.raises(TypeError, match="positional"):
        StyleTransferConfig(5.0, 500.0)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: StyleTransferConfig(content_weight=None), "expected a value for content_weight, got None"),
        (lambda: config.TextureConfig(is_tileable=500.0), "expected true or false for is_tileable, got 500.0"),
        (lambda: config.PainterConfig(hidden_widths=64), "expected a list or a tuple for hidden_widths, got 64"),
        (lambda: RunConfig(restart_moments="yes"), "expected true or false for restart_moments, got 'yes'"),
    ],
)
def test_a_value_of_another_type_is_refused(make, expected: str):
    with pytest.raises(InputError, match=expected):
        make()
