"""The combinations of a grid, what they share, and which of them share a run or a program."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import optax

from jaxstyle.checks import InputError
from jaxstyle.cli.commands.stylize import Stylize
from jaxstyle.cli.flags import build, flag_values
from jaxstyle.cli.inputs import SIDES
from jaxstyle.cli.pictures import read_styles, resize_to
from jaxstyle.cli.runs import stylize
from jaxstyle.optimize.configured import configured_optimizer
from jaxstyle.optimize.optimizers import OPTIMIZERS, make_optimizer, real_options
from jaxstyle.optimize.programs import value_key
from jaxstyle.optimize.transforms.averaging import keep_average
from jaxstyle.pictures.images import preserve_colors
from jaxstyle.problems.pictures import check_size
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.style_transfer import with_weights
from jaxstyle.types import NetworkParams
from jaxstyle.vgg import module as vgg
from jaxstyle.vgg.convolution import choose_method
from jaxstyle.vgg.weights import Network, load_network

#: Flags of `stylize` that neither the targets nor the program's text depend on: they become its arguments. Which layers
#: are used, and the optimizer's options that do not vary, are looked at apart. A flag not named here keeps runs apart.
ARGUMENTS = frozenset(
    {
        "content_weight",
        "content_weight_blend",
        "style_weight",
        "style_layer_weight_exp",
        "style_blend_weights",
        "tv_weight",
        "content_layers",
        "style_layers",
        "seed",
        "initial",
        "initial_noiseblend",
        "iterations",
        "learning_rate",
        "beta1",
        "beta2",
        "eps",
        "optimizer_options",
        "stop_delta",
        "stop_patience",
        "preserve_colors",
    }
)

#: Flags on which the targets depend but not the program, as long as the shapes are equal.
PICTURES = frozenset({"content", "styles", "style_scales", "scale_style_scales", "matte", *SIDES})

#: Flags on which the program depends but not the targets of a size, as long as the styles have one scale there.
METHODS = frozenset(
    {
        "optimizer",
        "parameterization",
        "average",
        "scales",
        "scale_step",
        "scale_iterations",
        "scale_style_scales",
        "restart_moments",
    }
)

#: How many runs' targets, and how many forms of a network, are kept.
MOST_TARGETS, MOST_NETWORKS = 8, 2


class Point(Stylize):
    """A combination of the grid's values: the flags that `stylize` would have.

    Attributes:
        shared: What all combinations share.
        number: From 1.
        values: Value on each axis, by flag.
        labels: Label on each axis, by flag.
    """

    shared: "Shared"
    number: int
    values: Mapping[str, Any]
    labels: Mapping[str, str]

    def check_all(self) -> None:
        """Raises for all that can be known to be wrong before the work starts, files and sizes included."""
        try:
            self.check()
            configured_optimizer(self.optimization)
            self.shared.network(self.network, self.used_layers())
            height, width, _ = self.read_pictures()[0].shape
            content_layers, style_layers = self.weighed_objective().used_layers()
            least = vgg.minimum_size(content_layers + style_layers)
            for low, narrow in self.optimization.sizes(height, width):
                check_size("the content", low, narrow, least)
                for number, style in enumerate(self.read_styles(narrow), start=1):
                    check_size(f"style {number}", style.shape[0], style.shape[1], least)
        except InputError as error:
            raise _named(error, self.labels) from None

    def read_pictures(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns the content in the result's size, and the initial picture, if there is one, in the same."""
        key = ("content", self.content, self.initial, *(getattr(self, side) for side in SIDES), self.matte)
        return _remember(self.shared.pictures, key, partial(stylize.read_pictures, self))

    def read_styles(self, width: int) -> list[np.ndarray]:
        """Returns the style pictures for a result of that width."""
        factor = self.factors()[width]
        key = ("styles", self.styles, self.style_scales, self.matte, width, factor)
        read = partial(read_styles, self.styles, self.style_scales, width, self.matte, factor=factor)
        return _remember(self.shared.pictures, key, read)

    def factors(self) -> dict[int, float]:
        """Returns the factor to --style-scales at each width."""
        return self.style_factors(*self.read_pictures()[0].shape[:2])

    def key_without(self, names: frozenset[str]) -> tuple[Hashable, ...]:
        """Returns the values of all flags but some, to be compared, and which layers are used."""
        kept = [value for name, value in flag_values(self).items() if name not in names]
        return (*kept, self.weighed_objective().used_layers())

    def shared_optimizer(self, varied: Mapping[str, frozenset[str]]) -> optax.GradientTransformation:
        """Returns the optimizer, in which the options that vary among combinations are traced."""
        how = self.optimization
        optimizer = make_optimizer(how.optimizer, traced=sorted(varied[how.optimizer]), **how.options)
        return keep_average(optimizer, how.average) if how.average else optimizer

    def retouch(self, picture: np.ndarray) -> np.ndarray:
        """Returns a result as `stylize` would write it, clipped."""
        picture = np.nan_to_num(picture, nan=0.5).clip(0, 1)
        if self.preserve_colors:
            picture = np.asarray(preserve_colors(picture, self.read_pictures()[0])).clip(0, 1)
        return picture


def make_point(
    shared: "Shared", number: int, values: Mapping[str, Any], labels: Mapping[str, str], flags: Mapping[str, Any]
) -> Point:
    """Returns a combination.

    Args:
        shared: What all combinations share.
        number: From 1.
        values: Value on each axis, by flag.
        labels: Label on each axis, by flag.
        flags: All values that were given, by flag.
    """
    try:
        point = build(Point, flags)
    except InputError as error:
        raise _named(error, labels) from None
    point.shared, point.number, point.values, point.labels = shared, number, values, labels
    return point


def _named(error: InputError, labels: Mapping[str, str]) -> InputError:
    """Returns the error with the combination that it is about."""
    if labels:
        error.args = (f"{error} (in the combination {', '.join(labels.values())})",)
    return error


class Shared:
    """What combinations share, read and computed once: pictures, networks, targets."""

    def __init__(self) -> None:
        self.pictures: OrderedDict[Hashable, Any] = OrderedDict()
        self._networks: dict[str | None, Network] = {}
        self._layers: dict[str | None, dict[str, None]] = {}
        self._frozen: OrderedDict[Hashable, NetworkParams] = OrderedDict()
        self._problems: OrderedDict[Hashable, Problem] = OrderedDict()

    def network(self, path: str | None, layers: Sequence[str] = ()) -> Network:
        """Returns the network in a file, the shipped one for None, and checks that it has `layers`."""
        if path not in self._networks:
            self._networks[path] = load_network(path)
        vgg.check_layers(self._networks[path].params, layers)
        self._layers.setdefault(path, {}).update(dict.fromkeys(layers))
        return self._networks[path]

    def problem(self, point: Point, height: int, width: int) -> Problem:
        """Returns the problem of a combination at a size; targets that an earlier one had are used again."""
        network = self._freeze(point, height * width)
        content, initial = point.read_pictures()
        key = (*point.key_without(ARGUMENTS | METHODS), height, width, point.factors()[width])
        styles = {narrow: point.read_styles(narrow) for narrow in point.factors()}
        make = partial(stylize.problem_maker(point, network, content, initial, styles), height, width)
        problem = _remember(self._problems, key, make, most=MOST_TARGETS)
        start = resize_to(content if initial is None else initial, height, width)
        config = replace(point.weighed_objective(), noise_blend=point.optimization.initial_noiseblend)
        return with_weights(problem, config, mean=network["mean"], start=start, is_given=initial is not None)

    def _freeze(self, point: Point, pixels: int) -> NetworkParams:
        """Returns the network in the form that is the fastest for pictures of so many pixels."""
        params, layers = self.network(point.network).params, tuple(self._layers[point.network])
        kernels = [layer["kernel"].shape for name, layer in params.items() if name != "mean"]
        methods = tuple(choose_method(i, o, pixels=pixels, dtype=point.objective.dtype) for _, _, i, o in kernels)
        make = partial(vgg.freeze, params, layers=layers, pixels=pixels, dtype=point.objective.dtype)
        return _remember(self._frozen, (point.network, point.objective.dtype, methods), make, most=MOST_NETWORKS)


def _remember(cache: OrderedDict[Hashable, Any], key: Hashable, make: Callable[[], Any], *, most: int = 0) -> Any:
    """Returns what `make` returned for `key`, of which the cache keeps the `most` that were used last; 0 for all."""
    if key not in cache:
        while most and len(cache) >= most:
            cache.popitem(last=False)
        cache[key] = make()
    cache.move_to_end(key)
    return cache[key]


class Run(NamedTuple):
    """One minimization.

    Attributes:
        points: The combinations that it serves, by iterations: but for the last, pictures taken on the way.
        label: For people.
    """

    points: list[Point]
    label: str

    @property
    def flags(self) -> Point:
        """The flags to run with: those of the combination with the most iterations."""
        return self.points[-1]

    @property
    def has_one_size(self) -> bool:
        """Whether it is no sequence from coarse to fine."""
        return len(self.flags.optimization.steps()) == 1


def fold(points: Sequence[Point]) -> list[Run]:
    """Returns the runs: combinations that differ in --iterations only are one, unless they go through several sizes."""
    folded: dict[Hashable, list[Point]] = {}
    for point in points:
        is_on_the_way = len(point.optimization.steps()) == 1 and not point.optimization.scale_iterations
        others = [(name, value) for name, value in point.values.items() if name != "iterations" or not is_on_the_way]
        folded.setdefault(tuple(others), []).append(point)
    runs = []
    for number, (key, members) in enumerate(folded.items(), start=1):
        members.sort(key=lambda point: point.optimization.steps()[-1])
        labels = [members[0].labels[name] for name, _ in key]  # type: ignore[attr-defined]
        runs.append(Run(members, ", ".join([f"run {number} of {len(folded)}", *labels])))
    return runs


def varied_options(points: Sequence[Point]) -> dict[str, frozenset[str]]:
    """Returns, for each optimizer, which of its numbers differ among the combinations: they become arguments.

    What is the same for all stays in the program's text, which is then the one that `stylize` runs.
    """
    values: dict[str, dict[str, set[float]]] = {}
    for point in points:
        how = point.optimization
        known, seen = OPTIMIZERS[how.optimizer].defaults, values.setdefault(how.optimizer, {})
        for name in real_options(how.optimizer):
            seen.setdefault(name, set()).add(float(how.options.get(name, known[name])))
    return {
        optimizer: frozenset(name for name, some in seen.items() if len(some) > 1) for optimizer, seen in values.items()
    }


def group(runs: Sequence[Run], varied: Mapping[str, frozenset[str]]) -> list[list[Run]]:
    """Returns the runs in groups that can share a program, each in an order in which targets can be used again."""
    groups: dict[Hashable, list[Run]] = {}
    targets: dict[Hashable, int] = {}
    turns = []
    for run in runs:
        point = run.flags
        shapes = (point.read_pictures()[0].shape, len(point.styles), *point.optimization.steps())
        program = (point.key_without(ARGUMENTS | PICTURES), shapes, value_key(point.shared_optimizer(varied).update))
        groups.setdefault(program, []).append(run)
        turns.append(targets.setdefault(point.key_without(ARGUMENTS | METHODS), len(targets)))
    turn_of = {run.flags.number: turn for run, turn in zip(runs, turns, strict=True)}
    return [sorted(some, key=lambda run: turn_of[run.flags.number]) for some in groups.values()]
