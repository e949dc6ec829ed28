"""Two halls with monitors and a server, in network namespaces: links are cut and mended, nothing is lost or twice.

`--log-cli-level=INFO` shows what each cut did.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from monitor.core.errors import EXIT_OK
from support.broker import needs_mosquitto
from support.listening import wait_until
from support.namespaces import Host
from support.three_hosts import STREAMS, Hall, Plant, ended, three_hosts

pytestmark = [pytest.mark.long, needs_mosquitto]
log = logging.getLogger(__name__)
HOP_S = 0.01  # from one score to the next


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """The plant, whose monitors do not run yet."""
    with three_hosts(tmp_path_factory.mktemp("plant")) as made:
        yield made


def test_whatever_link_is_cut_the_server_has_everything_once_afterwards(plant: Plant) -> None:
    a, b = plant.halls
    listen(*plant.halls)
    b.quiet("press", b.loud("press"))
    wait_until(lambda: is_stored(plant, b), "an event in the database")

    begun = a.loud("press")
    wait_until(lambda: is_stored(plant, a) and is_published(plant, a), "an anomaly at the server")
    with cut(plant, a.host):  # in the middle of an anomaly
        a.quiet("press", begun)
        a.quiet("pump", a.loud("pump"))
        going_on = a.loud("press")
        b.quiet("pump", b.loud("pump"))  # the other hall and the server go on
        wait_until(lambda: is_stored(plant, b) and is_published(plant, b), "events of the other hall")
        assert going_on not in plant.server.events(a.name)
        plant.server.hand_out(plant.next_model, "hall-a/pump")  # which hall A does not know yet
    a.quiet("press", going_on)  # mended in the middle of another one
    wait_until(lambda: plant.server.taken() == {"hall-a/pump": "taken"}, "a new model in hall A")

    minute = time.time() // 60
    with cut(plant, plant.server.host):
        a.quiet("pump", a.loud("pump"))
        b.quiet("press", b.loud("press"))
        going_on = b.loud("pump")
        for hall in plant.halls:
            hall.wait_until(lambda: hall.spools, "a spool")  # noqa: B023
        wait_until(lambda: time.time() // 60 > minute, "a full minute")
    b.quiet("pump", going_on)

    for hall in plant.halls:
        hall.wait_until(lambda: is_published(plant, hall) and is_moved(plant, hall), "all at the server")  # noqa: B023
        hall.wait_until(lambda: is_told(hall), "all messages")  # noqa: B023
    for hall in plant.halls:
        assert hall.end() == EXIT_OK, hall.said
    for hall in plant.halls:
        assert_events_are_stored_once(plant, hall)
        assert_events_were_published_once(plant, hall)
        assert_people_were_told_once(hall)
        assert_clips_are_in_the_object_store(plant, hall)
        assert_minutes_are_complete(plant, hall)


def listen(*halls: Hall) -> None:
    """Starts the monitors of halls, and waits until they have found their machines normal."""
    for hall in halls:
        hall.start()
    for hall in halls:
        hall.wait_until_normal()


@contextlib.contextmanager
def cut(plant: Plant, host: Host, *, killed: bool = False) -> Iterator[None]:
    """Cuts the link of a host for the block; afterwards everything is at the server, and it is logged how that went.

    Args:
        plant: the plant.
        host: whose link is cut.
        killed: whether a monitor is killed meanwhile, which forgets what it has not published.
    """
    before = {hall.name: set(hall.events()) for hall in plant.halls}
    began = time.monotonic()
    host.link.cut()
    yield
    seconds = time.monotonic() - began
    begun = {hall: set(hall.events()) - before[hall.name] for hall in plant.halls}
    reached = plant.server.host.link.whole
    arrived = {hall: len(ids & set(plant.server.events(hall.name))) if reached else 0 for hall, ids in begun.items()}
    host.link.mend()
    mended = time.monotonic()
    for hall in plant.halls:
        wait_until(lambda: is_stored(plant, hall), f"all events of {hall.name} in the database:\n{hall.said}")  # noqa: B023
    stored = time.monotonic() - mended
    if not killed:
        for hall in plant.halls:
            wait_until(lambda: is_published(plant, hall), f"all events of {hall.name} at the broker:\n{hall.said}")  # noqa: B023
    published_s = time.monotonic() - mended
    for hall, ids in begun.items():
        log.info(
            "%s cut for %.0f s: of %d events that began in %s meanwhile, %d were in the database; after it was mended "
            "all were there in %.1f s, and %s",
            host.name, seconds, len(ids), hall.name, arrived[hall], stored,
            "the broker was not waited for" if killed else f"at the broker in {published_s:.1f} s",
        )  # fmt: skip


def is_stored(plant: Plant, hall: Hall) -> bool:
    """Whether the database knows of all events as much as the event log."""
    events, stored = hall.events(), plant.server.events(hall.name)
    return set(events) <= set(stored) and all(
        stored[event_id].ended is not None for event_id, lines in events.items() if ended(lines)
    )


def is_published(plant: Plant, hall: Hall) -> bool:
    """Whether the broker has published all events."""
    return reports(hall) <= set(published(plant, hall))


def is_moved(plant: Plant, hall: Hall) -> bool:
    """Whether each anomaly has a clip and a picture, and none of them is left in the hall."""
    anomalies = [one for one in plant.server.events(hall.name).values() if one.kind == "anomaly"]
    return all(one.clip and one.picture for one in anomalies) and not hall.clips_left()


def is_told(hall: Hall) -> bool:
    """Whether people were told of all anomalies."""
    return {event_id for event_id, stage in hall.told() if stage == "began"} >= set(hall.events("anomaly"))


def reports(hall: Hall) -> set[tuple[str, str]]:
    """What is to be published: the ids of all events in the log with "begin" and, if they have ended, "end"."""
    return {
        (line["id"], "begin" if line["end_s"] is None else "end") for lines in hall.events().values() for line in lines
    }


def published(plant: Plant, hall: Hall) -> Counter[tuple[str, str]]:
    """The events that the broker published: how often each id and phase."""
    topics = [f"acoustic-monitor/{hall.name}/{stream}/event" for stream in STREAMS]
    return Counter((one.json["id"], one.json["phase"]) for topic in topics for one in plant.mqtt.of(topic))


def assert_events_are_stored_once(plant: Plant, hall: Hall) -> None:
    stored = plant.server.events(hall.name)  # by id, which the database keeps unique
    assert set(stored) == set(hall.events())
    for event_id, lines in hall.events().items():
        event, last = stored[event_id], lines[-1]
        assert (event.stream, event.kind, event.cut_off) == (last["stream"], last["kind"], last["cut_off"])
        assert event.onset == pytest.approx(last["wall_time"], abs=0.01)
        assert event.ended is not None
        assert event.ended - event.onset == pytest.approx(last["duration_s"], abs=0.01)


def assert_events_were_published_once(plant: Plant, hall: Hall) -> None:
    assert published(plant, hall) == Counter(reports(hall))


def assert_people_were_told_once(hall: Hall) -> None:
    """Of each anomaly that it began, and of its end at most once: not if it was over before the first message."""
    told = Counter(hall.told())
    assert {event_id for event_id, stage in told if stage == "began"} == set(hall.events("anomaly"))
    assert set(told.values()) == {1}


def assert_clips_are_in_the_object_store(plant: Plant, hall: Hall) -> None:
    """Each anomaly has its clip and its picture there, and there is nothing else."""
    stored = plant.server.events(hall.name).values()
    expected = {f"{hall.name}/{path}" for one in stored for path in (one.clip, one.picture) if path}
    assert len(expected) == 2 * len(hall.events("anomaly"))
    assert {path for path in plant.server.objects() if path.startswith(f"{hall.name}/")} == expected


def assert_minutes_are_complete(plant: Plant, hall: Hall) -> None:
    """Each minute is stored with its highest value, and as long as sound was scored in it.

    A score within a second of the end of a minute may belong to either.
    """
    for stream, (times, errors) in hall.scored().items():
        minutes = plant.server.minutes(hall.name)[stream]
        assert sum(minute.heard_s for minute in minutes) == pytest.approx(len(times) * HOP_S, abs=1 + len(minutes))
        for minute in minutes:
            inside = errors[(times > minute.time + 1) & (times < minute.time + 59)]
            around = errors[(times > minute.time - 1) & (times < minute.time + 61)]
            assert 0.999 * max(inside, default=0.0) < minute.highest_error < 1.001 * max(around)
            assert HOP_S * len(inside) - 1 < minute.heard_s < HOP_S * len(around) + 1


def test_a_hall_that_is_killed_while_it_is_cut_off_has_lost_nothing_that_it_knew(plant: Plant) -> None:
    hall = plant.halls[1]
    known = set(hall.events())
    listen(hall)
    with cut(plant, hall.host, killed=True):
        hall.quiet("press", hall.loud("press"))
        left_open = hall.loud("pump")
        # A message is sent again if the monitor is killed before it has noted that it was sent.
        hall.wait_until(lambda: (left_open, "began") in hall.noted(), "a note that people know")
        hall.end(signal.SIGKILL)
        hall.quiet("pump")
        listen(hall)
        hall.quiet("press", hall.loud("press"))
    hall.wait_until(lambda: is_told(hall), "all messages")
    assert hall.end() == EXIT_OK, hall.said
    stored = plant.server.events(hall.name)
    assert set(stored) - known == set(hall.events()) - known
    assert all(one.ended is not None for one in stored.values())
    assert stored[left_open].cut_off
    assert stored[left_open].note == "The monitor was killed before it wrote a clip."
    assert_people_were_told_once(hall)
