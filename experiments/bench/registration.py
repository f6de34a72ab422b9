"""Rigid registration beside SimpleITK on real volumes moved by known transforms, one thread each.

    python -m experiments.bench.registration --out results/bench/registration.csv --cases 5

writes one row a registration into the CSV and a summary as a table beside it (.md). The cases come from
``registration_cases.py`` in the folder ``bench`` beside FUSETRACK_DATA. TRE is the mean distance over 2000 points, in
mm for the brains and µm for the zebrafish (ZF). Every method runs in a process of its own, after one registration that
is not counted, so that compilation is left out of the seconds; its peak memory holds the cases as well.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import logging
import os
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volumes.atomic import write_text
from volumes.errors import VolumeFileError

log = logging.getLogger(__name__)

Array = NDArray[np.float64]
Method = Callable[[Any, Any, Array, float], tuple[Array, str]]
"""(fixed image, moving image, points, µm per unit) → (where the points go, status)."""

PAIRS = {"T1-T2": (2.0, 1000.0), "T1-CT": (4.0, 1000.0), "ZF": (10.0, 1.0)}
"""Each pair's largest TRE that counts as a success, in its unit, and µm per unit."""
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Row:
    """One registration: what, how far off (in the pair's unit), how long, and how much memory its process took."""

    method: str
    pair: str
    kind: str
    case: int
    initial: float
    tre: float
    success: bool
    cpu_s: float
    peak_mb: float
    status: str


def fusetrack(fixed: Any, moving: Any, points: Array, unit_um: float) -> tuple[Array, str]:  # noqa: ANN401
    """Ours, with the default settings."""
    import registration

    found = registration.register(_volume(fixed, unit_um), _volume(moving, unit_um), "rigid")
    return found.transform(points[:, ::-1] * unit_um)[:, ::-1] / unit_um, found.status.value


def simpleitk_geometry(fixed: Any, moving: Any, points: Array, _unit_um: float) -> tuple[Array, str]:  # noqa: ANN401
    """SimpleITK begun with the middles of the fields laid on each other."""
    return _simpleitk(fixed, moving, points, "GEOMETRY")


def simpleitk_moments(fixed: Any, moving: Any, points: Array, _unit_um: float) -> tuple[Array, str]:  # noqa: ANN401
    """SimpleITK begun with the centres of mass laid on each other."""
    return _simpleitk(fixed, moving, points, "MOMENTS")


METHODS: dict[str, Method] = {
    "fusetrack": fusetrack,
    "SimpleITK geometry": simpleitk_geometry,
    "SimpleITK moments": simpleitk_moments,
}


def measure(method: str, pair: str, kind: str, cases: int) -> list[Row]:
    """The rows of one method on the first cases of one kind, in a fresh process with one thread."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, method, pair, kind, cases).result()


def summary(rows: Sequence[Row]) -> str:
    """A Markdown table: one line a pair, kind and method."""
    head = "| pair | kind | method | success | TRE mean / median / max | CPU s mean | peak MB | not good |\n"
    lines = [head, "|---|---|---|---|---|---|---|---|\n"]
    for pair, kind, method in dict.fromkeys((r.pair, r.kind, r.method) for r in rows):
        group = [r for r in rows if (r.pair, r.kind, r.method) == (pair, kind, method)]
        tre = np.array([r.tre for r in group])
        lines.append(
            f"| {pair} | {kind} | {method} | {sum(r.success for r in group)}/{len(group)} "
            f"| {tre.mean():.2f} / {np.median(tre):.2f} / {tre.max():.2f} | {np.mean([r.cpu_s for r in group]):.2f} "
            f"| {max(r.peak_mb for r in group):.0f} | {sum(r.status not in ('good', '') for r in group)} |\n"
        )
    return "".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description="Rigid registration beside SimpleITK.")
    parser.add_argument("--out", type=Path, required=True, help="the CSV; the table goes beside it")
    parser.add_argument("--cases", type=int, default=5, help="seeds 0 … n−1 of each pair and kind (still: 1)")
    parser.add_argument("--pairs", nargs="+", choices=list(PAIRS), default=list(PAIRS))
    parser.add_argument("--kinds", nargs="+", default=["rigid", "still"], help="rigid rigid60 anyrot half part still")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows: list[Row] = []
    for pair in chosen.pairs:
        for kind in chosen.kinds:
            for method in chosen.methods:
                rows += measure(method, pair, kind, 1 if kind == "still" else chosen.cases)
                log.info("%s", summary(rows[-1:]).splitlines()[-1])
    write_text(chosen.out, _as_csv(rows))
    write_text(chosen.out.with_suffix(".md"), summary(rows))


def _measure(method: str, pair: str, kind: str, cases: int) -> list[Row]:
    source = _cases()
    limit, unit_um = PAIRS[pair]
    rows: list[Row] = []
    for case in (0, *range(cases)):
        fixed, moving, points, truth = source.make_case(pair, kind, case)
        begun = time.process_time()
        found, status = METHODS[method](fixed, moving, points, unit_um)
        seconds = time.process_time() - begun
        tre = float(np.linalg.norm(found - truth, axis=1).mean())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start = float(np.linalg.norm(points - truth, axis=1).mean())
        rows.append(Row(method, pair, kind, case, start, tre, tre < limit, seconds, peak, status))
    return rows[1:]


def _cases() -> ModuleType:
    """The module of the cases, which also holds every library to one thread."""
    data = Path(os.environ.get("FUSETRACK_DATA", REPOSITORY.parent / "shared" / "data"))
    path = data.parent / "bench" / "registration_cases.py"
    spec = importlib.util.spec_from_file_location("registration_cases", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise VolumeFileError("is missing", file=path, remedy="Set FUSETRACK_DATA to the folder of real data")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _volume(image: Any, unit_um: float) -> Any:  # noqa: ANN401
    """An ITK image as a Volume: axes read backwards, lengths in µm."""
    import SimpleITK as sitk  # noqa: N813

    import volumes

    direction = np.array(image.GetDirection()).reshape(3, 3)[::-1, ::-1]
    return volumes.from_array(
        sitk.GetArrayViewFromImage(image),
        [spacing * unit_um for spacing in reversed(image.GetSpacing())],
        modality="MRI",
        origin_um=[origin * unit_um for origin in reversed(image.GetOrigin())],
        direction=direction.tolist(),
    )


def _simpleitk(fixed: Any, moving: Any, points: Array, start: str) -> tuple[Array, str]:  # noqa: ANN401
    """Mattes over 50 bins, 20 % of the voxels in regular order, regular-step gradient descent, shrink 4-2-1."""
    import SimpleITK as sitk  # noqa: N813

    centred = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.Euler3DTransform(), getattr(sitk.CenteredTransformInitializerFilter, start)
    )
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(50)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.2)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, 200)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetInitialTransform(centred, inPlace=False)
    found = method.Execute(fixed, moving)
    return np.array([found.TransformPoint(p) for p in points.tolist()]), ""


def _as_csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


if __name__ == "__main__":
    main()
