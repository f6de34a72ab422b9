"""The pictures of the rules show what the rules do: each takes a link away, moves one, or marks a cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.bench import linking_rules_picture as pictures

RULES = {rule.name: rule for rule in pictures.rules()}
IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
EXPECTED = {
    # without: edges as (frame and x of parent) → x of child; with: the same
    "distance": ({(0.0, 6.0), (0.0, 12.0)}, {(0.0, 6.0)}),
    "size": ({(0.0, 7.0)}, {(0.0, 7.0)}),
    "neighbours": ({(0.0, 8.0)}, {(0.0, -12.0)}),
    "relaxed": ({(0.0, 6.0)}, {(0.0, 6.0), (0.0, 12.0)}),
    "turning": ({(0.0, 4.0), (5.5, 12.0), (12.0, 18.0)}, {(0.0, 5.5), (5.5, 12.0), (12.0, 18.0)}),
}


def shown(file: Path) -> np.ndarray:
    """(rows, columns, 3) of a picture."""
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_scene_shows_its_rule(name: str) -> None:
    rule = RULES[name]
    cells = rule.detections()
    for config, expected in zip((rule.without, rule.with_it), EXPECTED[name], strict=True):
        edges = config.build().link(cells).edges
        x = cells.zyx_um[:, 2]
        assert {(float(x[a]), float(x[b])) for a, b in edges} == expected
    if name == "size":
        assert len(rule.without.build().link(cells).edges) == 2
        assert len(rule.with_it.build().link(cells).edges) == 1


def test_the_merged_cell_is_marked_and_no_other() -> None:
    rule = RULES["merged"]
    counts = [config.build().trace(rule.detections())[1].abnormal for config in (rule.without, rule.with_it)]
    assert counts == [0, 1]


def test_every_picture_is_drawn_and_differs_from_left_to_right(tmp_path: Path) -> None:
    pictures.main(["--out", str(tmp_path)])
    names = {f"linking_{name}.png" for name in (*RULES, "motion")}
    assert {file.name for file in tmp_path.iterdir()} == names
    for name in RULES:
        pixels = shown(tmp_path / f"linking_{name}.png")
        # Neither red nor green is drawn but for what a rule takes away or makes: on the right alone.
        coloured = np.abs(pixels[..., 0] - pixels[..., 1]) > 60
        half = pixels.shape[1] // 2
        assert coloured[:, :half].sum() == 0
        assert coloured[:, half:].sum() > 30
    for name in names:
        assert (IMAGES / name).stat().st_size <= 100_000
        assert shown(IMAGES / name).shape == shown(tmp_path / name).shape
