"""Places of streams in batches: streams of one model are computed together, and of models learnt from one another."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.core.thread_pool import ThreadPool
from monitor.model.device import listening_device
from monitor.model.network import Compute
from monitor.model.precision_choice import listening_precision
from monitor.runtime.stream_group import StreamGroup
from monitor.streaming.stream_batch import StreamBatch

Place = tuple[StreamGroup, int]  # the streams of a batch, and the number of one of them


@dataclass(frozen=True, slots=True)
class Batches:
    """Makes batches for streams, and finds places in those that are in use.

    Args:
        device: "auto", "cpu" or "cuda", as `train.device`.
        precision: as `listening.precision`.
        pool: threads that share the computation.
    """

    device: str = "auto"
    precision: str = "auto"
    pool: ThreadPool | None = None

    def places(self, bundles: Sequence[Bundle], used: Iterable[Place] = ()) -> list[Place]:
        """A place for a stream of each of these models: for those of one `front` in one batch, as far as possible.

        Args:
            bundles: the model of each stream.
            used: the places of streams in batches that are in use; those that streams have left are given first.
        """
        by_front: dict[str, list[int]] = defaultdict(list)  # indices of the streams
        fronts = {id(bundle): front(bundle) for bundle in {id(bundle): bundle for bundle in bundles}.values()}
        for index, bundle in enumerate(bundles):
            by_front[fronts[id(bundle)]].append(index)
        free, found = _free(used), dict[int, Place]()
        for key, indices in by_front.items():
            places = free[key][: len(indices)]
            if missing := len(indices) - len(places):
                group = StreamGroup(self._batch(bundles[indices[0]], missing, len(bundles)))
                places += [(group, number) for number in range(missing)]
            found.update(zip(indices, places, strict=True))
        for index, (group, number) in found.items():
            group.batch.use(bundles[index], number)
        return [found[index] for index in range(len(bundles))]

    def _batch(self, bundle: Bundle, count: int, in_all: int) -> StreamBatch:
        device = listening_device(self.device)
        precision = listening_precision(self.precision, bundle.config, count, device, in_all=in_all)
        compute = Compute.on(device, precision)
        return StreamBatch(bundle, count, compute=compute, pool=self.pool)


def front(bundle: Bundle) -> str:
    """A digest of all of a model that its mean rows depend on: features, network and modes.

    Models that were learnt again from one another have the same: they differ in references and limits alone. With a
    rhythm, which is tracked before the mean rows, each model has its own.
    """
    found, config = hashlib.sha256(), bundle.config
    features = config.features.model_copy(update={"channel": 0})  # which one is listened to is not the model's business
    rhythm = None if bundle.rhythm is None else bundle.model_id or id(bundle)
    found.update(repr((features, config.score, bundle.layout, bundle.level_has_offset, rhythm)).encode())
    arrays = {**bundle.weights, "mean": bundle.mean, "deviation": bundle.deviation}
    if bundle.modes is not None:
        arrays |= {f"modes {one.name}": getattr(bundle.modes, one.name) for one in fields(bundle.modes)}
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        found.update(f"{name} {array.dtype} {array.shape} ".encode() + array.tobytes())
    return found.hexdigest()


def _free(used: Iterable[Place]) -> dict[str, list[Place]]:
    """The places in batches that no stream is in, by the `front` of the models."""
    taken: dict[StreamGroup, set[int]] = defaultdict(set)
    for group, number in used:
        taken[group].add(number)
    free: dict[str, list[Place]] = defaultdict(list)
    for group, numbers in taken.items():
        batch = group.batch
        free[front(batch.bundle)] += [(group, number) for number in range(len(batch)) if number not in numbers]
    return free
