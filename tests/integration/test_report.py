"""The report of a real store, opened in a real browser from the disk."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.cli.main import run
from monitor.store.database import Store
from support.browser import Page, browser, needs_chromium
from support.stored import DAY_S, fill, minute_values, stored_event

pytestmark = needs_chromium

NAME = 'pump <script>alert("1")</script> "3" 🏭'
SECONDS = 2.5  # of each clip


def picture(path: Path) -> None:
    """A PNG of 2 × 1 pixels."""
    path.write_bytes(
        base64.b64decode(
            "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAAD0lEQVR4nGP4z8Dw/z8DAAj+Av7ftlYmAAAAAElFTkSuQmCC"
        )
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of ten days of two streams, with clips and pictures."""
    state = tmp_path_factory.mktemp("state")
    (state / "clips").mkdir()
    now = time.time()
    samples = np.random.default_rng(0).standard_normal(int(16_000 * SECONDS)).astype(np.float32) * 0.1
    events = []
    for number in range(4):
        soundfile.write(state / "clips" / f"{number}.flac", samples, 16_000)
        picture(state / "clips" / f"{number}.png")
        onset = now - DAY_S * number - 4000
        event = stored_event(number, onset=onset, reported=onset + 2, ended=onset + 30, stream=NAME)
        events.append(replace(event, clip=f"{number}.flac", picture=f"{number}.png"))
    events.append(stored_event(9, onset=now - 9000, ended=now - 8000, stream="fan", kind="lost", peak_share=None))
    with Store.open(f"sqlite:///{state / 'monitor.sqlite'}") as store:
        fill(store, {NAME: minute_values(10, 600, until=now), "fan": minute_values(10, 600, until=now, seed=2)}, events)
    out = state / "report.html"
    assert run(["report", "--state", str(state), "--since", "10d", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def page(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        opened.open(written)
        yield opened


def test_it_opens_from_disk_without_network_and_without_complaints(page: Page, written: Path) -> None:
    assert [one for one in page.requested if not one.startswith("data:")] == [written.as_uri()]
    assert page.complaints == []
    assert page.value("document.querySelectorAll('script').length") == 0


def test_clips_can_be_played_and_pictures_are_seen(page: Page) -> None:
    durations = page.value(
        "Promise.all([...document.querySelectorAll('audio')].map(one => one.readyState >= 1 ? one.duration :"
        " new Promise((done, fail) => { one.onloadedmetadata = () => done(one.duration); one.onerror = fail; })))"
    )
    assert durations == pytest.approx([SECONDS] * 4)
    assert page.value("[...document.querySelectorAll('article img')].map(one => one.naturalWidth)") == [2] * 4


def test_names_from_outside_are_text(page: Page) -> None:
    assert NAME in page.value("[...document.querySelectorAll('h2')].map(one => one.textContent)")


def test_each_mark_leads_to_its_anomaly(page: Page) -> None:
    targets = page.value("[...document.querySelectorAll('svg a')].map(one => one.getAttribute('href'))")
    assert len(targets) == 4
    assert page.value(f"{targets}.every(one => document.querySelector(one) !== null)")


def test_all_that_cannot_be_seen_is_said_in_words(page: Page) -> None:
    assert page.value("[...document.images].every(one => one.alt.includes('anomaly'))")
    assert page.value("[...document.querySelectorAll('audio, svg.timeline, svg a')].every(one => one.ariaLabel)")
    assert page.value("[...document.querySelectorAll('th')].every(one => one.scope)")
    levels = page.value("[...document.querySelectorAll('h1, h2, h3, h4')].map(one => +one.tagName[1])")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
def test_it_can_be_read_on_a_phone_and_in_both_schemes(page: Page, width: int, scheme: str) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500)
    page.call(
        "Emulation.setEmulatedMedia", media="screen", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    assert page.value("document.documentElement.scrollWidth") <= width
    ink, paper = page.value("(style => [style.color, style.backgroundColor])(getComputedStyle(document.body))")
    assert contrast(ink, paper) > 7
    soft = page.value("getComputedStyle(document.querySelector('figcaption')).color")
    assert contrast(soft, paper) > 4.5


def test_on_paper_there_are_no_controls_and_the_paths_of_clips_are_named(page: Page) -> None:
    page.call("Emulation.setEmulatedMedia", media="print", features=[])
    assert page.value("getComputedStyle(document.querySelector('audio')).display") == "none"
    assert page.value("getComputedStyle(document.querySelector('.print-only')).display") != "none"
    assert page.value("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    page.call("Emulation.setEmulatedMedia", media="", features=[])
    pdf = base64.b64decode(page.call("Page.printToPDF")["data"])
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 10_000


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as WCAG defines it."""

    def luminance(colour: str) -> float:
        parts = np.array([float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)
