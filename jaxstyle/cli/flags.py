"""What flags a command has: read from its dataclass, whose `Attributes` are the help, and sorted into groups."""

import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from inspect import cleandoc
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import tyro

#: The groups of --help, and their flags in the order in which they are shown. What is named nowhere is in the first.
GROUPS = {
    "what": "content styles picture sample src dst file output layers channels top excite guide holes compare tileable",
    "look": "content_weight style_weight tv_weight style_scales style_blend_weights preserve_colors initial "
    "initial_noiseblend seed headroom jitter noise_deviation content_layers content_weight_blend style_layers "
    "style_layer_weight_exp pooling network matte hidden_widths weight_deviation fourier_features fourier_scale",
    "size": "width height long_side size paint_width cell_width scales scale_step scale_iterations scale_style_scales "
    "restart_moments",
    "optimization": "optimizer iterations epochs batch_size stop_delta stop_patience settings learning_rate beta1 "
    "beta2 eps optimizer_options parameterization average",
    "zoom": "zoom zoom_factor zoom_rotation zoom_iterations zoom_frames frame_seconds",
    "file": "overwrite bit_depth title pictures table summary history curve checkpoint_output checkpoint_iterations "
    "frames animation frame_epochs progress_write progress_plot print_iterations print_epochs verbose quiet",
    "machine": "memory dtype matmul_precision batch yes compilation_cache",
}

#: What stands for a flag's value in the help, where the type does not say it.
METAVARS = {
    "FILE": "output content styles picture guide holes src dst file initial network settings summary history table "
    "curve animation",
    "PATTERN": "checkpoint_output pictures frames zoom_frames",
    "LAYER": "layers content_layers style_layers",
    "NAME=X": "optimizer_options",
    "FOLDER": "compilation_cache",
    "COLOR": "matte",
    "TEXT": "title",
    "max|avg": "pooling",
    "float32|bfloat16": "dtype",
    "normal|low": "memory",
    "highest|tf32": "matmul_precision",
    "8|16": "bit_depth",
}


class Flag(NamedTuple):
    """A flag of a command, or a word without one (a positional).

    Attributes:
        name: As a name in Python.
        annotation: The type of its field, without what `tyro` reads.
        is_positional: Whether its value is given without its name.
        default: `dataclasses.MISSING` if it has to be given.
        text: What the help says of it.
        metavar: What stands for its value, or for one of its values, in the help and in messages.
        aliases: Other words for it.
    """

    name: str
    annotation: Any
    is_positional: bool
    default: Any
    text: str
    metavar: str
    aliases: tuple[str, ...] = ()

    @property
    def kind(self) -> type:
        """The type of its value, or of one of its values."""
        return item_type(self.annotation)[0]

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return item_type(self.annotation)[1]

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value."""
        return self.annotation is bool

    @property
    def is_required(self) -> bool:
        """Whether there is no run without it."""
        return self.default is MISSING

    @property
    def word(self) -> str:
        """What people type."""
        return self.metavar if self.is_positional else flag_of(self.name)

    @property
    def value(self) -> str:
        """What stands for its value, or for all of its values."""
        return f"{self.metavar} ..." if self.is_list else self.metavar

    @property
    def group(self) -> str:
        """The group of --help in which it is shown."""
        return next((group for group, names in GROUPS.items() if self.name in names.split()), next(iter(GROUPS)))


def flags_of(command: type) -> list[Flag]:
    """Returns the flags of a command's dataclass in the order of the help."""
    hints, texts = get_type_hints(command, include_extras=True), attribute_docs(command)
    order = {name: index for index, name in enumerate(name for names in GROUPS.values() for name in names.split())}
    found = []
    for each in fields(command):
        annotation, *marks = get_args(hints[each.name]) if is_annotated(hints[each.name]) else [hints[each.name]]
        if not each.init or tyro.conf.Suppress in marks:
            continue
        is_positional = tyro.conf.Positional in marks
        metavars = [mark.metavar for mark in marks if getattr(mark, "metavar", None)]
        aliases = tuple(word for mark in marks for word in getattr(mark, "aliases", None) or ())
        metavar = metavars[0] if metavars else _metavar(each.name, item_type(annotation)[0], is_positional)
        found.append(
            Flag(each.name, annotation, is_positional, each.default, texts.get(each.name, ""), metavar, aliases)
        )
    return sorted(found, key=lambda flag: order.get(flag.name, -1))


def is_annotated(hint: Any) -> bool:
    """Returns whether a type is `Annotated`."""
    return get_origin(hint) is Annotated


def _metavar(name: str, kind: type, is_positional: bool) -> str:
    if is_positional:
        return name.upper()
    named = [metavar for metavar, names in METAVARS.items() if name in names.split()]
    return named[0] if named else {int: "N", float: "X"}.get(kind, "NAME")


def subcommands_of(command: type) -> dict[str, type]:
    """Returns the commands below a command, by name; nothing for one that has flags of its own."""
    union = get_type_hints(command, include_extras=True).get("command")
    branches = [get_args(branch) for branch in get_args(union)]
    return {mark.name: below for below, *marks in branches for mark in marks if hasattr(mark, "name")}


def help_of(flag: Flag) -> tuple[str, str]:
    """Returns what the help says of a flag, and of its default: nothing where there is none to name."""
    text, _, default = flag.text.partition(" Default: ")
    if default:
        return text, f"(default: {default.removesuffix('.')})"
    if flag.is_required or flag.default is None or flag.default in ((), "", False):
        return text, ""
    values = flag.default if isinstance(flag.default, tuple) else (flag.default,)
    shown = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in values]
    return text, f"(default: {' '.join(shown)})"


def attribute_docs(cls: type) -> dict[str, str]:
    """Returns what the docstrings of a class and of its bases say of each attribute, in one line each."""
    found: dict[str, str] = {}
    for ancestor in reversed(cls.__mro__):
        for section in _sections(ancestor):
            items = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
            found |= {name: " ".join(text.split()) for name, text in items}
    return found


def _sections(cls: type) -> Iterator[str]:
    text = cleandoc(cls.__doc__ or "")
    for heading in ("Attributes:\n", "Args:\n"):
        yield text.partition(heading)[2]


def description_of(command: type) -> str:
    """Returns what a class's docstring says before its attributes."""
    return re.split(r"\n\n(?:Attributes|Args):\n", cleandoc(command.__doc__ or ""))[0]


def item_type(kind: Any) -> tuple[type, bool]:
    """Returns the type of a flag's value, or of its items, and whether it is a list of them.

    >>> item_type(tuple[float, ...]), item_type(int | None)
    ((<class 'float'>, True), (<class 'int'>, False))
    """
    if get_origin(kind) is UnionType:
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
    return (get_args(kind)[0], True) if get_origin(kind) is tuple else (kind, False)


def flag_of(name: str) -> str:
    """Returns the flag that people type.

    >>> flag_of("style_layers")
    '--style-layers'
    """
    return f"--{name.replace('_', '-')}"
