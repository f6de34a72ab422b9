"""YAML as data alone: what is read, and every trick that is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from experiments.strict_yaml import load, parse, scalar
from volumes.errors import ConfigError

HERE = Path("config.yaml")

SCALARS = {
    "on": "on",
    "yes": "yes",
    "12:30:45": "12:30:45",
    "2024-01-01": "2024-01-01",
    "0x1F": "0x1F",
    "1_000": "1_000",
    "3": 3,
    "-7": -7,
    "3.10": 3.1,
    "1e-3": 1e-3,
    ".5": 0.5,
    "true": True,
    "null": None,
    '"3"': "3",
    "": None,
}


@pytest.mark.parametrize(("text", "value"), SCALARS.items())
def test_a_scalar_is_what_it_looks_like(text: str, value: object) -> None:
    found = parse(f"key: {text}\n", HERE)["key"]
    assert found == value
    assert type(found) is type(value)


REFUSED = {
    "a: 1\na: 2\n": "twice",
    "a: {b: 1, b: 2}\n": "twice",
    "a:\n  - {b: 1, b: 2}\n": "twice",
    "a: &x [1]\nb: *x\n": "anchors",
    "a: !!python/object/apply:os.system ['true']\n": "tags",
    "a: !include secret\n": "tags",
    "a: !!str 3\n": "tags",
    "true: 1\n": "key must be text",
    "a: {3: b}\n": "key must be text",
    "[a, b]: 1\n": "key must be text",
    "- 1\n": "mapping",
    "just text\n": "mapping",
    "": "mapping",
    "a: [1\n": "not valid YAML",
    "a: 1\n b: 2\n": "not valid YAML",
    "a: 1\n---\nb: 2\n": "not valid YAML",
}


@pytest.mark.parametrize(("text", "says"), REFUSED.items())
def test_tricks_are_refused_with_the_file_named(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        parse(text, HERE)
    assert caught.value.file == "config.yaml"


def test_the_two_lines_of_a_double_key_are_told() -> None:
    with pytest.raises(ConfigError, match="lines 2 and 4") as caught:
        parse("x:\n  spacing: 1\n  other: 2\n  spacing: 3\n", HERE)
    assert caught.value.field == "x.spacing"


def test_a_billion_laughs_never_expands() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*{p}, *{p}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True))
    with pytest.raises(ConfigError, match="refused"):
        parse(bomb, HERE)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | st.text("abc xyz", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdf", min_size=1, max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text("ghijk", min_size=1, max_size=5), plain, min_size=1))
def test_what_is_dumped_is_read_back(value: dict[str, object]) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    if "&" not in text:
        assert parse(text, HERE) == value


def test_files_that_are_no_configs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such config"):
        load(tmp_path / "missing.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(binary)
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"#" * (1 << 20) + b"\na: 1\n")
    with pytest.raises(ConfigError, match="larger"):
        load(huge)


def test_a_unicode_path_is_read(tmp_path: Path) -> None:
    path = tmp_path / "Versuch-µ-실험.yaml"
    path.write_text("a: ü\n", encoding="utf-8")
    assert load(path) == {"a": "ü"}


def test_an_override_is_one_value() -> None:
    assert scalar("[1, 2.5]") == [1, 2.5]
    assert scalar("max") == "max"
    with pytest.raises(ConfigError):
        scalar("!!python/name:os.system")


@pytest.mark.parametrize(
    ("text", "says"),
    [("a: " + "[" * 900 + "]" * 900, "nested too deeply"), ("a: " + "9" * 5000, "number that cannot be read")],
)
def test_what_the_parser_chokes_on_is_a_typed_error(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        parse(text, HERE)
    assert caught.value.file == "config.yaml"


def test_a_merge_key_merges_nothing() -> None:
    assert parse("a: {<<: {b: 1}, c: 2}\n", HERE) == {"a": {"<<": {"b": 1}, "c": 2}}


@pytest.mark.parametrize(("text", "line"), [("a: 1\nb: [1\n", 3), ("a: 1\n\tb: 2\n", 2)])
def test_the_line_of_a_slip_is_told(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match=f"line {line}"):
        parse(text, HERE)
