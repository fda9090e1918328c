"""Instances of problems, made once."""

from collections.abc import Callable
from typing import Any

from benchmarks.problems import BenchmarkProblem
from jaxstyle.problems.problem import Problem


class InstanceCache:
    """What runs of one benchmark problem share: its instances with their targets, and compiled programs."""

    def __init__(self) -> None:
        self._problem = ""
        self._entries: dict[Any, Any] = {}

    def get(self, problem: str, key: Any, make: Callable[[], Any]) -> Any:
        """Returns the entry of a problem at `key`, made if it is new; all entries of other problems are dropped."""
        if problem != self._problem:
            self._entries.clear()
            self._problem = problem
        if key not in self._entries:
            self._entries[key] = make()
        return self._entries[key]


def make_instance(entry: BenchmarkProblem, instance: str, cache: InstanceCache, shrink: int = 1) -> Problem:
    """Returns an instance of a problem, with its targets, made once."""
    sizes = (shrink,) if entry.has_pixels else ()
    return cache.get(entry.name, ("instance", instance, *sizes), lambda: entry.make(instance, *sizes))
