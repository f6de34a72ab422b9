"""YAML as data alone: no tags, anchors or aliases, no key twice, and no value that changes its type by its looks.

PyYAML's safe loader keeps the last of two equal keys, reads ``on`` as True and ``12:30:45`` as 45045. Here the scalars
are those of YAML 1.2's core schema: null, true, false, whole and decimal numbers; all else is text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from volumes.errors import ConfigError

LARGEST_BYTES = 1 << 20
"""A config is written by people; a larger file is something else."""


class _CoreLoader(yaml.SafeLoader):
    """A safe loader with its own, shorter table of implicit types."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own protocol


for _tag, _pattern, _first in (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?([0-9]+\.[0-9]*|\.?[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", list("-+0123456789.")),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def load(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises
    ------
    ConfigError : the file is missing, too large, not UTF-8, not YAML, not a mapping, or holds a tag, an anchor, an
        alias or one key twice; with the line.
    """
    if not path.is_file():
        raise ConfigError("no such config", file=path, remedy="Check the path")
    if path.stat().st_size > LARGEST_BYTES:
        raise ConfigError("is larger than a config can be", file=path, value=f"{path.stat().st_size} bytes")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8 text", file=path, value=str(error)) from error
    return parse(text, path)


def parse(text: str, path: Path) -> dict[str, Any]:
    """The mapping that a YAML text holds; ``path`` is named in errors. Raises as :func:`load` does."""
    value = _value(text, path)
    if not isinstance(value, dict):
        raise ConfigError("must be a mapping of keys to values", file=path, value=type(value).__name__)
    return value


def scalar(text: str) -> Any:  # noqa: ANN401 - whatever the text stands for
    """The value of one ``--set`` right-hand side: a number, true, false, null, a [flow, list] or text.

    Raises
    ------
    ConfigError : a tag, an anchor, an alias, one key twice, or no YAML.
    """
    return _value(text, Path("--set"))


def _value(text: str, path: Path) -> Any:  # noqa: ANN401 - whatever the text stands for
    try:
        _refuse_tricks(text, path)
        _refuse_double_keys(yaml.compose(text, _CoreLoader), path, "")
        return yaml.load(text, _CoreLoader)  # noqa: S506 - a SafeLoader with fewer types
    except yaml.YAMLError as error:
        raise ConfigError(
            f"is not valid YAML: {_line(error)}", file=path, remedy="Mend the indentation or the brackets there"
        ) from error
    except RecursionError as error:
        raise ConfigError("is nested too deeply", file=path, remedy="Write it with fewer brackets") from error
    except ValueError as error:
        raise ConfigError(f"holds a number that cannot be read: {error}", file=path) from error


def _refuse_tricks(text: str, path: Path) -> None:
    for event in yaml.parse(text, _CoreLoader):
        where = f"line {event.start_mark.line + 1}" if event.start_mark else "?"
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError("YAML aliases are refused", file=path, field=where, remedy="Write the value out")
        if getattr(event, "anchor", None):
            raise ConfigError("YAML anchors are refused", file=path, field=where, remedy="Write the value out")
        tag = getattr(event, "tag", None)
        if tag:
            raise ConfigError("YAML tags are refused", file=path, field=where, value=tag, remedy="Remove the tag")


def _refuse_double_keys(node: yaml.Node | None, path: Path, prefix: str) -> None:
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            _refuse_double_keys(item, path, f"{prefix}{i}.")
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.tag != "tag:yaml.org,2002:str":
            raise ConfigError(
                "a key must be text", file=path, field=f"line {line}", value=key.value, remedy="Put it in quotes"
            )
        if key.value in seen:
            raise ConfigError(
                f"the key stands twice, on lines {seen[key.value]} and {line}",
                file=path,
                field=prefix + key.value,
                remedy="Keep one of them",
            )
        seen[key.value] = line
        _refuse_double_keys(value, path, f"{prefix}{key.value}.")


def _line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"{problem}, line {mark.line + 1}" if mark else str(problem)
