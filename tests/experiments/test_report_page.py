"""The page as a whole: what it holds, that it asks for nothing, and that it cannot be broken into."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.report import (
    FusionSection,
    InputFact,
    RegistrationSection,
    Report,
    RunFacts,
    SegmentationSection,
    StageTiming,
    TrackingSection,
    TruthError,
    overview_picture,
    write_report,
)
from experiments.report.overview import HEIGHT, WIDTH
from experiments.report.page import page, timings_of
from experiments.report.registration_view import QUALITY, quality_rows, registration_view
from experiments.report.segmentation_view import shown_frames
from registration.quality import Quality
from volumes.errors import TableError
from volumes.resample import resample
from volumes.timelapse import TimeLapse
from volumes.transform import Affine
from volumes.volume import Channel, Volume, from_array

SPACING = (2.0, 1.0, 1.0)
VOID = {"meta", "link", "img", "input", "br", "hr", "rect", "path", "stop"}
FIGURES = ["s1-swipe", "s2-planes", "s3-cells", "s4-tracks", "s4-tree", "s4-graphs"]
EVIL = "<script>alert(1)</script>\"'&"


class Page(HTMLParser):
    """Elements of a page with their attributes, the text by element, and whether tags are balanced."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)

    def all(self, tag: str, css: str = "") -> list[dict[str, str]]:
        return [a for t, a in self.elements if t == tag and (not css or css in a.get("class", "").split())]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def blobs() -> Volume:
    """A few bright balls in 16 × 40 × 60 voxels."""
    z, y, x = np.indices((16, 40, 60)) * np.array(SPACING).reshape(3, 1, 1, 1)
    data = np.zeros(z.shape, np.float32)
    for centre in ((10, 12, 15), (16, 25, 40), (22, 20, 28)):
        data += 100 * np.exp(-sum((a - c) ** 2 for a, c in zip((z, y, x), centre, strict=True)) / 40).astype(np.float32)
    return from_array(data, SPACING, modality="fluorescence")


@pytest.fixture(scope="module")
def registration(blobs) -> RegistrationSection:
    moved = resample(blobs, blobs, Affine.rigid((0.1, 0, 0), (0, 5, -4), blobs.grid.centre_um[0]))
    error = TruthError(6.4, 0.913, 0.8, 2.1, 500, "a known turn")
    quality = {"overlap (%)": 97.0, "ngf": 0.41}
    return RegistrationSection(
        "A → B", blobs, moved, blobs, "good", (), quality, error, "mixed", "one of them simulated"
    )


@pytest.fixture(scope="module")
def fusion(blobs) -> FusionSection:
    kept = {"lpf": (0.91, 0.8), "mean": (0.5, 0.4), "max": (0.7, 0.6)}
    return FusionSection(
        "A + B", (blobs, blobs), ("one", "two"), blobs, kept, ("1 unit = 1 count",), "real", "as measured"
    )


@pytest.fixture(scope="module")
def segmentation(blobs) -> SegmentationSection:
    frames = np.stack([np.roll(blobs.array[0], k, axis=2) for k in range(12)])
    movie = TimeLapse.from_array(frames, SPACING, dt_s=60, modality="fluorescence")
    labels = TimeLapse.from_array((frames > 40).astype(np.uint8), SPACING, dt_s=60, modality="labels")
    return SegmentationSection(
        "balls", movie, labels, 36, {"volume, µm³": 412.0}, ("Look at frame 3.",), "simulated", "made"
    )


@pytest.fixture(scope="module")
def tracking() -> TrackingSection:
    t, parent = np.array([0, 1, 2, 2, 0, 1]), np.array([-1, 0, 1, 1, -1, 4])
    zyx = np.array([[1.0, 2, 3], [2, 4, 5], [3, 5, 9], [3, 6, 2], [9, 9, 9], [8, 9, 9]])
    table = {"edge F1": 0.987, "division F1": 1.0}
    return TrackingSection(
        "two lineages", t, zyx, parent, np.array([1, 1, 2, 3, 4, 4]), 60.0, table, (), "real", "real ones"
    )


@pytest.fixture(scope="module")
def facts() -> RunFacts:
    inputs = (InputFact("fixed", "data/a.nrrd", "ab" * 32, "CC BY 4.0, Somebody 2020"),)
    timings = (
        StageTiming("A", "register", 4.0, False),
        StageTiming("A", "fuse", 90.0, True),
        StageTiming("A", "link", 1.0, False),
    )
    return RunFacts("toy", "fusion:\n  kind: lpf\n", {"numpy": "2.1"}, inputs, timings, "2024-02-29 12:00 UTC")


@pytest.fixture(scope="module")
def report(registration, fusion, segmentation, tracking, facts) -> Report:
    return Report("A toy run", "Everything in small.", (registration, fusion, segmentation, tracking), facts)


@pytest.fixture(scope="module")
def html(report) -> str:
    return page(report)


@pytest.fixture(scope="module")
def parsed(html) -> Page:
    return Page(html)


def test_the_page_is_well_formed_and_its_ids_are_unique(parsed):
    assert parsed.open == []
    ids = Counter(attributes["id"] for _, attributes in parsed.elements if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    targets = {a["href"][1:] for a in parsed.all("a")} | {o["for"] for o in parsed.all("output")}
    assert targets <= set(ids)


def test_every_figure_has_its_badge_and_its_note_in_words(html, report):
    words = {"real": "real data", "simulated": "simulated", "mixed": "mixed"}
    figures = re.findall(r"<figure.*?</figure>", html, re.S)
    assert [re.findall(r'id="(s\d-[a-z]+)"', f)[0] for f in figures] == FIGURES
    for figure in figures:
        section = report.sections[int(re.findall(r'id="s(\d)-', figure)[0]) - 1]
        caption = Page(re.findall(r"<figcaption>.*</figcaption>", figure, re.S)[0])
        assert [a["class"] for a in caption.all("span", "badge")] == [f"badge {section.origin}"]
        assert [a["title"] for a in caption.all("span", "badge")] == [section.origin_note]
        assert caption.words.startswith(words[section.origin])
        assert caption.words.endswith(section.origin_note)


def test_every_section_is_named_and_linked(parsed, report):
    for number, section in enumerate(report.sections, start=1):
        assert parsed.words.count(section.name) >= 2
        assert f"#s{number}" in [a["href"] for a in parsed.all("a")]


def test_every_picture_says_what_it_shows_and_every_control_has_a_name(parsed):
    images = parsed.all("img")
    assert len(images) >= 4 + 3 + 8
    assert all(len(a["alt"]) > 10 and a["src"].startswith("data:image/png;base64,") for a in images)
    assert all(len(a["aria-label"]) > 10 for a in parsed.all("svg"))
    assert all(a.get("aria-label") for a in parsed.all("input"))
    assert all(a["type"] == "button" for a in parsed.all("button"))


def test_the_embedded_pictures_are_whole(parsed):
    for attributes in parsed.all("img"):
        raw = base64.b64decode(attributes["src"].split(",")[1])
        assert raw[:8] == b"\x89PNG\r\n\x1a\n"
        assert raw[-8:-4] == b"IEND"


def test_the_page_asks_for_nothing_from_outside(html):
    without_data = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", html)
    assert re.findall(r"https?://|//[a-z]|@import|url\((?!#)", without_data) == []
    assert "default-src 'none'" in without_data


def test_the_policy_allows_the_page_s_own_script_and_no_other(html):
    script = re.search(r"<script>(.*)</script>", html, re.S)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html


def test_the_numbers_of_the_run_are_there(parsed):
    for text in ("0.91 µm", "0.913 µm", "0.987", "97 %", "412 µm³", "ab" * 32, "CC BY 4.0, Somebody 2020", "kind: lpf"):
        assert text in parsed.words
    assert "numpy 2.1" in parsed.words
    assert "4 s" in parsed.words
    assert "2024-02-29 12:00 UTC" in parsed.words


def test_equal_reports_give_equal_pages(report, html):
    assert page(report) == html


def test_names_cannot_break_out_of_their_place(registration, fusion, segmentation, tracking, facts):
    sections = tuple(
        replace(section, name=EVIL, origin_note=EVIL) for section in (registration, fusion, segmentation, tracking)
    )
    registered = replace(sections[0], status="doubtful", reasons=(EVIL,), quality={EVIL: 1.0})
    fused = replace(sections[1], source_names=(EVIL, EVIL), scales=(EVIL,), edges_kept={EVIL: (1.0, 1.0)})
    evil_facts = replace(facts, name=EVIL, config_yaml=EVIL, versions={EVIL: EVIL}, inputs=(InputFact(*[EVIL] * 4),))
    evil = page(Report(EVIL, EVIL, (registered, fused, *sections[2:]), evil_facts))
    found = Page(evil)
    assert len(found.all("script")) == 1
    assert "alert(1)</script>" not in evil
    assert EVIL in found.words
    assert found.open == []
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)


@pytest.mark.parametrize("status", ["doubtful", "failed"])
def test_a_registration_that_is_not_good_says_so_and_what_to_try(registration, facts, status):
    section = replace(registration, status=status, reasons=("Give a start near the true pose.",))
    found = Page(page(Report("t", "s", (section,), facts)))
    assert f"({status})" in found.words
    assert "Give a start near the true pose." in found.words
    assert found.all("aside", status)
    assert found.all("span", status)


def test_a_good_registration_gives_no_advice(parsed):
    assert not parsed.all("aside", "good")
    assert [a["class"] for a in parsed.all("span", "chip")] == ["chip good"]


def test_every_figure_of_quality_has_a_name_a_unit_and_enough_digits():
    quality = Quality(1.0123, 1.0456, 1.0003, 0.8, 4.0, 2.5, 1.0, 1.0, 0.3, 120, 0.0, 1.0, 2.0, 3.0, 4.0).as_dict()
    assert set(QUALITY) == set(quality)
    rows = {row.name: (row.value, row.unit) for row in quality_rows({**quality, "own_um": 2.0})}
    assert rows["normalised mutual information, before"] == ("1.0123", "")
    assert rows["rotation"] == ("4", "°")
    assert rows["uncertainty: distance of other results nearly as good"] == ("0.300", "µm")
    assert rows["own"] == ("2", "µm")
    assert len(rows) == len(quality) + 1


def test_without_a_truth_no_error_is_claimed(registration, facts):
    found = Page(page(Report("t", "s", (replace(registration, truth_error_um=None),), facts)))
    assert "Error against the truth" not in found.words
    assert "mean registration error" not in found.words


def test_a_report_of_nothing_and_of_one_part_works(tracking, facts):
    nothing = RunFacts("toy", "", {}, (), (), "today")
    assert Page(page(Report("t", "s", (), nothing))).all("figure") == []
    assert [a["id"] for a in Page(page(Report("t", "s", (tracking,), facts))).all("figure")] == [
        "s1-tracks",
        "s1-tree",
        "s1-graphs",
    ]


def test_no_track_and_no_cell_are_shown_as_such(segmentation, tracking, facts, blobs):
    none = np.zeros(0, int)
    empty = replace(tracking, t=none, zyx_um=np.zeros((0, 3)), parent=none, track_id=none, table={})
    black = replace(segmentation, image=blobs, labels=blobs.with_data(np.zeros(blobs.grid.shape, np.uint16)), cells=0)
    found = Page(page(Report("t", "s", (black, empty), facts)))
    assert "No cell was followed." in found.words
    assert "0 cells." in found.words
    assert found.open == []


def test_a_volume_of_one_plane_and_one_of_two_channels_are_shown(fusion, facts, rng):
    flat = from_array(rng.uniform(0, 1, (40, 50)), (1, 1, 1), modality="CT")
    two = (Channel("a", "fluorescence"), Channel("b", "SWIR"))
    coloured = Volume(np.concatenate([flat.array, 1 - flat.array]), flat.grid, two)
    section = replace(fusion, sources=(flat, flat), fused=coloured)
    found = Page(page(Report("t", "s", (section,), facts)))
    images = [Image.open(_bytes(a["src"])) for a in found.all("img")]
    assert [image.mode for image in images[:3]] == ["L", "L", "RGB"]


def test_labels_that_do_not_fit_their_image_are_refused(segmentation, blobs):
    with pytest.raises(TableError, match="differ"):
        replace(segmentation, labels=blobs)
    with pytest.raises(TableError, match="names"):
        FusionSection("x", (blobs,), (), blobs, {}, (), "real", "")


def test_before_and_after_share_the_moving_window(registration, blobs):
    brighter = replace(registration, after=registration.before.with_data(registration.before.array * 2))
    swipe = registration_view(brighter, "s1").figures[0]
    _, before, after = swipe.modes[0]
    first, second = (np.asarray(Image.open(_bytes(plate.uri))).astype(int) for plate in (before, after))
    assert second[..., 2].sum() > 1.1 * first[..., 2].sum()


def test_an_aligned_pair_is_grey_and_a_moved_one_is_not(registration):
    swipe = registration_view(registration, "s1").figures[0]
    _, before, after = swipe.modes[0]
    colourful = [
        np.ptp(np.asarray(Image.open(_bytes(p.uri)).convert("RGB")).astype(int), axis=-1).mean()
        for p in (before, after)
    ]
    assert colourful[1] < 0.2 * colourful[0]


def test_frames_are_spread_over_the_movie(segmentation, blobs):
    assert shown_frames(segmentation.image, 5) == [0, 3, 6, 8, 11]
    assert shown_frames(blobs) == [0]


def test_cached_stages_take_no_time_and_no_length(facts):
    timings = timings_of(facts)
    shares = {share.name: (share.share, share.text) for share in timings.parts[0][1]}
    assert shares == {"register": (1.0, "4 s"), "fuse": (0.0, "cached"), "link": (0.25, "1 s")}
    assert timings.total == "5 s"


def test_the_file_is_small_and_replaces_what_was_there(report, html, tmp_path):
    path = tmp_path / "größe" / "report.html"
    path.parent.mkdir()
    path.write_text("old")
    write_report(report, path)
    assert path.read_text(encoding="utf-8") == html
    assert path.stat().st_size < 3_000_000
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_the_overview_has_its_size_four_lit_panels_and_equal_bytes(report, tmp_path):
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    overview_picture(report, first)
    overview_picture(report, second)
    assert first.read_bytes() == second.read_bytes()
    picture = _grey(first)
    assert picture.shape == (HEIGHT, WIDTH)
    for k in range(4):
        panel = picture[100:350, k * WIDTH // 4 + 30 : (k + 1) * WIDTH // 4 - 30]
        assert (panel > 60).mean() > 0.005


def test_the_overview_of_less_than_all_works(report, segmentation, facts, tmp_path):
    for sections in ((), (segmentation,), report.sections[:1]):
        overview_picture(replace(report, sections=sections), tmp_path / "some.png")
        with Image.open(tmp_path / "some.png") as picture:
            assert picture.size == (WIDTH, HEIGHT)


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no chromium on this machine")
    return found


def test_a_browser_shows_it_without_a_complaint(browser, html, tmp_path):
    shot = tmp_path / "shot.png"
    done = _browse(browser, html, tmp_path, f"--screenshot={shot}")
    assert re.findall(r".*CONSOLE.*", done.stderr) == []
    picture = _grey(shot)
    assert picture.shape == (3000, 1400)
    assert picture.std() > 20
    assert 0.02 < (picture < 10).mean() < 0.9


def test_the_controls_do_what_they_say(browser, html, tmp_path):
    steps = """
      const figure = document.querySelector("#s1-swipe");
      const put = (range, value) => { range.value = value; range.dispatchEvent(new Event("input")); };
      figure.querySelectorAll(".segments button")[1].click();
      put(figure.querySelector("input"), 20);
      const cells = document.querySelector("#s3-cells");
      put(cells.querySelector("input"), 0);
      const shown = [...document.querySelectorAll(".mode, .frame")].map((e) => (e.hidden ? 0 : 1)).join("");
      const said = cells.querySelector("output").textContent;
      document.title = [shown, figure.style.getPropertyValue("--cut"), said].join("|");
    """
    open_page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    done = _browse(
        browser, open_page.replace("</body>", f"<script>{{{steps}}}</script></body>"), tmp_path, "--dump-dom"
    )
    title = re.search(r"<title>(.*)</title>", done.stdout)
    assert title is not None
    assert title[1] == "01" + "10000000" + "|20%|frame 0 · 0 s"


def test_the_policy_stops_a_foreign_script_and_the_browser_says_so(browser, html, tmp_path):
    foreign = html.replace("</body>", "<script>document.title = 'taken'</script></body>")
    done = _browse(browser, foreign, tmp_path, "--dump-dom")
    assert "<title>A toy run</title>" in done.stdout
    assert "CONSOLE" in done.stderr


def _browse(browser: str, html: str, folder: Path, action: str) -> subprocess.CompletedProcess[str]:
    """Open the page from a file in a fresh profile."""
    file = folder / "page.html"
    file.write_text(html, encoding="utf-8")
    flags = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync "
        "--disable-component-update --virtual-time-budget=3000 --window-size=1400,3000 --enable-logging=stderr --v=0"
    )
    command = [browser, *flags.split(), f"--user-data-dir={folder / 'profile'}", action, file.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)


def _grey(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def _bytes(uri: str) -> io.BytesIO:
    return io.BytesIO(base64.b64decode(uri.split(",")[1]))
