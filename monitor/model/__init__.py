"""The autoencoder: the torch module for training, the network for inference, and the choice of device and precision."""

__all__ = [
    "autoencoder",
    "cuda_transfer",
    "device",
    "folded_inference",
    "int8_network",
    "network",
    "numpy_layer",
    "numpy_network",
    "onnx_graph",
    "overlapping_windows",
    "precision_choice",
    "time_transform",
    "torch_network",
    "window_errors",
]
