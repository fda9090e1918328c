"""Advice for a run that failed or does not fit into memory, in flags that are compatible with those that were given."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxstyle.cli.command_line import was_given
from jaxstyle.cli.flags import flag_of

if TYPE_CHECKING:
    from jaxstyle.cli.running import RunFlags
    from jaxstyle.optimize.records import Result

#: Flags to which the loss is proportional, and the one on which the painter's first loss depends.
WEIGHTS = ("content_weight", "style_weight", "tv_weight", "weight_deviation")

#: Smallest number of stored pairs with which L-BFGS still works well.
FEW_PAIRS = 5


def on_end(flags: "RunFlags", result: "Result") -> str:
    """Returns a sentence with the reason why a run ended, and with advice if it failed."""
    status = result.status
    if not status.has_failed:
        return status.advice
    if not np.isfinite(result.trace.loss[0]):
        weights = [name for name in WEIGHTS if hasattr(flags, name)]
        to_blame = [f"{term}_weight" for term, values in result.trace.terms.items() if not np.isfinite(values[0])]
        used = [name for name in weights if getattr(flags, name)]
        named = [flag_of(name) for name in used if name in to_blame or not set(used) & set(to_blame)]
        what = f"lower {' and '.join(named)}, or" if named else ""
        return f"The loss was infinite or not a number before the first step; {what} try another picture or network."
    return f"{status.advice.partition(';')[0]}; {_smaller_steps(flags)}."


def on_seed(runs: "Sequence[RunFlags]") -> list[str]:
    """Returns a warning in a list if --seed was typed and has no effect in some runs, and an empty list otherwise.

    Args:
        runs: The flags of each run.
    """
    whys = [run.why_no_seed() for run in runs]
    found = [why for why in whys if why]
    if not found or not was_given("seed"):
        return []
    where = f" in {len(found)} of the {len(runs)} combinations" if len(runs) > 1 else ""
    return [f"--seed changes nothing{where}: {found[0]}"]


def _smaller_steps(flags: "RunFlags") -> str:
    from jaxstyle.optimize.optimizers import OPTIMIZERS

    spec = OPTIMIZERS[flags.optimizer]
    options, option = {**spec.defaults, **flags.default_options(), **flags.options()}, spec.rate
    if not option:  # a line search chooses the step size
        without = [flag for flag in ("settings", "optimizer_options") if was_given(flag)]
        return f"use --optimizer adam{' without ' * bool(without)}{' and '.join(map(flag_of, without))}"
    rates = [rate for _, rate in getattr(flags, "schedule", ())] or [float(options[option])]
    smaller = f"{rates[0] / 10:g}"
    is_flag = option == "learning_rate" and not any(item.startswith(f"{option}=") for item in flags.optimizer_options)
    typed = f"--learning-rate {smaller}" if is_flag else f"{option}={smaller} in --optimizer-options"
    return f"lower the learning rate, by a factor of 10 to begin with: {typed}"


def on_memory(flags: Any, scale: float) -> str:
    """Returns advice for a run that does not fit into memory.

    Args:
        flags: The flags of a command.
        scale: Factor for the width of the pictures with which the run would fit.
    """
    advice = []
    sides = [side for side in ("width", "height", "long_side") if getattr(flags, side, None) is not None]
    if sides:
        (side,) = sides
        advice.append(f"{flag_of(side)} {max(1, int(scale * getattr(flags, side)))}")
    elif hasattr(flags, "width"):
        advice.append(f"pictures {scale:.2f} times as wide (--width)")
    if getattr(flags, "memory", "low") != "low":
        advice.append("--memory low")
    if getattr(flags, "dtype", "bfloat16") != "bfloat16":
        advice.append("--dtype bfloat16")
    if getattr(flags, "optimizer", "").startswith("lbfgs"):
        if getattr(flags, "chosen_by", "") == "auto":
            advice.append("--optimizer adam, which needs less memory")
        elif float(flags.options().get("memory_size", FEW_PAIRS + 1)) > FEW_PAIRS:
            pairs = f"memory_size={FEW_PAIRS}"
            typed = f"{pairs} in --optimizer-options" if flags.optimizer_options else f"--optimizer-options {pairs}"
            advice.append(f"fewer L-BFGS pairs ({typed})")
    return f"try {', or '.join(advice)}" if advice else "use smaller pictures"
