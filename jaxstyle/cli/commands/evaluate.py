"""`jaxstyle evaluate`: scores any picture, made by any program, under one objective."""

from dataclasses import dataclass

from jaxstyle.cli.inputs import ObjectiveFlags, PictureFlags
from jaxstyle.cli.running import VerboseFlags
from jaxstyle.memory_limits import check_process_limits


@dataclass(kw_only=True)
class Evaluate(PictureFlags, ObjectiveFlags, VerboseFlags):
    """Print the terms of the objective at a picture, as JSON.

    The content is resized to the picture's size if it has another; the styles are scaled as `stylize` scales them.

    Attributes:
        picture: Picture to score: a file or sample:NAME.
        verbose: Print the network's name and checksum on stderr.
    """

    def check(self) -> None:
        """Raises for all that can be known to be wrong before the work starts."""
        self.check_objective()
        check_process_limits()


#: See `jaxstyle.cli.commands`.
COMMANDS = {"evaluate": Evaluate}
