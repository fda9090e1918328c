"""`jaxstyle samples`: lists the pictures that come with jaxstyle, and writes one to a file."""

from dataclasses import dataclass

import tyro

from jaxstyle.checks import InputError
from jaxstyle.cli.inputs import SideFlags
from jaxstyle.cli.running import OverwriteFlags


@dataclass(kw_only=True)
class Samples(SideFlags, OverwriteFlags):
    """List the pictures that come with jaxstyle, or write one to a file.

    Every command accepts `sample:NAME` in place of a file.

    Attributes:
        sample: Name of the picture to write; without one, all are listed.
        output: Picture to write: .png .jpg .webp .tif.
        width: Width of a style in pixels; photographs keep their size. Default: that which --height gives, or 768.
        height: Height of a style in pixels. Default: that which --width gives, or 512.
        overwrite: Replace the file if it exists.
    """

    sample: tyro.conf.Positional[str] = ""
    output: str | None = None

    def check(self) -> None:
        """Raises `InputError` for a sample without a file to write, and for a file without a sample."""
        if self.sample and self.output is None:
            raise InputError("--output FILE with the name of a sample", "none", "say where to write the picture")
        if self.output is not None and not self.sample:
            raise InputError("the name of a sample with --output", "none", "say which picture to write")


COMMANDS = {"samples": Samples}
