"""Schedules of the learning rate."""

from __future__ import annotations

import math

from monitor.config.schema import Train

FINAL_RATE = 1e-6  # of schedule hold-then-linear, as in the article


def learning_rate(train: Train, epoch: int, step: int, steps: int) -> float:
    """The learning rate of a step.

    one-cycle (Smith & Topin, 2018): rises as a cosine from 1/25 of `train.learning_rate` over the first 30 % of the
    training, then falls as a cosine to 1/10,000 of that initial rate. hold-then-linear: constant for the first half
    of the epochs, then falls linearly, epoch by epoch, to 1e-6 (the article: constant up to epoch 100, 1e-6 at 200).

    Args:
        train: settings of the training.
        epoch: number of the epoch, from 1.
        step: number of the step in the epoch, from 0.
        steps: number of steps in an epoch.
    """
    top = train.learning_rate
    if train.schedule == "hold-then-linear":
        half = train.epochs / 2
        return top + (FINAL_RATE - top) * max(0.0, (epoch - half) / (train.epochs - half))
    progress = ((epoch - 1) * steps + step) / max(1, train.epochs * steps - 1)
    rise = 0.3
    if progress < rise:
        low, share = top / 25, progress / rise
    else:
        low, share = top / 25e4, (1 - progress) / (1 - rise)
    return low + (top - low) * (1 - math.cos(math.pi * share)) / 2
