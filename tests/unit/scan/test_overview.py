"""What an archive tells as a whole, and the page that shows it."""

from __future__ import annotations

import datetime
import math
import re
from pathlib import Path

import pytest

from monitor.scan import pictures
from monitor.scan.archive import Archive
from monitor.scan.findings import Finding, Quarter
from monitor.scan.overview import band_seconds, hours_of, onset, ranked
from monitor.scan.page import MOST_RANKED, page, sentences
from monitor.scan.task import LeftOut
from support.archives import BEGAN
from support.builders import small_bundle

T0 = BEGAN.timestamp()


def found(
    hour: int, *, share: float = 0.4, anomaly_s: int = 0, off_s: int = 0, name: str = "", **values: object
) -> Finding:
    """What is found in an hour, counted from BEGAN."""
    at = T0 + 3600 * hour
    event = {
        "kind": "anomaly", "wall_time": at + 60, "start_s": 60.0, "end_s": 70.0, "file_s": 60.0, "peak": 2.0,
        "threshold": 1.0, "cause": "sudden", "piece": name, "file": name or f"{hour:05d}.flac", "cut_off": False,
        "bands": [{"low_hz": 2000.0, "high_hz": 3000.0, "share": 0.5, "change": "new"}],
    }  # fmt: skip
    quarters = tuple(
        Quarter(int(at) + 900 * k, 900, share, 0.3, anomaly_s if not k else 0, off_s if not k else 0) for k in range(4)
    )
    made = Finding(
        name or f"{hour:05d}.flac", (name or f"{hour:05d}.flac",), 3600.0, at, True, 0.5, 1.0, share, 60.0, "", 60.0,
        "ANOMALY" if anomaly_s else "NORMAL", "", int(anomaly_s > 0), anomaly_s, float(off_s), 0.0, quarters,
        (0, anomaly_s, 0), (event,) if anomaly_s else (),
    )  # fmt: skip
    return Finding(**{**{one: getattr(made, one) for one in Finding.__slots__}, **values})


def html(findings: list[Finding], left_out: list[LeftOut], folder: Path) -> str:
    bundle = small_bundle()
    bands = bundle.config.features.n_mels
    whole = [Finding.of_fields({**one.fields(), "bands": [0, one.anomaly_s, *[0] * (bands - 2)]}) for one in findings]
    archive = Archive("recordings <b>", str(folder))
    return b"".join(page(archive, bundle, "motor", whole, left_out, folder, T0)).decode()


def test_the_hour_from_which_on_anomalies_are_frequent_is_found() -> None:
    hours = hours_of(found(n, anomaly_s=30 if (n >= 100 and n % 2) or n == 17 else 0) for n in range(160))
    change = onset(hours)
    assert change is not None
    assert change.at.timestamp() == T0 + 3600 * 101
    assert (change.after, change.before) == ((30, 59), (1, 101))


@pytest.mark.parametrize("anomalous", [set(), {40}, set(range(0, 160, 9)), set(range(160)), set(range(50))])
def test_no_beginning_is_claimed_where_anomalies_are_rare_even_or_end(anomalous: set[int]) -> None:
    assert onset(hours_of(found(n, anomaly_s=30 if n in anomalous else 0) for n in range(160))) is None


@pytest.mark.usefixtures("berlin")
def test_hours_are_local_and_the_hour_that_is_there_twice_is_two() -> None:
    at = datetime.datetime(2026, 10, 25, 0, tzinfo=datetime.UTC)
    first = round((at.timestamp() - T0) / 3600)
    hours = hours_of([found(first), found(first + 1), found(first + 2)])
    assert [one.at.strftime("%H:%M %z") for one in hours] == ["02:00 +0200", "02:00 +0100", "03:00 +0100"]


def test_hours_without_a_recording_differ_from_quiet_off_and_anomalous_ones() -> None:
    hours = hours_of(
        [found(0), found(1, share=math.nan, off_s=3600), found(2, share=2.0, anomaly_s=2000), found(3, share=0.9)]
    )
    assert [pictures.hour_class(one) for one in hours] == ["q1", "off", "a2", "q3"]
    [strip] = pictures.strips(hours)
    assert strip.svg.count("h") > 4
    assert all(f'class="{name}"' in strip.svg for name in ("q1", "off", "a2", "q3", "empty"))


def test_recordings_with_anomalies_come_first_then_the_highest_share() -> None:
    findings = [found(0), found(1, share=0.9), found(2, share=1.2, anomaly_s=5), found(3, share=math.nan)]
    assert [one.name for one in ranked(findings)] == ["00002.flac", "00001.flac", "00000.flac", "00003.flac"]
    assert band_seconds(findings) == (0, 5, 0)


def test_what_is_kept_of_a_recording_is_read_as_it_was_written() -> None:
    for one in (found(0), found(1, share=math.nan, began=math.nan, limit=math.nan)):
        again = Finding.of_fields(one.fields())
        assert repr(again) == repr(one)


def test_the_page_of_months_is_small_and_needs_nothing_else(tmp_path: Path) -> None:
    findings = [found(n, share=2.0 if n % 50 == 7 else 0.4, anomaly_s=20 if n % 50 == 7 else 0) for n in range(4400)]
    text = html(findings, [LeftOut(f"{n}.wav", "is cut off") for n in range(500)], tmp_path)
    assert len(text) < 300_000
    assert text.count("<tr") < 200
    assert f"{4400 - MOST_RANKED:,d} more are in ranking.csv" in text
    assert not re.search(r"<script|<link|@import|url\((?!#)", text)
    assert "http" not in re.sub(r"<meta[^>]*>", "", text)


def test_names_from_outside_are_text_on_the_page(tmp_path: Path) -> None:
    text = html([found(0, anomaly_s=9, name="<img src=x>.flac")], [LeftOut("<b>.wav", "<i>")], tmp_path)
    assert "<img" not in text
    assert "&lt;img src=x&gt;.flac" in text
    assert "recordings &lt;b&gt;" in text


def test_the_page_of_recordings_without_any_time_or_anomaly_is_whole(tmp_path: Path) -> None:
    text = html([found(0, began=math.nan)], [], tmp_path)
    assert "Day by hour" not in text
    assert "There was no anomaly." in text
    assert "</html>" in text


def test_a_recording_with_a_wrong_clock_does_not_cover_the_chart_with_dates() -> None:
    chart = pictures.share_chart(hours_of([found(0), found(24 * 365 * 73)]))
    assert 3 < chart.count('class="tick"') < 31
    assert ">2027<" in chart


def test_an_archive_of_which_nothing_could_be_scored_is_not_called_normal() -> None:
    text = " ".join(sentences([], [LeftOut("a.wav", "has no channel 9"), LeftOut("b.wav", "has no channel 9")]))
    assert text == "Nothing was scored: 2 files could not be."


def test_the_sentences_say_how_much_what_and_since_when() -> None:
    findings = [found(n, share=1.5 if n > 40 else 0.4, anomaly_s=20 if n > 40 else 0) for n in range(60)]
    text = " ".join(sentences(findings, [LeftOut("a.wav", "is cut off")]))
    assert "60 recordings were scored" in text
    assert "19 anomalies were found in 19 recordings, the first on 22 November 2026" in text
    assert "since then 19 of 19 hours had one, before none of 41" in text
    assert "1 file could not be scored" in text
