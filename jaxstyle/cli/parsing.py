"""The parser of the command line, which is `tyro`.

`tyro` shows the fields of nested dataclasses as groups of the help. Therefore a command is parsed as a dataclass of
groups, made here, and the values are then passed to the command's own dataclass.
"""

import contextlib
import io
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import field, make_dataclass
from functools import reduce
from importlib import import_module
from operator import or_
from pkgutil import iter_modules
from typing import Annotated, Any

import tyro

from jaxstyle import __version__
from jaxstyle.checks import InputError
from jaxstyle.cli import command_line, commands
from jaxstyle.cli.flags import GROUPS, Command, Flag, build, description_of, flags_of, help_of, subcommands_of
from jaxstyle.cli.invocation import stdout
from jaxstyle.cli.mistakes import check_repetition, explain
from jaxstyle.cli.repeating import with_flags_of_summary
from jaxstyle.cli.streams import REPLACEMENT_LOCK

_CONFIG = (
    tyro.conf.OmitArgPrefixes,
    tyro.conf.OmitSubcommandPrefixes,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.DisallowNone,
)

#: Maximum width of paragraphs in the help.
WIDEST = 100

DESCRIPTION = """Image style transfer by optimization.

See `jaxstyle COMMAND --help` for the flags of a command, and `jaxstyle --version` for the version."""


def parse(argv: Sequence[str] | None = None) -> Any:
    """Returns the command with its flags; `run()` runs it.

    Args:
        argv: The words after the program's name; None for those of this process.

    Raises:
        SystemExit: After --help and --version.
        InputError: If the words are not a command with its flags; the message names the mistake.
        OSError: If --settings names a file that cannot be read.
    """
    words = command_line.remember(sys.argv[1:] if argv is None else argv)
    if words[:1] == ("--version",):
        print(f"jaxstyle {__version__}", file=stdout())
        raise SystemExit(0)
    known = all_commands()
    check_repetition(words, known)
    words = with_flags_of_summary(words, known)
    out, err = _Capture(), io.StringIO()
    try:
        with REPLACEMENT_LOCK, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            parsed = tyro.cli(
                _union(known, words), args=list(words), prog="jaxstyle", description=DESCRIPTION, config=_CONFIG
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            print(_tidy(out.getvalue()), end="", file=stdout())
            raise
        raise explain(words, known) or _condense(err.getvalue()) from None
    return build(*_typed(parsed))


def all_commands() -> dict[str, type]:
    """Returns the classes of flags in `jaxstyle.cli.commands`, by the name of the command."""
    modules = [import_module(f"{commands.__name__}.{module.name}") for module in iter_modules(commands.__path__)]
    return dict(sorted((name, command) for module in modules for name, command in module.COMMANDS.items()))


def _union(known: Mapping[str, type], words: Sequence[str]) -> Any:
    made = {name: _in_groups(command, words) if name in words else _brief(command) for name, command in known.items()}
    return reduce(or_, (Annotated[each, tyro.conf.subcommand(name)] for name, each in made.items()))


def _brief(command: type) -> type:
    """Returns an empty dataclass for a command that was not given: the help has one sentence about it."""
    made = make_dataclass(command.__name__, [])
    made.__doc__ = description_of(command).partition("\n\n")[0]
    return made


def _in_groups(command: type, words: Sequence[str]) -> type:
    """Returns a dataclass that has the flags of `command` in groups, or its subcommands."""
    below = subcommands_of(command)
    if below:
        members: list[Any] = [("command", Annotated[_union(below, words), tyro.conf.arg(name="")])]
    else:
        flags, members = flags_of(command), []
        for index, group in enumerate(GROUPS):
            some = [(flag.name, *_described(flag)) for flag in flags if flag.group == group]
            made = make_dataclass("Group", some, kw_only=True)
            made.__doc__ = ""
            name = "" if index == 0 else group  # the first is shown with --help itself
            members += [(f"group_{index}", Annotated[made, tyro.conf.arg(name=name)])] if some else []
    made = make_dataclass(command.__name__, members, kw_only=True, namespace={"command_class": command})
    made.__doc__ = description_of(command)
    return made


def _described(flag: Flag) -> tuple[Any, Any]:
    """Returns the type and the field of a flag, with its help. None is the value of a flag that was not given."""
    metavar = None if flag.is_switch else flag.value
    if flag.is_positional and not flag.is_required:
        metavar = f"[{metavar}]"
    text, default = help_of(flag)
    shown = tyro.conf.arg(help=text, metavar=metavar, help_behavior_hint=default, aliases=flag.aliases or None)
    is_open = not flag.is_required and not flag.is_switch
    annotation = Annotated[flag.annotation | None if is_open else flag.annotation, shown]
    if flag.is_positional:
        annotation = Annotated[annotation, tyro.conf.Positional]
    return annotation, field() if flag.is_required else field(default=None if is_open else False)


def _typed(parsed: Any) -> tuple[type[Command], dict[str, Any]]:
    """Returns the command of a dataclass that `_in_groups` made, and the flags that were given."""
    groups = vars(parsed)
    if "command" in groups:
        return _typed(groups["command"])
    values = {name: value for group in groups.values() for name, value in vars(group).items()}
    return parsed.command_class, {
        name: value for name, value in values.items() if value is not None and value is not False
    }


class _Capture(io.StringIO):
    """A buffer for the help, which `tyro` colors if it is printed to a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._is_terminal = stdout().isatty()

    def isatty(self) -> bool:
        """Returns whether stdout was a terminal."""
        return self._is_terminal


def _tidy(text: str) -> str:
    """Returns the help without empty lines within its groups, and with paragraphs as wide as the terminal at most."""
    if "usage:" not in text[:20]:  # a script for the shell
        return text
    width = min(shutil.get_terminal_size().columns, WIDEST)
    lines: list[str] = []
    for line in text.replace("\u2022", "-").splitlines():  # stdout may be ASCII
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()
        if plain.startswith("  ") and lines and not lines[-1]:  # within a group; a heading is indented by one column
            lines.pop()
        if len(plain) > width and plain == line:
            lines += textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
        else:
            lines.append(line.rstrip() if plain else "")
    return "\n".join(lines).rstrip() + "\n"


def _condense(box: str) -> InputError:
    """Returns the error that `tyro` printed in a box of several lines, for mistakes that `explain` does not handle."""
    lines = [re.sub(r"[\u2500-\u257f|]|-{3,}", " ", line) for line in box.splitlines()[1:]]
    # Lines that are indented by ten columns are the help texts of the options that are named.
    lines = [line.strip() for line in lines if not line.startswith(" " * 10)]
    sentence = " ".join(line for line in lines if line).split("For full helptext")[0].split("Argument helptext")[0]
    return InputError("usable options", " ".join(sentence.split()), "see jaxstyle --help")
