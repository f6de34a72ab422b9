"""The benchmark's own arithmetic, and its way from ITK images to volumes."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.bench import registration as bench_registration
from experiments.bench.registration import Row, summary
from volumes.errors import VolumeFileError


def row(**more) -> Row:
    first = {"method": "m", "pair": "T1-T2", "kind": "rigid", "case": 0, "initial": 20.0, "tre": 1.0, "success": True}
    return Row(**(first | {"cpu_s": 2.0, "peak_mb": 100.0, "status": "good"} | more))


def test_summary_has_one_line_a_group_with_its_figures():
    rows = [row(), row(case=1, tre=4.0, success=False, cpu_s=4.0, peak_mb=200.0, status="doubtful"), row(method="n")]
    lines = summary(rows).splitlines()
    assert len(lines) == 2 + 2
    assert lines[2] == "| T1-T2 | rigid | m | 1/2 | 2.50 / 2.50 / 4.00 | 3.00 | 200 | 1 |"


def test_an_itk_image_keeps_its_place_in_the_world():
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(np.arange(24.0).reshape(2, 3, 4))
    image.SetSpacing((0.5, 0.7, 2.0))
    image.SetOrigin((1.0, -2.0, 3.0))
    turn = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.3, -0.2, 0.5, (0.0, 0.0, 0.0))
    image.SetDirection(turn.GetMatrix())
    volume = bench_registration._volume(image, 1000.0)
    for index in ((0, 0, 0), (3, 2, 1)):
        theirs = np.array(image.TransformIndexToPhysicalPoint(index))[::-1] * 1000
        np.testing.assert_allclose(volume.grid.to_world([index[::-1]])[0], theirs, rtol=1e-9)
        assert volume.array[0][index[::-1]] == image[index]


def test_missing_cases_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("FUSETRACK_DATA", str(tmp_path / "data"))
    with pytest.raises(VolumeFileError, match="FUSETRACK_DATA"):
        bench_registration._cases()
