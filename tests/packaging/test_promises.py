"""What SECURITY.md promises of the code, read off its syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

EXECUTES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"}
FETCHES = {"urllib", "requests", "http", "httpx", "socket", "ftplib", "huggingface_hub", "pooch"}
CALLS = {
    "eval": "runs text as code",
    "exec": "runs text as code",
    "torch.load": "unpickles",
    "torch.save": "pickles",
    "pandas.read_pickle": "unpickles",
    "pd.read_pickle": "unpickles",
    "yaml.load": "may build any object",
    "yaml.unsafe_load": "builds any object",
    "yaml.full_load": "builds objects",
    "os.system": "runs a shell",
    "torch.hub.load": "runs code that was fetched",
    "warnings.filterwarnings": "hides warnings for everybody",
    "warnings.simplefilter": "hides warnings for everybody",
}
METHODS = {"from_pretrained", "to_pickle", "extractall"}


def _imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module.split(".")[0]


def _safe_loaders(tree: ast.AST) -> set[str]:
    """Names of the classes in a file that only narrow yaml.SafeLoader."""
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    return {node.name for node in classes if [ast.unparse(base) for base in node.bases] == ["yaml.SafeLoader"]}


def _loads_safely(call: ast.Call, tree: ast.AST) -> bool:
    given = {ast.unparse(argument) for argument in (*call.args, *(keyword.value for keyword in call.keywords))}
    return ast.unparse(call.func) == "yaml.load" and bool(given & _safe_loaders(tree))


def _faults(tree: ast.AST) -> list[tuple[int, str]]:
    found = [(line, f"imports {name}") for line, name in _imported(tree) if name in EXECUTES | FETCHES]
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        if _loads_safely(call, tree):
            continue
        if name in CALLS or name.split(".")[-1] in METHODS:
            found.append((call.lineno, f"calls {name}: {CALLS.get(name, 'fetches or unpacks unchecked')}"))
        for keyword in call.keywords:
            given = getattr(keyword.value, "value", None)
            if (keyword.arg, given) in {("allow_pickle", True), ("shell", True), ("weights_only", False)}:
                found.append((call.lineno, f"{keyword.arg}={given}"))
    return sorted(found)


def test_no_source_breaks_a_promise(sources: list[Path], repository: Path):
    assert len(sources) > 20
    broken = {
        str(path.relative_to(repository)): faults
        for path in sources
        if (faults := _faults(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert broken == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from urllib.request import urlopen",
        "eval('1')",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, Loader=Loader)",
        "tarfile.open(path).extractall(folder)",
        "Model.from_pretrained('name')",
        "subprocess.run(text, shell=True)",
    ],
)
def test_a_breach_is_seen(source: str):
    assert len(_faults(ast.parse(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import json",
        "yaml.safe_load(text)",
        "class Core(yaml.SafeLoader):\n    ...\nyaml.load(text, Core)",
        "np.load(path)",
        "model.eval()",
    ],
)
def test_what_is_allowed_passes(source: str):
    assert _faults(ast.parse(source)) == []
