"""The autoencoder: the torch module for training, the network for inference, and the choice of device and precision."""

__all__ = ["autoencoder", "cuda_transfer", "device", "folded_inference", "network"]
