"""The cache of compiled programs: what is damaged, foreign or in the way is deleted and made again, with one line."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from jaxstyle.cli.compilation_cache import OFF, CheckedEntries, CompilationCache, default_folder


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[], tuple[dict[str, int], list[str]]]]:
    """Compiles and runs two programs with the cache in `tmp_path`, as a new process would; returns counts and lines."""
    names = (
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )
    before = {name: getattr(jax.config, name) for name in names}
    numbers = np.arange(4.0, dtype=np.float32)

    def first(x: jax.Array) -> jax.Array:
        return x + 1

    def second(x: jax.Array, y: jax.Array) -> jax.Array:
        return x * y

    def compute() -> tuple[dict[str, int], list[str]]:
        lines: list[str] = []
        jax.clear_caches()
        cache = CompilationCache.enable(str(tmp_path), lines.append)
        np.testing.assert_array_equal(jax.jit(first)(numbers), numbers + 1)
        np.testing.assert_array_equal(jax.jit(second)(numbers, numbers), numbers**2)
        return dict(cache.counts), lines

    yield compute
    reset_cache()
    for name, value in before.items():
        jax.config.update(name, value)


def entry(folder: Path, name: str) -> Path:
    (place,) = folder.glob(f"jit_{name}-*")
    return place


def test_sound_entries_are_used_and_not_mentioned(run, tmp_path: Path):
    assert run() == ({"hits": 0, "misses": 2}, [])
    assert run() == ({"hits": 2, "misses": 0}, [])
    assert len(list(tmp_path.iterdir())) == 2


def cut_off(place: Path, other: Path) -> None:
    place.write_bytes(place.read_bytes()[:-100])


def flip(place: Path, other: Path) -> None:
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)


def empty(place: Path, other: Path) -> None:
    place.write_bytes(b"")


def plant_another(place: Path, other: Path) -> None:
    place.write_bytes(other.read_bytes())  # JAX's own cache loads it, and the program fails where it is called


def plant_folder(place: Path, other: Path) -> None:
    place.unlink()
    (place / "full").mkdir(parents=True)


def plant_pipe(place: Path, other: Path) -> None:
    place.unlink()
    os.mkfifo(place)


def plant_dangling_link(place: Path, other: Path) -> None:
    place.unlink()
    place.symlink_to(place.parent / "nothing")


@pytest.mark.parametrize("damage", [cut_off, flip, empty, plant_another, plant_folder, plant_pipe, plant_dangling_link])
def test_what_cannot_be_used_is_made_again_with_one_line(run, tmp_path: Path, damage: Callable[[Path, Path], None]):
    run()
    damage(entry(tmp_path, "first"), entry(tmp_path, "second"))
    counts, lines = run()
    assert counts == {"hits": 1, "misses": 1}
    (line,) = lines
    assert "deleted and made again" in line
    assert str(tmp_path) in line
    assert run() == ({"hits": 2, "misses": 0}, [])


def test_many_bad_entries_are_one_line(run, tmp_path: Path):
    run()
    for place in tmp_path.iterdir():
        place.write_bytes(b"nonsense")
    counts, lines = run()
    assert counts == {"hits": 0, "misses": 2}
    assert len(lines) == 1


def test_an_entry_that_cannot_be_loaded_is_made_again(tmp_path: Path):
    lines: list[str] = []
    entries = CheckedEntries(tmp_path, lines.append)
    entries.put("jit_f-0", b"of another build")
    assert CheckedEntries(tmp_path, lines.append).get("jit_f-0") == b"of another build"
    assert entries.get("jit_f-0") is not None
    entries.put("jit_f-0", b"of this one")  # what JAX does after it failed to load what it got
    assert entries.get("jit_f-0") == b"of this one"
    (line,) = lines
    assert "cannot be loaded" in line


def test_what_cannot_be_written_costs_one_line(tmp_path: Path):
    lines: list[str] = []
    folder = tmp_path / "gone"
    folder.mkdir()
    entries = CheckedEntries(folder, lines.append)
    shutil.rmtree(folder)
    entries.put("jit_f-0", b"program")
    entries.put("jit_g-0", b"program")
    assert entries.get("jit_f-0") is None
    (line,) = lines
    assert "cannot keep" in line
    assert "No such file" in line


def test_off_keeps_nothing():
    assert CompilationCache.enable(OFF).folder is None


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "jaxstyle" / "compiled"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "jaxstyle" / "compiled"
