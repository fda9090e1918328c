"""What stands beside the type of a config's field: what its value must pass, and how it is typed as a flag."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from types import NoneType
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from jaxstyle.checks import InputError, check_between, check_choice, check_not_negative, check_positive


class Knob(NamedTuple):
    """How a field is typed on the command line, where its own name and type do not say it.

    Attributes:
        name: Name of the flag, as a name in Python.
        metavar: What stands for the flag's value in the help.
        key: The flag gives this entry of the field, which is a mapping, and not the whole field.
        text: Help text of a flag with a `key`; the others have the field's.
        aliases: Other words for the flag.
    """

    name: str = ""
    metavar: str = ""
    key: str = ""
    text: str = ""
    aliases: tuple[str, ...] = ()


#: Stands beside the type of a field that has no flag.
NO_FLAG = Knob("no flag")


class Check(NamedTuple):
    """What the value of a field must pass, or each of its values: stands beside the field's type.

    Attributes:
        function: `function(name, value, *bounds)` raises `InputError`.
        bounds: The function's other arguments.
    """

    function: Callable[..., Any]
    bounds: tuple[float, ...] = ()


#: Stands beside the type of a field that goes into the arguments of a compiled program, or into where it starts. The
#: other fields are part of the program, and the targets depend on them.
ARGUMENT = "argument"

#: Types of numbers with a bound.
Positive = Annotated[float, Check(check_positive)]
PositiveInt = Annotated[int, Check(check_positive)]
NotNegative = Annotated[float, Check(check_not_negative)]
Weight = Annotated[float, Check(check_not_negative), ARGUMENT]
NotNegativeInt = Annotated[int, Check(check_not_negative)]
Share = Annotated[float, Check(check_between, (0, 1))]


def check_all(name: str, value: Any, checks: Iterable[Check]) -> None:
    """Raises `InputError` if a value, or one of several values, does not pass a check."""
    is_list = isinstance(value, list | tuple)
    for check in checks:
        for each in value if is_list else (value,):
            check.function(f"each of the {name}" if is_list else name, each, *check.bounds)


@cache
def _types_of(config: type) -> dict[str, tuple[Any, list[Check]]]:
    """Returns the type and the checks of each field."""
    found, hints = {}, get_type_hints(config, include_extras=True)
    for each in fields(config):
        hint = hints[each.name]
        kind, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        found[each.name] = kind, [mark for mark in marks if isinstance(mark, Check)]
    return found


@dataclass(frozen=True)
class Config:
    """A config: what it holds passes the checks that stand beside the types of its fields."""

    def __post_init__(self) -> None:
        for name, (kind, checks) in _types_of(type(self)).items():
            value = getattr(self, name)
            if value is None and NoneType in get_args(kind):
                continue
            if value is None:
                raise InputError(f"a value for {name}", "None", "leave it out for its default")
            if get_origin(kind) is Literal:
                check_choice(name, value, get_args(kind))
            if kind is bool and not isinstance(value, bool):
                raise InputError(f"true or false for {name}", repr(value), "set one of them")
            if Sequence in map(get_origin, (kind, *get_args(kind))) and not isinstance(value, Iterable):
                raise InputError(f"a list or a tuple for {name}", repr(value), "put it into brackets")
            check_all(name, value, checks)
