"""`jaxstyle weights`: converts VGG weights of other programs, and describes a file of weights."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from jaxstyle.cli.flags import Command
from jaxstyle.cli.running import OverwriteFlags


@dataclass
class Convert(OverwriteFlags):
    """Convert VGG weights of other programs (Keras, MatConvNet, PyTorch, safetensors, npz).

    Args:
        src: File to read; its format is recognized by its content.
        dst: File to write: .h5 or .hdf5 (the format of jaxstyle), .npz or .safetensors.
        overwrite: Replace DST if it exists.
    """

    src: tyro.conf.Positional[str]
    dst: tyro.conf.Positional[str]


@dataclass
class Info(Command):
    """Describe a file of VGG weights: its source, checksum and layers.

    Args:
        file: File to read. Default: the network that comes with jaxstyle.
    """

    file: tyro.conf.Positional[str | None] = None


@dataclass
class Weights:
    """Convert the weights of a network, or describe a file of them."""

    command: Annotated[Convert, tyro.conf.subcommand("convert")] | Annotated[Info, tyro.conf.subcommand("info")]


COMMANDS = {"weights": Weights}
