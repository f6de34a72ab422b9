"""XML from strangers: no document type, bounded depth and size, nothing read past the root where that is enough."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tracking3d.formats import safe_xml
from tracking3d.formats.safe_xml import read_xml, root_of
from volumes.errors import TableError

BOMB = '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><r>&b;</r>'
OUTSIDE = '<!DOCTYPE r [<!ENTITY file SYSTEM "file:///etc/hostname">]><r>&file;</r>'
PLAIN_TYPE = '<!DOCTYPE r SYSTEM "r.dtd"><r/>'


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", [BOMB, OUTSIDE, PLAIN_TYPE])
def test_a_document_type_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "a.xml", text)
    for reader in (read_xml, root_of):
        with pytest.raises(TableError, match="declares a document type"):
            reader(path)


def test_a_tree_is_the_standard_parsers(tmp_path: Path) -> None:
    text = '<?xml version="1.0"?><a k="µ &amp; &lt;"><b/>x &#181;<c><d i="1"/></c><!-- no --><![CDATA[<e/>]]></a>'
    path = write(tmp_path / "a.xml", text)
    standard = ElementTree.fromstring(text)  # noqa: S314 - own text
    assert ElementTree.tostring(read_xml(path)) == ElementTree.tostring(standard)
    assert root_of(path) == "a"


def test_depth_and_size_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = safe_xml.DEEPEST
    assert read_xml(write(tmp_path / "a.xml", "<a>" * deep + "</a>" * deep)).tag == "a"
    with pytest.raises(TableError, match="nested more than"):
        read_xml(write(tmp_path / "b.xml", "<a>" * (deep + 1) + "</a>" * (deep + 1)))
    monkeypatch.setattr(safe_xml, "LARGEST", 10)
    with pytest.raises(TableError, match="larger than"):
        read_xml(tmp_path / "a.xml")


@pytest.mark.parametrize("text", ["", "<a>", "<a></b>", "no xml", "<a>&nbsp;</a>", "<a/><b/>"])
def test_what_is_no_xml_is_told_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(TableError, match="is no whole XML file"):
        read_xml(write(tmp_path / "a.xml", text))


def test_a_missing_file_and_a_folder_are_told_so(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.xml"):
        with pytest.raises(TableError, match="cannot be read"):
            read_xml(path)


def test_the_root_is_known_before_the_rest_is_read(tmp_path: Path) -> None:
    assert root_of(write(tmp_path / "a.xml", "<TrackMate><broken")) == "TrackMate"
