"""`jaxstyle stylize --settings SUMMARY` repeats the run that wrote the summary: its flags come before those typed."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from jaxstyle.checks import InputError, check_choice
from jaxstyle.cli.command_line import name_of
from jaxstyle.cli.flags import Flag, flags_of
from jaxstyle.run_config import read_record

#: The command that takes --settings, and is repeated.
COMMAND = "stylize"

#: Flags that do not come from the summary: those that its settings stand for, and those that say what else to write.
NOT_REPEATED = (
    "optimizer settings learning_rate beta1 beta2 eps optimizer_options iterations parameterization scales "
    "scale_iterations stop_delta stop_patience schedule overwrite summary history checkpoint_output "
    "checkpoint_iterations progress_write progress_plot print_iterations quiet verbose compilation_cache"
)

#: Flags of which only one may be given: one that is typed takes the place of all.
ALTERNATIVES = (("width", "height", "long_side"), ("content_layers", "content_weight_blend"))


def with_flags_of_summary(words: Sequence[str], known: Mapping[str, type]) -> tuple[str, ...]:
    """Returns the words of a command line, with those of the summary that --settings names put before them.

    The optimizer and all that belongs to it come from the file itself, by `jaxstyle.run_config.read_settings`.

    Raises:
        InputError: If the summary is of another command, or says what it cannot say.
        OSError: If there is no such file.
    """
    path = _value_of("settings", words)
    if words[:1] != (COMMAND,) or not path or {"-h", "--help"} & set(words):
        return tuple(words)
    record = read_record(path)
    if "flags" not in record:  # of `tune`
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
        if name == "initial_noiseblend" and record["flags"].get("initial") is None:  # its settings have it
            continue
        check_choice(f"each of the flags in {path!r}", name, flags)
        before += _as_words(flags[name], value, path)
    return (COMMAND, *before, *words[1:])


def _value_of(name: str, words: Sequence[str]) -> str:
    """Returns the last value of a flag, as typed; nothing where there is none."""
    found = ""
    for word, following in pairwise([*words, ""]):
        if name_of(word) == name:
            found = word.partition("=")[2] if "=" in word else "" if name_of(following) else following
    return found


def _as_words(flag: Flag, value: Any, path: str) -> list[str]:
    """Returns the words that give a flag its value from the summary, and that cannot be read as other flags.

    Raises:
        InputError: If the value is not of the flag's kind, or would be read as a flag itself.
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
        return [f"{flag.word}={value}"]  # one word: whatever the value is, it remains the value of this flag
    words = [str(each) for each in values]
    for word in words:
        if word.startswith("-"):  # a file is not to be trusted with flags, --overwrite among them
            raise InputError(
                f"values of {flag.name!r} that do not begin with '-'",
                f"{word!r} in {path!r}",
                f"type {flag.word} yourself",
            )
    return [flag.word, *words]
