"""The flags of a command: read from its dataclass and the configs in it, whose `Attributes` are the help.

A command is a dataclass. A field of it is a flag, or a config (`jaxstyle.config`, `jaxstyle.run_config`) whose fields
are flags. The names of all these differ, so that a command line is a mapping from names to values; `build` makes a
command from it. Other flags have the value of the config's default, which a preset or a file can replace.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass, replace
from functools import cache
from importlib import import_module
from inspect import cleandoc
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro

from jaxstyle.checks import InputError, check_choice
from jaxstyle.cli.records import as_number
from jaxstyle.knobs import NO_FLAG, Check, Knob, check_all
from jaxstyle.optimize.optimizer_table import OPTIMIZERS
from jaxstyle.run_config import RunConfig

#: The groups of --help, and their flags in the order in which they are shown. Other flags are in the first group.
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

#: The flags whose values are files that a run reads, or samples: first the picture that the result may replace.
FILES_TO_READ = "content picture styles network guide holes initial settings"

#: The flags whose values are files that a run writes beside its pictures.
FILES_TO_WRITE = "history summary curve animation"

#: The flags of a config that need at least one value. For the other lists, none is the default or has a meaning.
NOT_EMPTY = ("layers", "scales")

#: Placeholders for values in the help, for the flags whose type has no placeholder of its own.
METAVARS = {
    "FILE": f"output src dst file table {FILES_TO_READ} {FILES_TO_WRITE}",
    "PATTERN": "checkpoint_output pictures frames zoom_frames",
    "LAYER": "layers content_layers style_layers",
    "FOLDER": "compilation_cache",
    "COLOR": "matte",
    "TEXT": "title",
    "8|16": "bit_depth",
}


class Nested(NamedTuple):
    """The differences between the flags of a command and the fields of its config.

    Attributes:
        without: Names of fields that are not flags of the command.
        aliases: Further names of flags, by the field.
    """

    without: str = ""
    aliases: Mapping[str, tuple[str, ...]] = {}


class Command:
    """The base class of the commands.

    Attributes:
        given: The flags that were given, with their values as given.
    """

    given: Mapping[str, Any] = {}

    @classmethod
    def presets(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Returns configs that replace the command's defaults; a flag that only names one is taken out of `given`."""
        return {}

    @classmethod
    def borrowed_flags(cls) -> Sequence["Flag"]:
        """Returns flags that are no fields of the command: what was typed for them is in `given` only."""
        return ()

    def check(self) -> None:
        """Raises for every mistake that can be found before the work starts, in the files to write too."""

    def run(self) -> int:
        """Runs the command and returns the exit code.

        The work is done by `run` in the module of `jaxstyle.cli.runs` with the same name as the command's module. It is
        imported only now, because it loads JAX.
        """
        self.check()
        module = import_module(type(self).__module__.replace(".commands.", ".runs."))
        return module.run(self)


class Flag(NamedTuple):
    """A flag or a positional argument of a command.

    Attributes:
        name: Name of the flag, as a name in Python.
        annotation: Type of the value: a number, a text, a switch, or a tuple of them.
        default: Default value; `dataclasses.MISSING` if the flag is required.
        text: Help text.
        metavar: What stands for its value, or for one of its values, in the help and in messages.
        is_positional: Whether its value is given without its name.
        aliases: Other words for it.
        choices: The values that it takes, where they are few.
        checks: What its value, or each of its values, must pass.
        config: The command's field that holds it, if that is a config.
        field: The config's or the command's field; empty for one of `Command.borrowed_flags`.
        key: The entry of that field, if the field is a mapping and the flag gives one entry.
        is_mapping: Whether the field is a mapping, which is typed as words.
    """

    name: str
    annotation: Any
    default: Any
    text: str
    metavar: str
    is_positional: bool = False
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    config: str = ""
    field: str = ""
    key: str = ""
    is_mapping: bool = False

    @property
    def kind(self) -> type:
        """The type of its value, or of one of its values."""
        return item_type(self.annotation)[0]

    @property
    def is_list(self) -> bool:
        """Whether the flag takes several values."""
        return item_type(self.annotation)[1]

    @property
    def is_switch(self) -> bool:
        """Whether the flag takes no value."""
        return self.annotation is bool

    @property
    def is_required(self) -> bool:
        """Whether the flag must be given."""
        return self.default is MISSING

    @property
    def word(self) -> str:
        """The flag as it is typed; for a positional argument its placeholder."""
        return self.metavar if self.is_positional else flag_of(self.name)

    @property
    def value(self) -> str:
        """The placeholder for its value, or for all of its values."""
        return f"{self.metavar} ..." if self.is_list else self.metavar

    @property
    def group(self) -> str:
        """The group of --help in which it is shown."""
        return next((group for group, names in GROUPS.items() if self.name in names.split()), next(iter(GROUPS)))

    def read(self, value: Any, optimizer: str) -> Any:
        """Returns the value of the field, or of its entry, from the value that was given."""
        if self.choices:
            return check_choice(self.word, value, self.choices)
        if self.config and self.name in NOT_EMPTY and not value:
            noun = "number" if self.kind is int else self.metavar.lower()
            raise InputError(f"at least one {noun} after {self.word}", "none", f"write {self.word} {self.value}")
        if value is None:
            return None
        check_all(self.word, value, self.checks)
        if not self.is_mapping:
            return value
        return _read_options(value, optimizer) if self.field == "options" else parse_layers(self.word, value)

    def value_in(self, command: Command) -> Any:
        """Returns the flag's value in a command; for a mapping only the words that were given."""
        if self.is_mapping:
            return command.given.get(self.name, ())
        if not self.field:
            return command.given.get(self.name, self.default)
        value = getattr(getattr(command, self.config) if self.config else command, self.field)
        return value.get(self.key) if self.key else value


CommandType = TypeVar("CommandType", bound=Command)


@cache
def flags_of(command: type) -> list[Flag]:
    """Returns the flags of a command's dataclass in the order of the help."""
    order = {name: index for index, name in enumerate(name for names in GROUPS.values() for name in names.split())}
    hints, texts, found = get_type_hints(command, include_extras=True), attribute_docs(command), list[Flag]()
    found += getattr(command, "borrowed_flags", list)()
    for each in fields(command):
        annotation, marks = unwrap(hints[each.name])
        if isinstance(annotation, type) and is_dataclass(annotation):
            nested = next((mark for mark in marks if isinstance(mark, Nested)), Nested())
            own, kinds = attribute_docs(annotation) | texts, get_type_hints(annotation, include_extras=True)
            for inner in fields(annotation):
                if inner.name not in nested.without.split():
                    default, aliases = getattr(each.default, inner.name), nested.aliases.get(inner.name, ())
                    found += _flags_of_field(inner.name, kinds[inner.name], default, own, aliases, each.name)
        elif each.init:
            found += _flags_of_field(each.name, hints[each.name], each.default, texts)
    return sorted(found, key=lambda flag: order.get(flag.name, -1))


def _flags_of_field(
    field: str,
    hint: Any,
    default: Any,
    texts: Mapping[str, str],
    aliases: tuple[str, ...] = (),
    config: str = "",
) -> Iterator[Flag]:
    """Yields the flag of a field, or the flags of its entries."""
    annotation, marks = unwrap(hint)
    is_positional, is_mapping = tyro.conf.Positional in marks, get_origin(annotation) is Mapping
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    knobs = [mark for mark in marks if isinstance(mark, Knob)] or [Knob()]
    for knob in knobs if NO_FLAG not in knobs else ():
        name = knob.name or field
        kind, is_list = (float, False) if knob.key else item_type(annotation)
        words = tuple(default) if is_mapping and field != "options" else ()
        shown = default.get(knob.key) if knob.key else words if is_mapping else default
        yield Flag(
            name,
            tuple[kind, ...] if is_list else kind,  # type: ignore[valid-type]
            shown,
            texts.get(name) or knob.text or texts.get(field, ""),
            knob.metavar or "|".join(choices) or _metavar(name, kind, is_positional),
            is_positional=is_positional,
            aliases=aliases + knob.aliases,
            choices=choices,
            checks=tuple(mark for mark in marks if isinstance(mark, Check)),
            config=config,
            field=field,
            key=knob.key,
            is_mapping=is_mapping and not knob.key,
        )


def build(command: type[CommandType], given: Mapping[str, Any]) -> CommandType:
    """Returns the command with the values that were given, then those of a preset or a file, then its defaults.

    Raises:
        InputError: For a value that cannot be used.
        OSError: If a preset is a file that cannot be read.
    """
    typed = dict(given)
    defaults = {each.name: each.default for each in fields(command)}  # type: ignore[arg-type]
    configs: dict[str, Any] = {name: default for name, default in defaults.items() if is_dataclass(default)}
    configs |= command.presets(typed)
    optimizer = str(typed.get("optimizer", getattr(configs.get("optimization"), "optimizer", "")))
    if "optimizer" in typed and "optimization" in configs:
        check_choice("--optimizer", optimizer, OPTIMIZERS)
    values: dict[str, Any] = {}
    changes: dict[str, dict[str, Any]] = {name: {} for name in configs}
    for flag in flags_of(command):
        if flag.name not in typed:
            continue
        value = flag.read(typed[flag.name], optimizer)
        own = changes[flag.config] if flag.config else values
        if not flag.field or (flag.is_mapping and not value):
            continue
        if flag.field == "options":
            own.setdefault("options", {}).update({flag.key: value} if flag.key else value)
        else:
            own[flag.field] = value
    for name, config in configs.items():
        try:
            is_run = isinstance(config, RunConfig)
            values[name] = config.changed(**changes[name]) if is_run else replace(config, **changes[name])
        except InputError as error:
            raise _with_flags(error, [flag for flag in flags_of(command) if flag.config == name]) from None
    made = command(**values)
    made.given = typed
    return made


def _with_flags(error: InputError, flags: Sequence[Flag]) -> InputError:
    """Returns an error about the fields of a config with the names of the flags in place of the fields."""
    expected, got, rest = str(error).partition(", got ")
    for flag in flags:
        named = f"the option '{flag.key}'" if flag.key else rf"(?<![\w'-]){flag.field}(?![\w'-])"
        expected = re.sub(named, flag.word, expected)
    error.args = (expected + got + rest,)
    return error


def flag_values(command: Command) -> dict[str, Any]:
    """Returns the value of every flag of a command, by name."""
    return {flag.name: flag.value_in(command) for flag in flags_of(type(command))}


def parse_layers(flag: str, items: Sequence[str]) -> dict[str, float]:
    """Returns layers and their weights from the items of a flag; an item without a weight has weight 1."""
    layers: dict[str, float] = {}
    for item in items:
        name, equals, weight = item.partition("=")
        try:
            layers[name] = float(weight) if equals else 1.0
        except ValueError:
            raise InputError(f"{flag} as NAME or NAME=WEIGHT", repr(item), "write for instance relu4_2=0.5") from None
    if len(layers) < len(items):
        raise InputError(f"{flag} that name each layer once", " ".join(items), "remove the repetition")
    return layers


def _read_options(items: Sequence[str], optimizer: str) -> dict[str, Any]:
    options = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals:
            # The example is an option that this optimizer has.
            known = OPTIMIZERS[check_choice("--optimizer", optimizer, OPTIMIZERS)].defaults
            example, number = next(iter(known.items()))
            shown = f"{number:g}" if isinstance(number, float) else str(number)
            advice = f"write for instance {example}={shown}"
            raise InputError("--optimizer-options as NAME=VALUE", repr(item), advice)
        options[name] = as_number(value)
    return options


def unwrap(hint: Any) -> tuple[Any, list[Any]]:
    """Returns a type without `Annotated`, and its annotations."""
    if get_origin(hint) is not Annotated:
        return hint, []
    kind, *marks = get_args(hint)
    return kind, marks


def _metavar(name: str, kind: type, is_positional: bool) -> str:
    if is_positional:
        return name.upper()
    named = [metavar for metavar, names in METAVARS.items() if name in names.split()]
    return named[0] if named else {int: "N", float: "X"}.get(kind, "NAME")


def subcommands_of(command: type) -> dict[str, type]:
    """Returns the subcommands of a command, by name; an empty mapping for a command with flags of its own."""
    union = get_type_hints(command, include_extras=True).get("command")
    branches = [get_args(branch) for branch in get_args(union)]
    return {mark.name: below for below, *marks in branches for mark in marks if hasattr(mark, "name")}


def help_of(flag: Flag) -> tuple[str, str]:
    """Returns the help text of a flag, and the text about its default, which may be empty."""
    text, _, default = flag.text.partition(" Default: ")
    if default:
        return text, f"(default: {default.removesuffix('.')})"
    if flag.is_required or flag.default is None or flag.default in ((), "", False):
        return text, ""
    values = flag.default if isinstance(flag.default, tuple) else (flag.default,)
    shown = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in values]
    return text, f"(default: {' '.join(shown)})"


def attribute_docs(cls: type) -> dict[str, str]:
    """Returns the description of each attribute, in one line, from the docstrings of a class and of its bases."""
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
    """Returns the part of a class's docstring before its attributes."""
    return re.split(r"\n\n(?:Attributes|Args):\n", cleandoc(command.__doc__ or ""))[0]


def item_type(kind: Any) -> tuple[type, bool]:
    """Returns the type of a flag's value, or of its items, and whether the value is a list.

    >>> item_type(tuple[float, ...]), item_type(int | None)
    ((<class 'float'>, True), (<class 'int'>, False))
    """
    if get_origin(kind) in (UnionType, Union):
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is Mapping:  # typed as words
        return str, True
    if get_origin(kind) is Literal:
        return type(get_args(kind)[0]), False
    return (get_args(kind)[0], True) if get_origin(kind) in (tuple, Sequence) else (kind, False)


def flag_of(name: str) -> str:
    """Returns a flag as it is typed.

    >>> flag_of("style_layers")
    '--style-layers'
    """
    return f"--{name.replace('_', '-')}"
