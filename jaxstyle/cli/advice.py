"""Advice for a run that failed or does not fit into memory, in flags that are compatible with those that were given."""

from collections.abc import Sequence

import numpy as np

from jaxstyle.cli.flags import Command, flag_of, flag_values
from jaxstyle.cli.inputs import SIDES
from jaxstyle.cli.running import RunFlags
from jaxstyle.optimize.optimizers import OPTIMIZERS
from jaxstyle.optimize.records import Result

#: Flags to which the loss is proportional, and the one on which the painter's first loss depends.
WEIGHTS = ("content_weight", "style_weight", "tv_weight", "weight_deviation")

#: Smallest number of stored pairs with which L-BFGS still works well.
FEW_PAIRS = 5


def on_end(flags: RunFlags, result: Result) -> str:
    """Returns a sentence with the reason why a run ended, and with advice if it failed."""
    status = result.status
    if not status.has_failed:
        return status.advice
    if not np.isfinite(result.trace.loss[0]):
        held = flag_values(flags)
        to_blame = [f"{term}_weight" for term, values in result.trace.terms.items() if not np.isfinite(values[0])]
        used = [name for name in WEIGHTS if held.get(name)]
        named = [flag_of(name) for name in used if name in to_blame or not set(used) & set(to_blame)]
        what = f"lower {' and '.join(named)}, or" if named else ""
        return f"The loss was infinite or not a number before the first step; {what} try another picture or network."
    return f"{status.advice.partition(';')[0]}; {_smaller_steps(flags)}."


def on_seed(runs: Sequence[RunFlags]) -> list[str]:
    """Returns a warning in a list if --seed was typed and has no effect in some runs, and an empty list otherwise.

    Args:
        runs: The flags of each run.
    """
    whys = [run.why_no_seed() for run in runs]
    found = [why for why in whys if why]
    if not found or not any("seed" in run.given for run in runs):
        return []
    where = f" in {len(found)} of the {len(runs)} combinations" if len(runs) > 1 else ""
    return [f"--seed changes nothing{where}: {found[0]}"]


def _smaller_steps(flags: RunFlags) -> str:
    how = flags.optimization
    spec = OPTIMIZERS[how.optimizer]
    options, option = {**spec.defaults, **flags.default_options(), **how.options}, spec.rate
    if not option:  # a line search chooses the step size
        without = [flag_of(name) for name in ("settings", "optimizer_options") if name in flags.given]
        return f"use --optimizer adam{' without ' * bool(without)}{' and '.join(without)}"
    rates = [rate for _, rate in how.schedule] or [float(options[option])]
    smaller = f"{rates[0] / 10:g}"
    is_a_word = option in how.options and "optimizer_options" in flags.given and "learning_rate" not in flags.given
    is_flag = option == "learning_rate" and not is_a_word
    typed = f"--learning-rate {smaller}" if is_flag else f"{option}={smaller} in --optimizer-options"
    return f"lower the learning rate, by a factor of 10 to begin with: {typed}"


def on_memory(flags: Command, scale: float) -> str:
    """Returns advice for a run that does not fit into memory.

    Args:
        flags: The flags of a command.
        scale: Factor for the width of the pictures with which the run would fit.
    """
    advice, held = [], flag_values(flags)
    sides = [side for side in SIDES if held.get(side) is not None]
    if sides:
        (side,) = sides
        advice.append(f"{flag_of(side)} {max(1, int(scale * held[side]))}")
    elif "width" in held:
        advice.append(f"pictures {scale:.2f} times as wide (--width)")
    if held.get("memory", "low") != "low":
        advice.append("--memory low")
    if held.get("dtype", "bfloat16") != "bfloat16":
        advice.append("--dtype bfloat16")
    if isinstance(flags, RunFlags) and flags.optimization.optimizer.startswith("lbfgs"):
        if flags.is_auto:
            advice.append("--optimizer adam, which needs less memory")
        elif float(flags.optimization.options.get("memory_size", FEW_PAIRS + 1)) > FEW_PAIRS:
            pairs = f"memory_size={FEW_PAIRS}"
            typed = "optimizer_options" in flags.given
            what = f"{pairs} in --optimizer-options" if typed else f"--optimizer-options {pairs}"
            advice.append(f"fewer L-BFGS pairs ({what})")
    return f"try {', or '.join(advice)}" if advice else "use smaller pictures"
