"""The house rules that a machine can hold: which way imports point, and how code is written."""

import ast
import inspect
import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from importlinter import cli as import_linter

import jaxstyle

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "jaxstyle").rglob("*.py"))
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(jaxstyle.__path__, "jaxstyle.")
    if module.name != "jaxstyle.__main__"
)
LONGEST_FILE = 450

#: An entry of a docstring that means nothing in an editor's tooltip, where its function or class is not visible.
RIDDLE = re.compile(r"^\s*\w+(, \w+)*: (Of|See|As) .*", re.MULTILINE)

#: Files that may still have such entries.
WITH_RIDDLES = re.compile(
    r"benchmarks/|jaxstyle/(optimize|pictures)/|cli/(flags|report|session)|problems/(dream|pictures)"
)


def test_imports_point_down(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    assert import_linter.lint_imports(no_cache=True) == import_linter.EXIT_STATUS_SUCCESS


def test_ruff_and_its_format():
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, ROOT]
        result = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


def test_pyright_finds_no_false_type():
    pyright = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    if subprocess.run([*pyright, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("pyright cannot start: it needs Node.js (`pip install 'pyright[nodejs]'`)")
    result = subprocess.run(pyright, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_updates_are_applied_in_one_place():
    calls = [
        path.name for path in ROOT.rglob("*.py") if ".venv" not in str(path) and "apply_updates(" in path.read_text()
    ]
    assert [name for name in calls if name != Path(__file__).name] == ["step.py"]


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_says_what_it_is(name: str):
    module = import_module(name)
    assert inspect.getdoc(module), "a module docstring"
    for label, member in inspect.getmembers(module):
        if label.startswith("_") or getattr(member, "__module__", None) != name:
            continue
        if inspect.isfunction(member) or inspect.isclass(member):
            assert (member.__doc__ or "").strip(), f"a docstring for {label}"
        if inspect.isfunction(member):
            bare = [p.name for p in inspect.signature(member).parameters.values() if p.annotation is p.empty]
            assert not bare, f"types for {bare} of {label}"
            assert member.__annotations__.get("return", "missing") != "missing", f"a return type for {label}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_names_keep_to_the_house_rules(path: Path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    assert path.stem not in {"utils", "misc", "helpers", "common", "core", "manager"}
    # Nothing may run on import but definitions: importing has no side effect.
    for node in ast.parse(text).body:
        is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        # `convolve.defvjp(...)` completes the definition of a function; `__main__` is there to run.
        assert not is_call or "defvjp" in ast.unparse(node) or path.stem == "__main__", ast.unparse(node)


def test_entries_of_docstrings_stand_alone():
    found = []
    for path in [*SOURCES, *sorted((ROOT / "benchmarks").rglob("*.py"))]:
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                found += [f"{name}: {entry[0]}" for entry in RIDDLE.finditer(ast.get_docstring(node) or "")]
    assert not found, "\n".join(found)


def test_every_public_name_can_be_had():
    for name in dir(jaxstyle):
        getattr(jaxstyle, name)
    with pytest.raises(AttributeError, match="nothing"):
        _ = jaxstyle.nothing


def test_importing_jaxstyle_loads_nothing_heavy():
    code = "import sys, jaxstyle; print([m for m in ('jax', 'flax', 'optax', 'scipy', 'PIL') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
