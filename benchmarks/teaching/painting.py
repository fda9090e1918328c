"""The image painter of `jaxstyle.problems.painter`, on sample photographs at 64x64.

The network of six layers of 64 units learns the color at each position. Published, in P. K. Mital's course (2016,
session 2), for the astronaut with Adam at 0.001 and 50 pixels a step, are the `PUBLISHED_COSTS`.
"""

from jaxstyle.pictures.images import resize
from jaxstyle.pictures.samples import load_sample
from jaxstyle.problems import painter
from jaxstyle.problems.problem import Problem

#: Height and width of the pictures.
SIZE = 64

#: By epoch, the published cost of the astronaut.
PUBLISHED_COSTS = {1: 171.7, 50: 93.0, 100: 76.0, 200: 61.0, 300: 50.0, 400: 45.0, 500: 41.0}


def make_problem(instance: str) -> Problem:
    """Returns the problem of painting a sample, resized by the linear filter that the published costs are of."""
    picture = resize(load_sample(instance), SIZE, SIZE, method="linear")
    return painter.make_problem(painter.PainterConfig(), picture)
