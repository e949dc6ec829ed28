"""The autoencoder's input: samples to mel frames, frames to normalized frames, normalized frames to windows."""

__all__ = ["frame_level", "mel", "normalization", "windows"]
