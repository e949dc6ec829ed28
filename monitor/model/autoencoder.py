"""The autoencoder: its only definition."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monitor.config.schema import Config
from monitor.core.errors import ConfigError


class Autoencoder(nn.Module):
    """A window through a bottleneck and back: 1280-512-256-128-256-512-1280 with the default settings.

    Encoder: linear, ReLU, batch norm, twice, then linear. Decoder: the same mirrored, with dropout before the last
    linear. The attributes have the article's names, so that a state_dict saved by its script loads.
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
        """A new model, of the size the settings give."""
        model = config.model
        return cls(config.features.window_size, model.hidden, model.bottleneck, model.dropout)

    def forward(self, windows: Tensor) -> Tensor:
        """Windows (B, window_size) in, their reconstructions out, the same shape."""
        x = self.bn1(F.relu(self.dense_enc1(windows)))
        x = self.bn2(F.relu(self.dense_enc2(x)))
        x = self.dense_enc3(x)
        x = self.bn4(F.relu(self.dense_dec1(x)))
        x = self.bn5(F.relu(self.dense_dec2(x)))
        reconstruction: Tensor = self.dense_dec3(self.drop1(x))
        return reconstruction


class Inference:
    """What an autoencoder computes once it is trained, in fewer steps: batch norms are part of the next layer.

    A batch norm behind a ReLU is y = s·x + t for each number, so the linear layer after it, W·y + b, is
    (W·diag(s))·x + (W·t + b). The same but for rounding, about 1e-6 of a reconstruction in float32; with bfloat16
    weights, which take windows of that type, about 1e-2. Later changes of the model are not seen.
    """

    @torch.inference_mode()
    def __init__(self, model: Autoencoder, dtype: torch.dtype = torch.float32) -> None:
        scale, shift = None, None
        self._layers: list[tuple[Tensor, Tensor, bool]] = []  # transposed weight, bias, ReLU
        for linear, norm in (
            (model.dense_enc1, model.bn1), (model.dense_enc2, model.bn2), (model.dense_enc3, None),
            (model.dense_dec1, model.bn4), (model.dense_dec2, model.bn5), (model.dense_dec3, None),
        ):  # fmt: skip
            weight, bias = linear.weight.double(), linear.bias.double()
            if scale is not None and shift is not None:
                weight, bias = weight * scale, bias + weight @ shift
            # As it was trained, (outputs, inputs) in memory: the faster way round for a few windows.
            self._layers.append((weight.to(dtype).contiguous().T, bias.to(dtype), norm is not None))
            scale, shift = None, None
            if norm is not None and norm.running_mean is not None and norm.running_var is not None:
                scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
                shift = norm.bias.double() - norm.running_mean.double() * scale

    def __call__(self, windows: Tensor) -> Tensor:
        """Windows (B, window_size) of the weights' type in, their reconstructions out, the same shape and type."""
        x = windows
        for weight, bias, rectified in self._layers:
            x = torch.addmm(bias, x, weight)
            if rectified:
                x = x.relu_()
        return x


def choose_device(wanted: str) -> torch.device:
    """The device for "auto" (a GPU if there is one), "cpu" or "cuda".

    Raises:
        ConfigError: if a GPU is asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("There is no GPU that torch can use here: take --device cpu, or auto.")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")
