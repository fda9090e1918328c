"""The work of `jaxstyle weights`."""

from functools import singledispatch

from jaxstyle.cli.commands.weights import Convert, Info
from jaxstyle.cli.display import current_display, phase
from jaxstyle.output_files import check_distinct_files
from jaxstyle.vgg import weights


@singledispatch
def run(flags: Convert | Info) -> int:
    """Converts a file or prints a line per fact and per layer, and returns the exit code."""
    raise NotImplementedError


@run.register
def _convert(flags: Convert) -> int:
    check_distinct_files([flags.dst], [flags.src])
    weights.check_destination(flags.dst, overwrite=flags.overwrite)
    phase("reading the weights")
    network = weights.load_network(flags.src)
    weights.save_network(network, flags.dst, overwrite=flags.overwrite)
    current_display().result(f"wrote {network.architecture} to {flags.dst}, checksum {network.checksum}")
    return 0


@run.register
def _print_info(flags: Info) -> int:
    phase("reading the weights")
    network = weights.load_network(flags.file)
    display = current_display()
    mean = ", ".join(f"{value:.3f}" for value in network.params["mean"])
    facts = {
        "name": network.name,
        "format": network.format,
        "architecture": network.architecture,
        "checksum": network.checksum,
        "mean RGB": mean,
        "source": network.source,
    }
    for name, value in facts.items():
        display.result(f"{name:<13} {value}")
    for name, layer in network.params.items():
        if name == "mean":
            continue
        kernel, bias = layer["kernel"], layer["bias"]
        shape = " x ".join(str(size) for size in kernel.shape)
        display.result(
            f"{name:<13} {shape:<17} kernel {kernel.min():8.4f} to {kernel.max():7.4f}"
            f"   bias {bias.min():8.4f} to {bias.max():7.4f}"
        )
    return 0
