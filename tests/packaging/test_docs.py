"""The pages run: every Python block, page by page, in a folder of its own; and every link leads somewhere."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from volumes import errors

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [*sorted((REPOSITORY / "docs").rglob("*.md")), *sorted(REPOSITORY.glob("*.md"))]
FENCE = re.compile(r"^```python(?P<mark>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")
NAMES = [str(page.relative_to(REPOSITORY)) for page in PAGES]


def _script(page: Path) -> str:
    """The page's blocks as one script, each on the lines that it has in the page."""
    text = page.read_text(encoding="utf-8")
    out: list[str] = []
    for block in FENCE.finditer(text):
        if block["mark"].strip() == "no-run":
            compile(block["code"], str(page), "exec")
            continue
        assert block["mark"].strip() == "", f"{page.name}: a block is marked {block['mark']!r}"
        first = text.count("\n", 0, block.start("code"))
        out += [""] * (first - len(out)) + block["code"].splitlines()
    return "\n".join(out)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_block_runs(page: Path, tmp_path: Path):
    script = _script(page)
    if not script:
        return
    file = tmp_path / f"{page.stem}.py"
    file.write_text(script, encoding="utf-8")
    command = [sys.executable, "-P", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_to_a_file(page: Path):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_of_the_docs_is_on_the_index():
    index = REPOSITORY / "docs/index.md"
    linked = {(index.parent / target).resolve() for target in LINK.findall(index.read_text(encoding="utf-8"))}
    assert {page for page in PAGES if page.parent.name == "docs" and page != index} <= linked


def test_every_error_has_its_part_on_the_page_of_faults():
    kinds = {name for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)}
    text = (REPOSITORY / "docs/faults.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## (\w+Error)$", text, re.MULTILINE)) == kinds - {"FusetrackError"}


def test_blocks_keep_the_line_numbers_of_their_page(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n\n```python\na = 1\n```\n\ntext\n\n```python\nb = a\n```\n\n```python no-run\nread(\n)\n```\n"
    )
    assert _script(page).splitlines()[3::6] == ["a = 1", "b = a"]
