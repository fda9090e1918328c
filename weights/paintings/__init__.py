"""Pictures that the project paints itself, at any size: the styles every command can run with, with no download.

A painting is a pure function `paint_<name>(height, width, *, seed=0)` that returns float32 [height, width, 3] in
[0, 1]. The same seed gives the same composition at every size and, at one size, the same bytes.
"""

from paintings.autumn import paint_autumn
from paintings.garden import paint_garden
from paintings.mosaic import paint_mosaic
from paintings.swirl import paint_swirl
from paintings.waves import paint_waves

__all__ = ["paint_autumn", "paint_garden", "paint_mosaic", "paint_swirl", "paint_waves"]
