"""The work of `jaxstyle evaluate`."""

import jax

from jaxstyle.cli.commands.evaluate import Evaluate
from jaxstyle.cli.display import current_display
from jaxstyle.cli.pictures import describe, load_network, read_resized, read_scaled, read_styles
from jaxstyle.cli.records import to_json
from jaxstyle.cli.session import MATMUL_PRECISIONS
from jaxstyle.problems.style_transfer import make_problem
from jaxstyle.vgg.module import PIXEL_SCALE


def run(flags: Evaluate) -> int:
    """Prints one JSON object: content, style, tv and total."""
    network = load_network(flags.network, flags.used_layers())
    display = current_display()
    if flags.verbose:
        display.log(describe(network))
    picture = read_scaled(flags.picture, None, flags.matte)
    height, width, _ = picture.shape
    content = read_resized(flags.content, height, width, flags.matte)
    styles = read_styles(flags.styles, flags.style_scales, width, flags.matte)
    with jax.default_matmul_precision(MATMUL_PRECISIONS[flags.matmul_precision]):
        problem = make_problem(flags.weighed_objective(), network.params, content, styles)
        total, terms = jax.jit(problem.loss_fn)(picture * PIXEL_SCALE, problem.args, None)
    display.result(to_json({**{name: float(term) for name, term in terms.items()}, "total": float(total)}))
    return 0
