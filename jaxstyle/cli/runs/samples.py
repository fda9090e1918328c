"""The work of `jaxstyle samples`."""

from jaxstyle.checks import InputError
from jaxstyle.cli.commands.samples import Samples
from jaxstyle.cli.display import current_display
from jaxstyle.pictures.image_files import check_output, write_picture
from jaxstyle.pictures.samples import SAMPLES, load_sample


def run(flags: Samples) -> int:
    """Prints the list or writes the picture, and returns the exit code."""
    display = current_display()
    if flags.output is None:
        for sample in SAMPLES.values():
            height, width = sample.size
            display.result(f"{sample.name:<10} {sample.kind:<8} {f'{width}x{height}':<8} {sample.description}")
        return 0
    check_output(flags.output, overwrite=flags.overwrite)
    found = SAMPLES.get(flags.sample.removeprefix("sample:"))
    if found is not None and found.kind == "content" and (flags.width, flags.height) != (None, None):
        raise InputError(
            "no --width or --height with a photograph", f"{found.name!r}", "leave them out: it keeps its size"
        )
    picture = load_sample(flags.sample, height=flags.height, width=flags.width)
    write_picture(flags.output, picture, overwrite=flags.overwrite)
    height, width, _ = picture.shape
    display.result(f"wrote {flags.sample.removeprefix('sample:')}, {width}x{height}, to {flags.output}")
    return 0
