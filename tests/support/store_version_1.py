"""A store as version 1 of its tables was: made with the statements of that version, and filled with a row each."""

from __future__ import annotations

import sqlalchemy as sa

TYPES = {
    "sqlite": {"number": "INTEGER", "time": "VARCHAR(32)", "single": "FLOAT", "end_of_minutes": " WITHOUT ROWID"},
    "postgresql": {
        "number": "SERIAL", "time": "TIMESTAMP WITH TIME ZONE", "single": "FLOAT(24)", "end_of_minutes": "",
    },
}  # fmt: skip
TABLES = """
CREATE TABLE audit (
    id {number} NOT NULL,
    time {time} NOT NULL,
    "by" TEXT NOT NULL,
    what TEXT NOT NULL,
    subject TEXT NOT NULL,
    facts JSON NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE models (
    id VARCHAR(64) NOT NULL,
    name TEXT,
    first_seen {time} NOT NULL,
    limits JSON NOT NULL,
    calibration JSON NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE store_schema (
    version {number} NOT NULL,
    PRIMARY KEY (version)
);
CREATE TABLE streams (
    id {number} NOT NULL,
    host VARCHAR(60) NOT NULL,
    name VARCHAR(60) NOT NULL,
    model_id VARCHAR(64),
    source TEXT,
    first_seen {time} NOT NULL,
    last_seen {time} NOT NULL,
    muted_until {time},
    PRIMARY KEY (id),
    UNIQUE (host, name)
);
CREATE TABLE events (
    id VARCHAR(36) NOT NULL,
    stream_id INTEGER NOT NULL,
    kind VARCHAR(20) NOT NULL,
    start_s FLOAT,
    onset {time} NOT NULL,
    reported {time} NOT NULL,
    ended {time},
    cut_off BOOLEAN NOT NULL,
    peak_share FLOAT,
    mean_share FLOAT,
    peak FLOAT,
    threshold FLOAT,
    lost_samples BIGINT,
    cause VARCHAR(20),
    bands JSON,
    model_id VARCHAR(64),
    source TEXT,
    reminders INTEGER NOT NULL,
    acknowledged {time},
    acknowledged_by TEXT,
    locked BOOLEAN NOT NULL,
    clip TEXT,
    picture TEXT,
    clip_start {time},
    note TEXT,
    PRIMARY KEY (id),
    FOREIGN KEY(stream_id) REFERENCES streams (id)
);
CREATE INDEX events_by_stream ON events (stream_id, onset);
CREATE INDEX events_by_time ON events (onset);
CREATE TABLE minutes (
    stream_id INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    error_mean {single},
    error_max {single},
    score_mean {single},
    score_max {single},
    share_mean SMALLINT,
    share_max SMALLINT,
    level SMALLINT,
    listening_s SMALLINT NOT NULL,
    normal_s SMALLINT NOT NULL,
    warning_s SMALLINT NOT NULL,
    anomaly_s SMALLINT NOT NULL,
    off_s SMALLINT NOT NULL,
    new_mode_s SMALLINT NOT NULL,
    not_heard_s SMALLINT NOT NULL,
    PRIMARY KEY (stream_id, minute),
    FOREIGN KEY(stream_id) REFERENCES streams (id)
){end_of_minutes};
CREATE TABLE deliveries (
    id VARCHAR(36) NOT NULL,
    event_id VARCHAR(36) NOT NULL,
    channel VARCHAR(60) NOT NULL,
    stage VARCHAR(40) NOT NULL,
    state VARCHAR(12) NOT NULL,
    created {time} NOT NULL,
    due {time} NOT NULL,
    attempts INTEGER NOT NULL,
    message VARCHAR(36),
    claimed {time},
    sent {time},
    why TEXT,
    PRIMARY KEY (id),
    UNIQUE (event_id, channel, stage),
    FOREIGN KEY(event_id) REFERENCES events (id) ON DELETE CASCADE
);
CREATE INDEX deliveries_by_claim ON deliveries (channel, claimed);
CREATE INDEX deliveries_by_due ON deliveries (state, due);
CREATE TABLE verdicts (
    id {number} NOT NULL,
    event_id VARCHAR(36) NOT NULL,
    verdict VARCHAR(20) NOT NULL,
    time {time} NOT NULL,
    "by" TEXT NOT NULL,
    comment TEXT,
    PRIMARY KEY (id),
    FOREIGN KEY(event_id) REFERENCES events (id) ON DELETE CASCADE
);
CREATE INDEX verdicts_by_event ON verdicts (event_id)
"""
AT = "2025-11-27T14:00:00.000000+00:00"
ROWS = f"""
INSERT INTO store_schema (version) VALUES (1);
INSERT INTO streams (host, name, model_id, source, first_seen, last_seen) VALUES
    ('hall-3', 'pump', '1f0c', 'microphone', '{AT}', '{AT}');
INSERT INTO models (id, name, first_seen, limits, calibration) VALUES ('1f0c', 'pump', '{AT}', '{{}}', '{{}}');
INSERT INTO events (id, stream_id, kind, start_s, onset, reported, ended, cut_off, peak_share, model_id, reminders,
    locked, bands) VALUES ('019ac4f0-0001', 1, 'anomaly', 5.0, '{AT}', '{AT}', '{AT}', false, 3.5, '1f0c', 0, false,
    '[{{"low_hz": 100.0, "high_hz": 200.0, "share": 0.5, "change": "new"}}]');
INSERT INTO verdicts (event_id, verdict, time, "by", comment) VALUES
    ('019ac4f0-0001', 'real fault', '{AT}', 'anna', 'bearing'), ('019ac4f0-0001', 'sensor', '{AT}', 'ben', NULL);
INSERT INTO deliveries (id, event_id, channel, stage, state, created, due, attempts) VALUES
    ('d', '019ac4f0-0001', 'mail', 'began', 'sent', '{AT}', '{AT}', 1);
INSERT INTO minutes (stream_id, minute, error_mean, listening_s, normal_s, warning_s, anomaly_s, off_s, new_mode_s,
    not_heard_s) VALUES (1, 29400000, 0.25, 0, 60, 0, 0, 0, 0, 0);
INSERT INTO audit (time, "by", what, subject, facts) VALUES ('{AT}', 'anna', 'mute', 'pump', '{{"after": 1}}')
"""


def make(connection: sa.Connection) -> None:
    """Makes the tables of version 1 in an empty database, with an event that has two verdicts."""
    for statement in (TABLES.format_map(TYPES[connection.dialect.name]) + ";" + ROWS).split(";\n"):
        connection.exec_driver_sql(statement.strip())
