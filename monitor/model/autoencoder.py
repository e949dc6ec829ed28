"""The autoencoder as a torch module, for training. Inference does not need it: see `monitor.model.network`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from monitor.config.schema import Config


class Autoencoder(nn.Module):
    """A fully connected autoencoder for windows: 1280-512-256-128-256-512-1280 units with the default settings.

    The encoder has two blocks of linear layer, ReLU and batch norm, and a last linear layer. The decoder has the same
    structure, with dropout before its last linear layer. Attributes have the names of the article's script, so that a
    state_dict saved by that script loads.

    Args:
        window_size: numbers in a window.
        hidden: units of the encoder's first and second hidden layer; the decoder has them in reverse order.
        bottleneck: units of the layer between encoder and decoder.
        dropout: probability of the dropout.
    """

    def __init__(
        self, window_size: int = 1280, hidden: tuple[int, int] = (512, 256), bottleneck: int = 128, dropout: float = 0.2
    ) -> None:
        super().__init__()
        outer, inner = hidden
        self.dense_enc1 = nn.Linear(window_size, outer)
        self.bn1 = nn.BatchNorm1d(outer)
        self.dense_enc2 = nn.Linear(outer, inner)
        self.bn2 = nn.BatchNorm1d(inner)
        self.dense_enc3 = nn.Linear(inner, bottleneck)
        self.dense_dec1 = nn.Linear(bottleneck, inner)
        self.bn4 = nn.BatchNorm1d(inner)
        self.dense_dec2 = nn.Linear(inner, outer)
        self.bn5 = nn.BatchNorm1d(outer)
        self.drop1 = nn.Dropout(dropout)
        self.dense_dec3 = nn.Linear(outer, window_size)

    @classmethod
    def from_config(cls, config: Config) -> Autoencoder:
        """An untrained autoencoder with the sizes in the settings."""
        model = config.model
        return cls(config.features.window_size, model.hidden, model.bottleneck, model.dropout)

    @classmethod
    def from_weights(cls, config: Config, weights: Mapping[str, NDArray[np.generic]]) -> Autoencoder:
        """The autoencoder with the weights of a bundle (its state_dict as numpy arrays), in evaluation mode."""
        model = cls.from_config(config)
        model.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in weights.items()})
        return model.eval()

    def forward(self, windows: Tensor) -> Tensor:
        """Windows (B, window_size) -> reconstructions (B, window_size)."""
        x = self.bn1(F.relu(self.dense_enc1(windows)))
        x = self.bn2(F.relu(self.dense_enc2(x)))
        x = self.dense_enc3(x)
        x = self.bn4(F.relu(self.dense_dec1(x)))
        x = self.bn5(F.relu(self.dense_dec2(x)))
        reconstruction: Tensor = self.dense_dec3(self.drop1(x))
        return reconstruction


def weights_of(model: nn.Module) -> dict[str, NDArray[np.generic]]:
    """Copies a model's state_dict to numpy arrays, as a bundle stores it."""
    return {name: values.detach().cpu().contiguous().numpy().copy() for name, values in model.state_dict().items()}
