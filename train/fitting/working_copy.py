"""The network in the precision that a training step computes in, beside the float32 weights that Adam changes."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from monitor.model.autoencoder import Autoencoder


class WorkingCopy:
    """A network whose linear layers have the weights of a float32 model, rounded to the data type of its products.

    Small updates would be lost in bfloat16, so the optimiser changes the float32 weights (master weights, Micikevicius
    et al., 2018). Rounding all of them once in a step costs less than autocast, which looks at every use. Batch norm
    layers are those of the model itself. In float32 the network is the model, and nothing is copied.

    Args:
        model: the float32 weights; the optimiser has to be made of its parameters.
        dtype: data type of the products.
    """

    def __init__(self, model: Autoencoder, dtype: torch.dtype) -> None:
        self.network = model
        self._exact: list[Tensor] = []
        self._rounded: list[Tensor] = []
        if dtype == torch.float32:
            return
        self.network = copy.deepcopy(model)
        for name, layer in model.named_children():
            if not isinstance(layer, nn.Linear):
                setattr(self.network, name, layer)
                continue
            self._exact += layer.parameters()
            self._rounded += getattr(self.network, name).to(dtype).parameters()
        self._gradients = [torch.zeros_like(weights) for weights in self._exact]
        for weights, gradient in zip(self._exact, self._gradients, strict=True):
            weights.grad = gradient

    @torch.no_grad()
    def round_weights(self) -> None:
        """Gives the network the weights that the model has now."""
        if self._exact:
            torch._foreach_copy_(self._rounded, self._exact)

    @torch.no_grad()
    def collect_gradients(self) -> None:
        """Gives the model's parameters the gradients of the network's."""
        if self._exact:
            gradients = [weights.grad for weights in self._rounded if weights.grad is not None]
            torch._foreach_copy_(self._gradients, gradients)
