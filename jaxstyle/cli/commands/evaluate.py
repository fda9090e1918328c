"""`jaxstyle evaluate`: scores any picture, made by any program, under one objective."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from jaxstyle.cli.flags import Command
from jaxstyle.cli.inputs import ObjectiveFlags
from jaxstyle.memory_limits import check_process_limits


@dataclass(kw_only=True)
class Evaluate(ObjectiveFlags, Command):
    """Print the terms of the objective at a picture, as JSON.

    The content is resized to the picture's size if it has another; the styles are scaled as `stylize` scales them.

    Attributes:
        picture: Picture to score: a file or sample:NAME.
        verbose: Print the network's name and checksum on stderr.
    """

    picture: Annotated[str, tyro.conf.Positional]
    verbose: bool = False

    def run(self) -> int:
        """Prints one JSON object: content, style, tv and total."""
        self.check_objective()
        check_process_limits()
        from jaxstyle.cli.runs import evaluate  # loads JAX

        return evaluate.run(self)


#: See `jaxstyle.cli.commands`.
COMMANDS = {"evaluate": Evaluate}
