"""`jaxstyle evaluate`: scores any picture, made by any program, under one objective."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from jaxstyle.cli.display import current_display
from jaxstyle.cli.network import MATMUL_PRECISIONS, describe
from jaxstyle.cli.objective import ObjectiveFlags
from jaxstyle.cli.pictures import read_resized, read_scaled
from jaxstyle.cli.records import to_json


@dataclass(kw_only=True)
class Evaluate(ObjectiveFlags):
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
        self.check()
        config = self.config()
        network = self.load_network(self.used_layers())
        display = current_display()
        if self.verbose:
            display.say(describe(network))
        picture = read_scaled(self.picture, None, self.matte)
        height, width, _ = picture.shape
        content = read_resized(self.content, height, width, self.matte)
        styles = self.read_styles(width)

        import jax

        from jaxstyle.problems.style_transfer import make_problem
        from jaxstyle.vgg.module import PIXEL_SCALE

        with jax.default_matmul_precision(MATMUL_PRECISIONS[self.matmul_precision]):
            problem = make_problem(config, network.params, content, styles)
            total, terms = jax.jit(problem.loss_fn)(picture * PIXEL_SCALE, problem.args, None)
        display.result(to_json({**{name: float(term) for name, term in terms.items()}, "total": float(total)}))
        return 0


#: See `jaxstyle.cli.commands`.
COMMANDS = {"evaluate": Evaluate}
