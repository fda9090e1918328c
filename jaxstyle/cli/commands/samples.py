"""`jaxstyle samples`: lists the pictures that come with jaxstyle, and writes one to a file."""

from dataclasses import dataclass

import tyro

from jaxstyle.checks import InputError
from jaxstyle.cli.display import current_display


@dataclass
class Samples:
    """List the pictures that come with jaxstyle, or write one to a file.

    Every command takes them as `sample:NAME` where it takes a file.

    Attributes:
        sample: Name of the picture to write; without one, all are listed.
        output: Picture to write: .png .jpg .webp .tif.
        width: Width of a style in pixels; photographs keep their size. Default: from the height, or 768.
        height: Height of a style in pixels. Default: from the width, or 512.
        overwrite: Replace the file if it exists.
    """

    sample: tyro.conf.Positional[str] = ""
    output: str | None = None
    width: int | None = None
    height: int | None = None
    overwrite: bool = False

    def run(self) -> int:
        """Prints the list or writes the picture, and returns the exit code."""
        if not self.sample:
            self._list()
            return 0
        if self.output is None:
            raise InputError("--output FILE with the name of a sample", "none", "say where to write the picture")
        from jaxstyle.pictures.image_files import check_output, write_picture
        from jaxstyle.pictures.samples import SAMPLES, load_sample

        check_output(self.output, overwrite=self.overwrite)
        sample = SAMPLES.get(self.sample.removeprefix("sample:"))
        if sample is not None and sample.kind == "content" and (self.width, self.height) != (None, None):
            raise InputError(
                "no --width or --height with a photograph", f"{sample.name!r}", "leave them out: it keeps its size"
            )
        picture = load_sample(self.sample, height=self.height, width=self.width)
        write_picture(self.output, picture, overwrite=self.overwrite)
        height, width, _ = picture.shape
        current_display().result(f"wrote {self.sample.removeprefix('sample:')}, {width}x{height}, to {self.output}")
        return 0

    def _list(self) -> None:
        if self.output is not None:
            raise InputError("the name of a sample with --output", "none", "say which picture to write")
        from jaxstyle.pictures.samples import SAMPLES

        display = current_display()
        for sample in SAMPLES.values():
            height, width = sample.size
            display.result(f"{sample.name:<10} {sample.kind:<8} {f'{width}x{height}':<8} {sample.description}")


#: The command of this module by its name.
COMMANDS = {"samples": Samples}
