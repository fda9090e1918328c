"""`jaxstyle evaluate`: prints the loss of any picture, made by any program."""

from dataclasses import dataclass

from jaxstyle.cli.inputs import ObjectiveFlags, PictureFlags
from jaxstyle.cli.running import VerboseFlags
from jaxstyle.memory_limits import check_process_limits


@dataclass(kw_only=True)
class Evaluate(PictureFlags, ObjectiveFlags, VerboseFlags):
    """Print the loss of a picture, and the terms of the loss, as JSON.

    The content is resized to the picture's size if it has another; the styles are scaled as `stylize` scales them.

    Attributes:
        picture: Picture to evaluate: a file or sample:NAME.
        verbose: Print the network's name and checksum on stderr.
    """

    def check(self) -> None:
        """Raises for every mistake that can be found before the work starts."""
        self.check_objective()
        check_process_limits()


COMMANDS = {"evaluate": Evaluate}
