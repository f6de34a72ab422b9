"""Values worked into a config, its paths, and how a mistake is told; suites with parts that cannot be told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from experiments.config import Suite, load
from experiments.loading import override, paths, placed, validated
from volumes.errors import ConfigError


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    file: Path
    depth: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    inner: Inner
    table: Path | None = None


VALUES = {"name": "a", "inner": {"file": "data/x.nrrd"}}


def test_an_override_replaces_adds_and_makes_room() -> None:
    values: dict[str, object] = {"a": {"b": 1, "c": 2}, "d": [1]}
    override(values, {"a.b": "[3, 4]", "a.e.f": "yes", "d": "null", "g": "1.50"})
    assert values == {"a": {"b": [3, 4], "c": 2, "e": {"f": "yes"}}, "d": None, "g": 1.5}


@pytest.mark.parametrize("key", ["a.b.c", "d.0.x"])
def test_an_override_below_a_value_names_the_whole_key(key: str) -> None:
    with pytest.raises(ConfigError, match="no keys below") as caught:
        override({"a": {"b": 1}, "d": [{"x": 1}]}, {key: "1"})
    assert caught.value.field == key


@pytest.mark.parametrize("text", ["[1", "{a: 1, a: 2}", "a\n---\nb", "9" * 5000, "[" * 400])
def test_an_override_that_is_no_value_is_a_typed_error(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override({}, {"a": text})
    assert caught.value.file == "--set"


def test_relative_paths_count_from_the_folder_and_absolute_ones_stay(tmp_path: Path) -> None:
    config = validated(Outer, VALUES | {"table": "/else/where.csv"}, tmp_path / "c.yaml")
    assert paths(config) == {"inner.file": Path("data/x.nrrd"), "table": Path("/else/where.csv")}
    there = placed(config, tmp_path)
    assert paths(there) == {"inner.file": tmp_path / "data" / "x.nrrd", "table": Path("/else/where.csv")}
    assert there.inner.depth == 1
    assert paths(validated(Outer, VALUES, tmp_path)) == {"inner.file": Path("data/x.nrrd")}


def test_a_path_of_the_home_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = validated(Outer, VALUES | {"table": "~/t.csv"}, tmp_path)
    assert placed(config, Path("/base")).table == tmp_path / "t.csv"


TOLD = {
    "a missing key": ({"inner": {"file": "x"}}, "name", "is missing", None),
    "a typo below": (
        {"name": "a", "inner": {"file": "x", "dpeth": 1}},
        "inner.dpeth",
        "no such key",
        "Did you mean 'depth'?",
    ),
    "a key like no other": (
        {"name": "a", "inner": {"file": "x"}, "qqq": 1},
        "qqq",
        "no such key",
        "Remove it, or check docs/config.md",
    ),
    "two at once": ({"inner": {"file": "x", "depth": "deep"}}, "name", "is missing", "1 more problems follow"),
}


@pytest.mark.parametrize("case", TOLD)
def test_a_mistake_is_told_with_key_problem_and_remedy(case: str) -> None:
    values, field, problem, remedy = TOLD[case]
    with pytest.raises(ConfigError) as caught:
        validated(Outer, values, Path("c.yaml"))
    error = caught.value
    assert (error.file, error.field, error.problem, error.remedy) == ("c.yaml", field, problem, remedy)


def test_a_value_of_the_wrong_type_is_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        validated(Outer, {"name": "a", "inner": {"file": "x", "depth": "deep"}}, Path("c.yaml"))
    assert (caught.value.field, caught.value.value) == ("inner.depth", "deep")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "suite.yaml"
    path.write_text(
        "name: s\nparts:\n  a: {name: one, cells: {file: a.csv}}\n  b: {name: two, cells: {file: sub/b.csv}}\n"
    )
    return path


def test_a_suite_s_paths_and_overrides_reach_its_parts(suite: Path) -> None:
    config = load(suite, {"parts.b.cells.unit": "mm", "parts.c": "{name: three, cells: {file: c.csv}}"})
    assert isinstance(config, Suite)
    cells = {key: part.cells for key, part in config.parts.items() if part.cells}
    assert {key: one.unit for key, one in cells.items()} == {"a": "um", "b": "mm", "c": "um"}
    assert [one.file for one in cells.values()] == [suite.parent / p for p in ("a.csv", "sub/b.csv", "c.csv")]


@pytest.mark.parametrize(
    ("key", "text", "field"),
    [
        ("parts.typo.title", "x", "parts.typo.name"),
        ("parts", "null", "parts"),
        ("parts", "3", "parts"),
        ("parts.a", "3", "parts.a"),
        ("parts.a.phantom.config.seed", "3", "phantom.config.seed"),
    ],
)
def test_a_suite_is_not_broken_by_an_override(suite: Path, key: str, text: str, field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(suite, {key: text})
    assert caught.value.field == field


def test_two_parts_of_one_name_are_refused(suite: Path) -> None:
    """Manifest, report and scores tell the parts apart by their names."""
    with pytest.raises(ConfigError, match="both named 'one'"):
        load(suite, {"parts.b.name": "one"})
