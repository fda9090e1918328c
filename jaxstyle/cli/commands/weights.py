"""`jaxstyle weights`: converting foreign VGG files to ours, and saying what is in a file."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from jaxstyle.cli.display import current_display, phase
from jaxstyle.output_files import check_distinct_files


@dataclass
class Convert:
    """Convert VGG weights (Keras, MatConvNet, PyTorch, safetensors, npz) to a file of ours.

    Args:
        src: The file to read; its format is recognized by content.
        dst: The file to write: .h5 or .hdf5 (ours), .npz or .safetensors.
        overwrite: Replace dst if it exists.
    """

    src: tyro.conf.Positional[str]
    dst: tyro.conf.Positional[str]
    overwrite: bool = False

    def run(self) -> int:
        """Converts the file and returns the exit code."""
        # Imported here, so that --help need not wait for HDF5 and SciPy.
        from jaxstyle.vgg.weights import check_destination, load_network, save_network

        check_distinct_files([self.dst], [self.src])
        check_destination(self.dst, overwrite=self.overwrite)
        phase("reading the weights")
        network = load_network(self.src)
        save_network(network, self.dst, overwrite=self.overwrite)
        current_display().result(f"wrote {network.architecture} to {self.dst}, checksum {network.checksum}")
        return 0


@dataclass
class Info:
    """Print what is in a file of VGG weights.

    Args:
        file: The file to read; without one, the network that comes with jaxstyle.
    """

    file: tyro.conf.Positional[str | None] = None

    def run(self) -> int:
        """Prints a line per fact and per layer, and returns the exit code."""
        from jaxstyle.vgg.weights import load_network

        phase("reading the weights")
        network = load_network(self.file)
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


@dataclass
class Weights:
    """Convert networks' weights, or say what is in a file of them."""

    command: Annotated[Convert, tyro.conf.subcommand("convert")] | Annotated[Info, tyro.conf.subcommand("info")]


#: See `jaxstyle.cli.commands`.
COMMANDS = {"weights": Weights}
