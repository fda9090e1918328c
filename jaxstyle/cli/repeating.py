"""Repeats a run from its summary (`jaxstyle stylize --settings SUMMARY`): its flags are put before those typed."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from jaxstyle.checks import InputError, check_choice
from jaxstyle.cli.command_line import name_of
from jaxstyle.cli.flags import Flag, flags_of
from jaxstyle.run_config import read_record

#: The command that has --settings and can be repeated.
COMMAND = "stylize"

#: Flags that are not taken from the summary: those that are part of its settings, and those for other output files.
NOT_REPEATED = (
    "optimizer settings learning_rate beta1 beta2 eps optimizer_options iterations parameterization scales "
    "scale_iterations stop_delta stop_patience schedule overwrite summary history checkpoint_output "
    "checkpoint_iterations progress_write progress_plot print_iterations quiet verbose compilation_cache"
)

#: Groups of flags of which only one may be given, so that one that is typed replaces all of its group.
ALTERNATIVES = (("width", "height", "long_side"), ("content_layers", "content_weight_blend"))


def with_flags_of_summary(words: Sequence[str], known: Mapping[str, type]) -> tuple[str, ...]:
    """Returns the words of a command line, after the flags of the summary that --settings names.

    The optimizer and its options are read from the same file by `jaxstyle.run_config.read_settings`.

    Raises:
        InputError: If the summary is of another command, or has invalid contents.
        OSError: If the file cannot be read.
    """
    path = _value_of("settings", words)
    if words[:1] != (COMMAND,) or not path or {"-h", "--help"} & set(words):
        return tuple(words)
    record = read_record(path)
    if "flags" not in record:  # settings that `tune` wrote
        return tuple(words)
    line = record.get("command_line")
    if not isinstance(line, list) or line[1:2] != [COMMAND]:
        advice = f"name the --summary of a run of jaxstyle {COMMAND}, or type that command line again"
        raise InputError(f"a summary of 'jaxstyle {COMMAND}'", f"another in {path!r}", advice)
    typed = {name_of(word) for word in words}
    for names in ALTERNATIVES:
        typed |= set(names) if typed & set(names) else set()
    if not isinstance(record["flags"], dict):
        raise InputError("flags as an object of names and values", f"another in {path!r}", "name another file")
    flags = {flag.name: flag for flag in flags_of(known[COMMAND])}
    before: list[str] = []
    for name, value in record["flags"].items():
        is_left_open = value is None or value is False or value == []  # 0 is a value
        if name in NOT_REPEATED.split() or name in typed or is_left_open:
            continue
        if name == "initial_noiseblend" and record["flags"].get("initial") is None:  # it is part of the settings
            continue
        check_choice(f"each of the flags in {path!r}", name, flags)
        before += _as_words(flags[name], value, path)
    return (COMMAND, *before, *words[1:])


def _value_of(name: str, words: Sequence[str]) -> str:
    """Returns the last value of a flag, as typed, or an empty text if it was not given."""
    found = ""
    for word, following in pairwise([*words, ""]):
        if name_of(word) == name:
            found = word.partition("=")[2] if "=" in word else "" if name_of(following) else following
    return found


def _as_words(flag: Flag, value: Any, path: str) -> list[str]:
    """Returns the words for a flag with its value from the summary, none of which can be read as another flag.

    Raises:
        InputError: If the value does not have the flag's type, or begins like a flag.
    """
    if flag.is_switch:
        if value is not True:
            raise InputError(f"true or false for {flag.name!r}", f"{value!r} in {path!r}", "name another file")
        return [flag.word]
    values = value if flag.is_list and isinstance(value, list) else [value]
    for each in values:
        if isinstance(each, bool) or not isinstance(each, str | int | float):
            raise InputError(f"text or numbers for {flag.name!r}", f"{each!r} in {path!r}", "name another file")
    if not flag.is_list:
        return [f"{flag.word}={value}"]  # a single word, so that no value can be read as another flag
    words = [str(each) for each in values]
    for word in words:
        if word.startswith("-"):  # a file must not be able to add flags such as --overwrite
            raise InputError(
                f"values of {flag.name!r} that do not begin with '-'",
                f"{word!r} in {path!r}",
                f"type {flag.word} yourself",
            )
    return [flag.word, *words]
