"""XML that strangers wrote, as a tree: no document type, so no entities; sizes and depth are bounded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np

from volumes.errors import TableError

LARGEST = 2 << 30
"""Bytes of a file that is still read: some ten million cells."""
DEEPEST = 64
"""Elements inside each other; the formats read here need seven."""


def read_xml(path: str | Path) -> Element:
    """The root element of an XML file.

    Raises
    ------
    TableError : a file that is missing, too large, no XML, or that declares a document type: entities can make a
        kilobyte into gigabytes, or name other files.
    """
    path = Path(path)
    builder = TreeBuilder()
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise TableError(f"is nested more than {DEEPEST} deep", file=path, field=name, remedy="Check its origin")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = lambda name, *_: _refuse_doctype(path, name)
    _parse(parser, path)
    return builder.close()


def root_of(path: str | Path) -> str:
    """The tag of the root element; nothing past its start is read.

    Raises
    ------
    TableError : as :func:`read_xml`.
    """
    path = Path(path)
    found: list[str] = []

    def start(name: str, _: dict[str, str]) -> None:
        found.append(name)
        raise StopIteration

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = lambda name, *_: _refuse_doctype(path, name)
    with suppress(StopIteration):
        _parse(parser, path)
    return found[0]


def text_of(element: Element, name: str, path: str | Path) -> str:
    """An attribute that must be there.

    Raises
    ------
    TableError : it is missing; names the file, the element and the attribute.
    """
    value = element.get(name)
    if value is None:
        raise TableError(f"<{named(element)}> lacks it", file=path, field=name, value=[*element.keys()])
    return value


def whole_of(element: Element, name: str, path: str | Path) -> int:
    """An attribute as a whole number; ``3.0`` is one.

    Raises
    ------
    TableError : it is missing, or no whole number.
    """
    text = text_of(element, name, path)
    value = _number(text)
    if not value.is_integer():
        raise TableError(f"<{named(element)}> needs a whole number", file=path, field=name, value=text)
    return int(value)


def finite_of(element: Element, name: str, path: str | Path) -> float:
    """An attribute as a finite number.

    Raises
    ------
    TableError : it is missing, or no finite number.
    """
    text = text_of(element, name, path)
    value = _number(text)
    if not np.isfinite(value):
        raise TableError(f"<{named(element)}> needs a finite number", file=path, field=name, value=text)
    return value


def number_of(element: Element, name: str) -> float:
    """An attribute as a number, in Java's spelling or Python's; NaN where it is missing or no number."""
    return _number(element.get(name, "nan"))


def children(element: Element, path: str | Path, *names: str) -> Iterator[Element]:
    """The elements below a path of names that must all be there, but the last, of which there may be any number.

    Raises
    ------
    TableError : one of the names is missing.
    """
    for name in names[:-1]:
        below = element.find(name)
        if below is None:
            raise TableError(f"<{element.tag}> holds no <{name}>", file=path, field=name, remedy="Save it again, whole")
        element = below
    return element.iterfind(names[-1])


def named(element: Element) -> str:
    """An element as it stands in a message: its tag, and what identifies it."""
    keys = ("ID", "id", "TRACK_ID", "frame", "SPOT_TARGET_ID", "t")
    return " ".join([element.tag, *(f'{key}="{element.get(key)}"' for key in keys if element.get(key))])


def _parse(parser: expat.XMLParserType, path: Path) -> None:
    try:
        if path.stat().st_size > LARGEST:
            raise TableError("is larger than this reader takes", file=path, value=path.stat().st_size)
        with path.open("rb") as file:
            parser.ParseFile(file)
    except OSError as error:
        raise TableError(f"cannot be read: {error.strerror}", file=path, remedy="Check the path") from error
    except expat.ExpatError as error:
        raise TableError(f"is no whole XML file: {error}", file=path, remedy="Save it again") from error


def _refuse_doctype(path: Path, name: str) -> None:
    raise TableError(
        "declares a document type, which may hide entities", file=path, field=name, remedy="Remove the <!DOCTYPE> part"
    )


def _number(text: str) -> float:
    try:
        return float(text) if "_" not in text else float("nan")
    except ValueError:
        return float("nan")
