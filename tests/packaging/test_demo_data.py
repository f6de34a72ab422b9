"""The demo's data is its source's, as ATTRIBUTION.md says, small, and every file has a licence beside it."""

from __future__ import annotations

import gzip
import hashlib
import re
from importlib.resources import files
from pathlib import Path

import nrrd
import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray

DEMO = Path(str(files("configs") / "demo_data"))
DATA_FILES = sorted(p.name for p in DEMO.iterdir() if p.is_file() and p.suffix != ".md")
ATTRIBUTION = (DEMO / "ATTRIBUTION.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([^`]+)` \|.*\(licences/([^)]+)\) \|$", re.MULTILINE)
MOVIE = (75, 12, 44, 80)


def test_every_file_is_in_the_table_with_a_licence_that_is_there():
    rows = dict(ROW.findall(ATTRIBUTION))
    assert sorted(rows) == DATA_FILES
    assert set(rows.values()) == {p.name for p in (DEMO / "licences").iterdir()}


@pytest.mark.parametrize("name", DATA_FILES)
def test_every_file_has_a_section_on_origin_authors_and_changes(name: str):
    section = next(part for part in ATTRIBUTION.split("\n## ")[1:] if name in part.split("\n")[0])
    for word in ("**Origin**", "**Authors**", "**Changed**"):
        assert word in section


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("zbrain-MIT.txt", "zebrafish_zbrain_MIT.txt"),
        ("phallusia-CC-BY-4.0.txt", "phallusia_CC-BY-4.0.txt"),
        ("laptrack-BSD-3-Clause.txt", "laptrack.rst"),
    ],
)
def test_licences_are_the_sources_own(ours: str, theirs: str, data: Path):
    assert (DEMO / "licences" / ours).read_bytes() == (data / "licences" / theirs).read_bytes()


def test_all_files_together_are_small():
    assert sum((DEMO / name).stat().st_size for name in DATA_FILES) < 3_000_000


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("zbrain-tERK.nrrd", "zbrain-tERK-8bit_xyz5um.nrrd"),
        ("zbrain-H2B-RFP.nrrd", "zbrain-H2B-RFP_6dpf_mean10fish_8bit_xyz5um.nrrd"),
    ],
)
def test_atlas_volumes_differ_from_their_source_in_encoding_alone(ours: str, theirs: str, data: Path):
    shipped, header = nrrd.read(str(DEMO / ours))
    source, truth = nrrd.read(str(data / "registration" / theirs))
    assert shipped.dtype == source.dtype
    np.testing.assert_array_equal(shipped, source)
    np.testing.assert_array_equal(header["space directions"], truth["space directions"])
    assert header["space units"] == truth["space units"] == ["microns"] * 3
    assert (truth["encoding"], header["encoding"]) == ("raw", "gzip")


def _movie(name: str) -> NDArray[np.generic]:
    with tifffile.TiffFile(DEMO / name) as file:
        pages = [page.asarray() for page in file.pages]
        assert not any(page.description or page.software for page in file.pages)
    return np.stack(pages).reshape(MOVIE)


def test_movie_is_its_source_rounded(data: Path):
    images = _movie("hl60_images.tif")
    with np.load(data / "tracking/movies/HL60_3D_synthesized_data.npz") as source:
        truth = source["images"]
    assert (truth.shape, images.dtype) == (MOVIE, np.uint16)
    assert np.abs(images - truth).max() <= 0.5
    assert (images.min(), images.max()) == (91, 352)


def test_labels_are_their_source_to_the_voxel(data: Path):
    labels = _movie("hl60_labels.tif")
    with np.load(data / "tracking/movies/HL60_3D_synthesized_data.npz") as source:
        np.testing.assert_array_equal(labels, source["labels"])
    assert labels.dtype == np.uint8
    assert np.unique(labels[labels > 0]).size == 23


def test_label_numbers_are_identities_over_time():
    labels = _movie("hl60_labels.tif")
    alive = np.stack([np.isin(np.arange(1, 35), frame) for frame in labels])
    changes = np.abs(np.diff(alive.astype(int), axis=0, prepend=0, append=0)).sum(axis=0)
    assert set(changes.tolist()) <= {0, 2}


def test_lineage_is_its_source_byte_for_byte(data: Path):
    ours, theirs = (p / "phallusia_Pm03.csv.gz" for p in (DEMO, data / "tracking/lineages"))
    assert hashlib.sha256(ours.read_bytes()).digest() == hashlib.sha256(theirs.read_bytes()).digest()


def test_lineage_has_the_columns_that_are_named_and_parents_one_frame_before():
    with gzip.open(DEMO / "phallusia_Pm03.csv.gz", "rt") as file:
        table = pd.read_csv(file, index_col="id")
    assert ", ".join(["id", *table.columns]) in ATTRIBUTION
    children = table[table["parent"] >= 0]
    assert (table.loc[children["parent"], "t"].to_numpy() + 1 == children["t"].to_numpy()).all()
