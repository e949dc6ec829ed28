"""Batches of streams: samples to scores, in one implementation for listening, replay, calibration and evaluation."""

__all__ = ["frame_batch", "hops", "portion", "score_batch", "stream_batch"]
