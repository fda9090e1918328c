"""`jaxstyle weights`: converting foreign VGG files to ours, and saying what is in a file."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from jaxstyle.cli.flags import Command
from jaxstyle.cli.running import OverwriteFlags


@dataclass
class Convert(OverwriteFlags):
    """Convert VGG weights (Keras, MatConvNet, PyTorch, safetensors, npz) to a file of ours.

    Args:
        src: The file to read; its format is recognized by content.
        dst: The file to write: .h5 or .hdf5 (ours), .npz or .safetensors.
        overwrite: Replace dst if it exists.
    """

    src: tyro.conf.Positional[str]
    dst: tyro.conf.Positional[str]


@dataclass
class Info(Command):
    """Print what is in a file of VGG weights.

    Args:
        file: The file to read; without one, the network that comes with jaxstyle.
    """

    file: tyro.conf.Positional[str | None] = None


@dataclass
class Weights:
    """Convert networks' weights, or say what is in a file of them."""

    command: Annotated[Convert, tyro.conf.subcommand("convert")] | Annotated[Info, tyro.conf.subcommand("info")]


#: See `jaxstyle.cli.commands`.
COMMANDS = {"weights": Weights}
