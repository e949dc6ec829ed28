"""The page of a report as text: what it says, and that nothing from outside becomes a part of its code."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import sqlalchemy as sa

from monitor.report.attachments import Attachments
from monitor.report.contents import MOST_TOLD, Contents
from monitor.report.page import page
from monitor.report.timeline import MOST_MARKS
from monitor.store import queries, tables
from monitor.store.database import Store
from monitor.store.records import StoredEvent
from support.clip_folders import access_to
from support.stored import DAY_S, NOW, fill, minute_values, stored_event

EVIL = '"><script>alert(1)</script>&{{ 7*7 }}'


def written(folder: Path, events: list[StoredEvent], *names: str, days: float = 10.0, before: str = "") -> str:
    """The page of a store with these events, and the minutes of streams with these names."""
    with Store.open(f"sqlite:///{folder / 'monitor.sqlite'}") as store:
        fill(store, {name: minute_values(days, 3600) for name in names}, events)
        if before:
            with store.begin() as connection:
                connection.execute(sa.text(before))
        contents = Contents(store, queries.streams(store), NOW - days * DAY_S, NOW, Attachments(access_to(folder), 1e6))
        return b"".join(page(contents, NOW)).decode()


def test_no_text_from_outside_becomes_code(tmp_path: Path) -> None:
    event = stored_event(
        stream=EVIL,
        source=EVIL,
        host="hall-3",
        note=EVIL,
        cause=EVIL,
        acknowledged=NOW,
        acknowledged_by=EVIL,
        clip=EVIL,
    )
    text = written(tmp_path, [event], EVIL)
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "{{ 7*7 }}" in text


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    text = written(tmp_path, [stored_event()], "pump")
    assert "default-src 'none'" in text
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", text)
    assert not re.search(r"url\((?!#)", text)


def test_every_picture_is_sound_svg(tmp_path: Path) -> None:
    events = [stored_event(n, peak_share=1 + n / 10) for n in range(60)]
    text = written(tmp_path, events, "pump", EVIL)
    pictures = re.findall(r'<div class="plot">.*?</svg></div>', text, re.DOTALL)
    assert len(pictures) == 2
    for picture in pictures:
        ElementTree.fromstring(picture)
        assert "nan" not in picture
        assert "inf" not in picture


def test_a_flood_is_summed_up_and_the_strongest_are_told(tmp_path: Path) -> None:
    events = [stored_event(n, onset=NOW - 60.0 * n - 60, peak_share=1 + n / 1000) for n in range(700)]
    text = written(tmp_path, events, "pump", days=1.0)
    assert text.count("<article") == MOST_TOLD
    assert "There were 700 anomalies" in text
    assert 40 < text.count('class="mark"') <= MOST_MARKS
    assert f"event-{events[699].id}" in text
    assert f"event-{events[0].id}" not in text
    assert "further events are in the store" in text


def test_a_flood_of_other_events_hides_no_anomaly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.report.contents.MOST_READ", 10)
    anomaly = stored_event(99, onset=NOW - 7200)
    warnings = [stored_event(n, onset=NOW - 60.0 * n - 60, kind="warning") for n in range(20)]
    assert f"event-{anomaly.id}" in written(tmp_path, [anomaly, *warnings], "pump")


def test_what_people_said_is_told(tmp_path: Path) -> None:
    event = stored_event(acknowledged=NOW - 60, acknowledged_by="Kim")
    said = (
        "INSERT INTO verdicts (event_id, verdict, time, by, comment) VALUES "
        f"('{event.id}', 'fault', '2025-11-27T13:00:00+00:00', 'Ann', 'inner ring')"
    )
    text = written(tmp_path, [event], "pump", before=said)
    assert "acknowledged by Kim" in text
    assert "<strong>fault</strong>, Ann" in text
    assert "inner ring" in text


def test_limits_are_told_with_how_they_were_found(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'monitor.sqlite'}") as store, store.begin() as connection:
        connection.execute(
            tables.models.insert().values(
                id="1f0c", name="runs/pump/model.safetensors", first_seen=NOW - 9e5,
                limits={"score": 110.24, "cusum": 8.0},
                calibration={"score": {"note": "from 40 held-out recordings", "date": "2025-11-01"}},
            )
        )  # fmt: skip
    text = written(tmp_path, [], "pump")
    for part in (
        "pump/model.safetensors",
        "anomaly score",
        "110",
        "from 40 held-out recordings",
        "2025-11-01",
        "lasting sum",
    ):
        assert part in text


def test_an_empty_time_is_said(tmp_path: Path) -> None:
    text = written(tmp_path, [stored_event(24 * 60)], days=1.0)
    assert "Nothing was stored in this time." in text
    assert "There are no values of this stream in this time." in text


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_summary_counts_in_sentences(tmp_path: Path, count: int) -> None:
    text = written(tmp_path, [stored_event(n) for n in range(count)], "pump", days=1.0)
    assert ["There was no anomaly.", "There was 1 anomaly.", "There were 2 anomalies."][count] in text
    assert "pump was listened to for " in text
