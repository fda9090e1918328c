"""All problems, by name."""

from collections.abc import Mapping
from types import MappingProxyType

from benchmarks.problems import BenchmarkProblem, descent, painting, pictures, regression, stocks, waves

_FAMILIES = (pictures, descent, regression, painting, waves, stocks)

#: Every problem by name.
PROBLEMS: Mapping[str, BenchmarkProblem] = MappingProxyType(
    {problem.name: problem for family in _FAMILIES for problem in family.PROBLEMS}
)
