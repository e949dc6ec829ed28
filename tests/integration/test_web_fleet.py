"""The page in a real browser, of a store that monitors of two computers write into."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from monitor.store import fleet, rows, tables
from support.browser import browser, needs_chromium
from support.web_server import HOST, SETTINGS, hall_of, web_server

pytestmark = [pytest.mark.long, needs_chromium]

ROW = "[...document.querySelectorAll('.streams li[data-key]')].find(one => one.textContent.includes('hall-b'))"


def test_a_stream_of_the_same_name_on_another_computer_has_its_own_row_and_page(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(SETTINGS)
    with hall_of(tmp_path / "state", ["press", "fan"]) as hall:

        def sign(age_s: float) -> None:
            with hall.store.begin() as connection:
                facts = {"every_s": 30, "streams": {"press": "NORMAL"}}
                values = {"version": "1", "started": 0.0, "last_seen": time.time() - age_s, "spooled": 0}
                fleet.write_sign(connection, "hall-b", {**values, "facts": facts})

        with hall.store.begin() as connection:
            number = rows.stream_id(connection, "hall-b", "press", time.time() - 3600)  # its clock is an hour behind
            minute = {"stream_id": number, "minute": int((time.time() - 3600) // 60), "share_max": 930, "level": -352}
            connection.execute(tables.minutes.insert().values(**minute, warning_s=20))
        sign(1.0)
        with web_server(tmp_path, hall.state) as server, browser(tmp_path / "browser") as page:
            page.go(f"{server.url}/")
            page.wait(f"{ROW}?.querySelector('.state').textContent === 'NORMAL'")
            assert page.value("document.querySelectorAll('.streams li[data-key]').length") == 3
            assert HOST in page.value("document.querySelector('.streams').textContent")
            assert "last seen" in page.value(f"{ROW}.querySelector('.row').title")
            sign(1000.0)
            page.wait(f"{ROW}?.querySelector('.state').textContent === 'NOT RUNNING'")
            sign(1.0)
            page.go(f"{server.url}/stream/{number}")
            page.wait("document.querySelector('.headline .state')?.textContent === 'NORMAL'")
            assert page.value("document.querySelector('h1').textContent") == "hall-b/press"
            assert "93" in page.value("document.querySelector('.headline .share').textContent")
            page.wait("document.body.textContent.includes('Live values are shown on the page of hall-b itself.')")
            assert page.complaints == []
