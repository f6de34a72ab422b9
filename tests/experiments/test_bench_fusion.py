"""The benchmark of fused pairs: whose they are, what fuses them, and rows that are never made twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import volumes
from experiments.bench import fusion as bench
from experiments.bench import fusion_kinds
from experiments.bench.fusion_kinds import KINDS, ONE_EACH, RULES, MaxAndMin, Named, measuring, named
from experiments.bench.fusion_pairs import SEEN, Pair, pairs, patient_of
from experiments.bench.fusion_rows import FIGURES, Row, read_rows, row_of, write_rows
from fusion.metrics import EIGHT, evaluate, lost_edges, per_source
from volumes.errors import ConfigError, TableError, VolumeFileError

SHA = "0123456789ab"


def row(pair: str = "20005.png", kind: str = "max", value: float = 1.0, **figures: float) -> Row:
    return Row("CT", pair, kind, "", **{**dict.fromkeys(FIGURES, value), **figures})


def pair(name: str, other: str = "CT") -> Pair:
    return Pair(other, name, (Path("a") / name, Path("b") / name))


def saved(folder: Path, names: tuple[str, ...], other: str = "CT") -> Path:
    """A data folder with such pairs, the first source in colour where it is PET or SPECT."""
    rng = np.random.default_rng(0)
    for kind in (other, "MRI"):
        place = folder / "fusion" / "harvard" / f"{other}-MRI" / kind
        place.mkdir(parents=True)
        for name in names:
            shape = (48, 48, 3) if kind in ("PET", "SPECT") else (48, 48)
            Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(place / name)
    return folder


# Patients and pairs


def test_a_patient_is_the_name_before_the_last_three_digits() -> None:
    assert [patient_of(n) for n in ("20005.png", "3007.png", "28012", "4021.png")] == ["20", "3", "28", "4"]


def test_patients_looked_at_while_developing_are_apart() -> None:
    assert {other: set(own) for other, own in SEEN.items()} == {
        "CT": {"28", "41"},
        "PET": {"25"},
        "SPECT": {"10", "11"},
    }
    parts = [pair(n).part for n in ("28012.png", "2028.png", "41001.png", "20041.png")]
    assert parts == ["seen", "reported", "seen", "reported"]
    assert pair("25001.png", "PET").part == "seen"
    assert pair("25001.png", "SPECT").part == "reported"


def test_one_in_so_many_of_each_patient_is_taken(tmp_path: Path) -> None:
    names = tuple(f"{patient}{n:03d}.png" for patient in ("20", "2", "28") for n in range(5))
    data = saved(tmp_path, names)
    every = pairs(data, "CT", every=2)
    assert sorted(p.name for p in every) == sorted(f"{p}{n:03d}.png" for p in ("20", "2", "28") for n in (0, 2, 4))
    assert {p.patient for p in pairs(data, "CT", parts=["reported"])} == {"20", "2"}
    assert [p.name for p in pairs(data, "CT", 3, patients=["28"])] == ["28000.png", "28003.png"]
    (data / "fusion" / "harvard" / "CT-MRI" / "MRI" / "20003.png").unlink()
    with pytest.raises(VolumeFileError, match=r"20003\.png"):
        pairs(data, "CT")
    with pytest.raises(VolumeFileError, match="FUSETRACK_DATA"):
        pairs(data, "PET")


def test_colours_are_grey_and_modalities_are_named(tmp_path: Path) -> None:
    data = saved(tmp_path, ("5001.png",), "PET")
    found = pairs(data, "PET")[0]
    rgb = np.asarray(Image.open(found.files[0]), np.int64)
    np.testing.assert_array_equal(found.levels()[0], rgb @ (299, 587, 114) // 1000)
    one, other = found.volumes()
    assert (one.channels[0].modality, other.channels[0].modality) == ("PET", "MRI")
    np.testing.assert_array_equal(one.channel()[0], found.levels()[0])


# Kinds


def test_kinds_without_weights_take_their_sources_as_they_are_and_agree_with_their_rule() -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.uniform(0, 255, (1, 32, 32)).astype(np.float32) for _ in range(2))
    sources = [volumes.from_array(v, (1, 1, 1), modality="CT") for v in (a, b)]
    fused = {one.name: one.fuser.fuse(sources).channel() for one in named(list(RULES))}
    np.testing.assert_array_equal(fused["max"], np.maximum(a, b))
    np.testing.assert_allclose(fused["mean"], (a + b) / 2, rtol=1e-6)
    np.testing.assert_allclose(fused["max+0.15min"], np.maximum(a, b) + 0.15 * np.minimum(a, b), rtol=1e-6)
    assert len({array.tobytes() for array in fused.values()}) == len(RULES)


def test_kinds_are_known_and_their_weights_must_be_there(tmp_path: Path) -> None:
    assert set(ONE_EACH) <= set(KINDS)
    assert [one.name for one in named(["lpf", "max"])] == ["max", "lpf"]
    assert all(one.sha == "" for one in named(["lpf", "max"]))
    with pytest.raises(ConfigError, match="are no kinds"):
        named(["lpf", "magic"])
    with pytest.raises(ConfigError, match="has no weights"):
        named(["dmf-lp-literal"])
    with pytest.raises(ConfigError, match="is no file"):
        named(None, tmp_path / "none.safetensors")
    (tmp_path / "w").write_bytes(b"abc")
    found = named(["dmf-lp-4", "dmf-lp"], tmp_path / "w")
    assert {one.sha for one in found} == {"ba7816bf8f01"}
    assert [one.fuser.config.steps for one in found] == [1, 4]
    assert all(one.fuser.config.match == "none" for one in found)


def test_the_slow_one_takes_part_only_where_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w").write_bytes(b"abc")
    monkeypatch.setattr(fusion_kinds, "PRIOR", tmp_path / "w")
    monkeypatch.setattr(fusion_kinds, "_learnt", lambda *_: MaxAndMin())
    assert "ddfm" not in [one.name for one in named(None)]
    assert [one.name for one in named(["ddfm"])] == ["ddfm"]
    assert "ddfm" in [one.name for one in named(None, prior=tmp_path / "w")]


def test_only_what_has_a_scale_can_measure_it() -> None:
    assert measuring(MaxAndMin()) is None
    found = measuring(named(["lpf-max-base"])[0].fuser)
    assert (found.config.match, found.config.base) == ("percentile", "max")


# Rows


def test_a_row_is_what_the_metrics_say_of_the_rounded_picture(tmp_path: Path) -> None:
    found = pairs(saved(tmp_path, ("5001.png",)), "CT")[0]
    a, b = (levels.astype(np.float64) for levels in found.levels())
    made = np.clip(np.rint(np.maximum(a, b) + 0.15 * np.minimum(a, b)), 0, 255)
    assert made.max() == 255
    scored = row_of(found, Named("max+0.15min", MaxAndMin(), SHA))
    scores, own = evaluate(made, [a, b]), per_source(made, [a, b])
    assert {key: getattr(scored, key) for key in EIGHT} == pytest.approx({key: scores[key] for key in EIGHT})
    assert (scored.VIF_other, scored.VIF_mri) == pytest.approx(tuple(own["VIF"]))
    assert (scored.Qabf_other, scored.Qabf_mri) == pytest.approx(tuple(own["Qabf"]))
    assert (scored.lost_other, scored.lost_mri) == pytest.approx(tuple(lost_edges(made, [a, b])))
    assert pytest.approx(scored.VIF_other + scored.VIF_mri) == scored.VIF
    assert scored.key == ("CT", "5001.png", "max+0.15min", SHA)


def test_rows_read_back_as_they_were_written_and_strangers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    assert read_rows(path) == []
    rows = [row(value=1 / 3), replace(row(kind="dmf-lp", SCD=-0.25), sha=SHA)]
    write_rows(path, rows)
    assert read_rows(path) == rows
    text = path.read_text()
    for wrong, match in (
        (text.replace("-0.25", "nan"), "no such row"),
        (text.replace("-0.25", "x"), "no such row"),
        (text.replace("Qabf", "Q"), "other columns"),
        (text + text.splitlines()[1] + "\n", "twice"),
    ):
        path.write_text(wrong)
        with pytest.raises(TableError, match=match):
            read_rows(path)


def test_what_is_there_is_not_fused_again_unless_the_weights_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def scored(one: Pair, fuser: Named) -> Row:
        asked.append((one.name, fuser.name))
        return Row(one.other, one.name, fuser.name, fuser.sha, **dict.fromkeys(FIGURES, 1.0))

    monkeypatch.setattr(bench, "row_of", scored)
    chosen, out = [pair("20005.png"), pair("20006.png")], tmp_path / "r.csv"
    fusers = [Named("max", MaxAndMin()), Named("dmf-lp", MaxAndMin(), SHA)]
    bench.measured(chosen[:1], fusers, out)
    bench.measured(chosen, fusers, out)
    assert asked == [(p, k) for p in ("20005.png", "20006.png") for k in ("max", "dmf-lp")]
    asked.clear()
    rows = bench.measured(chosen, [fusers[0], replace(fusers[1], sha="f" * 12)], out)
    assert asked == [("20005.png", "dmf-lp"), ("20006.png", "dmf-lp")]
    assert len(rows) == len(read_rows(out)) == 6
    found = bench.summarised(rows, chosen, fusers)
    assert {line.sha for ls in found for line in ls if line.kind == "dmf-lp"} == {SHA}


def test_the_whole_benchmark_writes_its_tables_and_picture(tmp_path: Path) -> None:
    data = saved(tmp_path / "data", ("20001.png", "28001.png", "3001.png"))
    out = tmp_path / "out" / "f.csv"
    arguments = ["--out", str(out), "--data", str(data), "--sets", "CT", "--kinds", "max", "lpf", "mean"]
    bench.main(arguments)
    assert {p.name for p in out.parent.iterdir()} == {"f.csv", "f_summary.csv", "f.md", "f.png"}
    first = out.read_bytes()
    assert len(read_rows(out)) == 9
    text = out.with_suffix(".md").read_text()
    assert "### CT–MRI, reported: 2 patients, 2 pairs" in text
    assert "### CT–MRI, seen: 1 patients, 1 pairs" in text
    bench.main(arguments)
    assert out.read_bytes() == first
    with pytest.raises(ConfigError, match="no such patient"):
        bench.main([*arguments, "--patients", "99"])
