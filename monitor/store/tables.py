"""The tables of the store, for SQLite and PostgreSQL. All times are UTC."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

SCHEMA_VERSION = 3  # of these tables; `monitor.store.migrations` brings an older store to it


class UtcTime(TypeDecorator[float]):
    """A Unix time in seconds, as a time stamp with time zone in PostgreSQL and as ISO text (UTC) in SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """The type in a database."""
        return dialect.type_descriptor(DateTime(timezone=True) if dialect.name == "postgresql" else String(32))

    def process_bind_param(self, value: float | None, dialect: Dialect) -> Any:
        """A Unix time as the database has it."""
        if value is None:
            return None
        time = datetime.datetime.fromtimestamp(value, datetime.UTC)
        return time if dialect.name == "postgresql" else time.isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> float | None:  # noqa: ARG002 - as the base class
        """A time of the database as Unix time."""
        if value is None:
            return None
        time = value if isinstance(value, datetime.datetime) else datetime.datetime.fromisoformat(value)
        return time.timestamp()


metadata = MetaData()

store_schema = Table("store_schema", metadata, Column("version", Integer, primary_key=True))

streams = Table(
    "streams",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("host", String(60), nullable=False),  # the computer that listens
    Column("name", String(60), nullable=False),
    Column("model_id", String(64)),  # of the bundle that listens now
    Column("source", Text),  # the microphone or recording
    Column("first_seen", UtcTime, nullable=False),
    Column("last_seen", UtcTime, nullable=False),
    Column("muted_until", UtcTime),  # maintenance: events are recorded, no message is sent
    UniqueConstraint("host", "name"),
)

models = Table(
    "models",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text),
    Column("first_seen", UtcTime, nullable=False),
    Column("limits", JSON, nullable=False),  # {"score": …, "error": …, …}
    Column("calibration", JSON, nullable=False),  # what is known of how the limits were found
)

events = Table(
    "events",
    metadata,
    Column("id", String(36), primary_key=True),  # UUID of version 7
    Column("stream_id", ForeignKey("streams.id"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("start_s", Float),  # position in the source, in seconds
    Column("onset", UtcTime, nullable=False),  # when it began: of an anomaly, when the scores began to rise
    Column("reported", UtcTime, nullable=False),  # when it was reported
    Column("ended", UtcTime),  # null while it lasts
    Column("cut_off", Boolean, nullable=False, default=False),  # whether the sound or the monitor ended first
    Column("peak_share", Float),  # highest share of the limit
    Column("mean_share", Float),
    Column("peak", Float),  # highest score
    Column("threshold", Float),  # limit in force
    Column("lost_samples", BigInteger),
    Column("cause", String(20)),
    Column("bands", JSON),  # [{"low_hz": …, "high_hz": …, "share": …, "change": "new"}]
    Column("model_id", String(64)),
    Column("source", Text),
    Column("reminders", Integer, nullable=False, default=0),
    Column("acknowledged", UtcTime),
    Column("acknowledged_by", Text),
    Column("locked", Boolean, nullable=False, default=False),  # kept whatever its age
    Column("clip", Text),  # path relative to the folder of clips
    Column("picture", Text),
    Column("clip_start", UtcTime),  # wall time of the clip's first sample
    Column("note", Text),  # why there is no clip, or that speech in it was muted
    Index("events_by_time", "onset"),
    Index("events_by_stream", "stream_id", "onset"),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("event_id", ForeignKey("events.id", ondelete="CASCADE"), nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("time", UtcTime, nullable=False),
    Column("by", Text, nullable=False),
    Column("comment", Text),
    Column("model_id", String(64)),  # of the bundle that reported the event
    Index("verdicts_by_event", "event_id"),
)

# How loud a known fault has to be, relative to normal sound, to be reported: a row for each fault of a self-test.
selftests = Table(
    "selftests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("stream_id", ForeignKey("streams.id"), nullable=False),
    Column("time", UtcTime, nullable=False),  # the same for all faults of a run
    Column("model_id", String(64)),
    Column("fault", String(40), nullable=False),  # "clicks", "squeal", "imbalance", "missing harmonic"
    Column("level_db", Float),  # the lowest level at which it was reported; null: at none that was tried
    Column("delay_s", Float),  # from its onset to its report at that level, the median
    Column("facts", JSON, nullable=False),  # each level with the share reported and the delay, and on what sound
    Index("selftests_by_stream", "stream_id", "time"),
)

# Who may use the page.
users = Table(
    "users",
    metadata,
    Column("name", String(60), primary_key=True),
    Column("role", String(12), nullable=False),  # "viewer", "operator" or "admin"
    Column("password", Text),  # hashed, with salt and parameters; null: known to a proxy only
    Column("changed", UtcTime, nullable=False),
)

# Logins to the page that have not ended.
sessions = Table(
    "sessions",
    metadata,
    Column("token", String(64), primary_key=True),  # SHA-256 of the secret in the browser's cookie
    Column("user", String(60), nullable=False),
    Column("began", UtcTime, nullable=False),
    Column("used", UtcTime, nullable=False),
)

WAITING, SENT, HELD_BACK, GIVEN_UP = "waiting", "sent", "held back", "given up"  # states of deliveries

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(36), primary_key=True),  # UUID of version 7; receivers can tell repeated messages by it
    Column("event_id", ForeignKey("events.id", ondelete="CASCADE"), nullable=False),
    Column("channel", String(60), nullable=False),
    Column("stage", String(40), nullable=False),  # "began", "ended", "reminder 1", "escalated" …
    Column("state", String(12), nullable=False),  # `WAITING` …; see `monitor.notify.outbox`
    Column("created", UtcTime, nullable=False),
    Column("due", UtcTime, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("message", String(36)),  # the message that it is part of, by the id of that message's first delivery
    Column("claimed", UtcTime),  # when it became part of a message, which is then sent, and tried again until it is
    Column("sent", UtcTime),
    Column("why", Text),  # the last failure, or why it waits or is held back
    UniqueConstraint("event_id", "channel", "stage"),
    Index("deliveries_by_due", "state", "due"),
    Index("deliveries_by_claim", "channel", "claimed"),
)

# A row for each stream and minute: 40 streams make 21 million rows a year, so each value is as small as it can be.
minutes = Table(
    "minutes",
    metadata,
    Column("stream_id", ForeignKey("streams.id"), primary_key=True),
    Column("minute", Integer, primary_key=True),  # Unix time divided by 60
    Column("error_mean", Float(24)),
    Column("error_max", Float(24)),
    Column("score_mean", Float(24)),
    Column("score_max", Float(24)),
    Column("share_mean", SmallInteger),  # per mille of the limit, at most 32767
    Column("share_max", SmallInteger),
    Column("level", SmallInteger),  # tenths of dBFS
    Column("listening_s", SmallInteger, nullable=False, default=0),  # seconds in each state
    Column("normal_s", SmallInteger, nullable=False, default=0),
    Column("warning_s", SmallInteger, nullable=False, default=0),
    Column("anomaly_s", SmallInteger, nullable=False, default=0),
    Column("off_s", SmallInteger, nullable=False, default=0),
    Column("new_mode_s", SmallInteger, nullable=False, default=0),
    Column("not_heard_s", SmallInteger, nullable=False, default=0),  # lost, no signal, gaps
    sqlite_with_rowid=False,
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("time", UtcTime, nullable=False),
    Column("by", Text, nullable=False),
    Column("what", Text, nullable=False),  # "verdict", "mute", "acknowledge", "reload" …
    Column("subject", Text, nullable=False),  # the stream, event or setting
    Column("facts", JSON, nullable=False),  # before and after
)

# The computers that write into this store, and what they said of themselves last.
monitors = Table(
    "monitors",
    metadata,
    Column("host", String(60), primary_key=True),
    Column("version", Text, nullable=False),  # of this program
    Column("started", UtcTime, nullable=False),
    Column("last_seen", UtcTime, nullable=False),  # by the clock of the database
    Column("stopped", UtcTime),  # when it was ended in order; null: it runs, or broke off
    Column("clock_offset_s", Float),  # by how much its clock is ahead of the database's
    Column("clock_error_s", Float),  # by how much that may be wrong: half the time that asking took
    Column("spooled", Integer, nullable=False, default=0),  # entries that were kept aside while the store was away
    Column("facts", JSON, nullable=False),  # the system, the processor …
)

# Models that are handed out, by the SHA-256 of their files.
model_files = Table(
    "model_files",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("model_id", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),  # bytes
    Column("added", UtcTime, nullable=False),
    Column("by", Text, nullable=False),
    Column("url", Text),  # where it is in an object store; null: in `content`
    Column("content", LargeBinary),
)

# Which stream is to use which model; the newest order of a stream counts.
model_orders = Table(
    "model_orders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("host", String(60), nullable=False),
    Column("stream", String(60), nullable=False),
    Column("sha256", ForeignKey("model_files.sha256"), nullable=False),
    Column("time", UtcTime, nullable=False),
    Column("by", Text, nullable=False),
    Column("taken", UtcTime),  # when the monitor took it, or refused it; null: not yet
    Column("refused", Text),  # why it was refused
    Index("model_orders_by_stream", "host", "stream", "id"),
)

# How far the entries of each run of a monitor have been copied from its spool, the file that it writes into first.
spools = Table(
    "spools",
    metadata,
    Column("id", String(36), primary_key=True),  # UUID of the run
    Column("host", String(60), nullable=False),
    Column("done", BigInteger, nullable=False),  # number of its last entry that is in the store
    Column("seen", UtcTime, nullable=False),  # its last sign of life by the clock of the database; past if it has ended
    Index("spools_by_host", "host"),
)
