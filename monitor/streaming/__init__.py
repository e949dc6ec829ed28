"""Batches of streams: samples to scores, in one implementation for listening, replay, calibration and evaluation."""

__all__ = ["frame_batch", "hops", "portion", "recent_frames", "score_batch", "stream_batch"]
