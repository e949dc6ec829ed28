"""Better models from what was heard and judged while the monitor ran: candidates, and what they change."""

__all__ = [
    "candidate",
    "clip_replay",
    "commissioning",
    "judgement",
    "known_sound",
    "material",
    "next_model",
    "report",
    "retraining",
]
