"""What the checkout as a whole promises: its licence is whole, and it names no machine and no package index."""

from __future__ import annotations

import hashlib
from pathlib import Path

import yaml

APACHE_2_SHA256 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
OF_A_MACHINE = [
    "/".join(parts)
    for parts in (
        ("", "work", "main"),
        ("", "work", "shared"),
        ("", "opt", "pypi"),
        ("", "opt", "wheels"),
        ("", "home", ""),
        ("", "root", ""),
        ("", "Users", ""),
    )
]
OF_AN_INDEX = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("download", "pytorch", "org"))]
BINARY = {".tif", ".nrrd", ".gz", ".png", ".zip", ".safetensors", ".npz"}


def test_the_licence_is_the_whole_apache_2_text(repository: Path):
    assert hashlib.sha256((repository / "LICENSE").read_bytes()).hexdigest() == APACHE_2_SHA256


def test_no_file_names_a_machine_or_an_index(tree: list[Path]):
    texts = {path: path.read_text(encoding="utf-8") for path in tree if path.suffix not in BINARY}
    assert len(texts) > 50
    found = [(path.name, word) for path, text in texts.items() for word in OF_A_MACHINE + OF_AN_INDEX if word in text]
    assert found == []


def test_hooks_fetch_nothing(repository: Path):
    config = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert {hook["id"] for hook in hooks} == {"ruff", "ruff-format", "mypy", "import-linter"}
    assert {hook["language"] for hook in hooks} == {"system"}
