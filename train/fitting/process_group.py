"""How the processes that torchrun has started find each other, and what is said where one of them ends."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import socket
import struct
import traceback
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist

from monitor.core.errors import ConfigError, MonitorError
from train.fitting.distributed import LOST_AFTER, WAIT, ProcessGroup

SIOCGIFADDR = 0x8915  # Linux: the address of an interface

log = logging.getLogger(__name__)


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[tuple[ProcessGroup, torch.device]]:
    """The group of processes started by torchrun, and the device of this one; without torchrun a group of size one.

    Args:
        device: the chosen device; with several processes each gets its own GPU.

    Raises:
        ConfigError: if the processes cannot connect to each other, or there are more processes than GPUs.
        MonitorError: if another process ends before the training is finished.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size < 2 or "RANK" not in os.environ:
        yield ProcessGroup(), device
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"Process {local + 1} has no GPU, there are {torch.cuda.device_count()}: start as many processes "
                "as there are GPUs, or take --device cpu."
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if size > local_size and "GLOO_SOCKET_IFNAME" not in os.environ:
        _choose_interface()
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=LOST_AFTER)
        patient = dist.new_group(backend="gloo", timeout=WAIT)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"The processes of this training do not find each other ({reason}).") from None
    try:
        yield ProcessGroup(dist.get_rank(), size, local_size, local, patient), device
    except BaseException as error:
        # The stack frames of the error refer to the group, and have to be cleared before the group is destroyed:
        # destroying it waits for its threads, one of which may be waiting for Python's global lock.
        ended = _another_process_ended(error)
        traceback.clear_frames(error.__traceback__)
        if not ended:
            raise
        raise MonitorError(
            "Another process of this training has ended, or its host does not answer, so this one ends as well. If "
            "there is a checkpoint, run the same command with --resume to continue."
        ) from None
    finally:
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()


def _another_process_ended(error: BaseException) -> bool:
    """Whether the cause of an error is that another process has ended.

    Then either the connection to it is lost, or torchrun ends this process: which comes first is random.
    """
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGTERM in error.args
    return isinstance(error, dist.DistError) or (type(error) is RuntimeError and _raised_in_communication(error))


def _raised_in_communication(error: RuntimeError) -> bool:
    """Whether an error was raised in torch's communication between processes: errors of gloo have no own class."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and any(part in Path(frames[-1].filename).parts for part in ("distributed", "autograd"))


def _choose_interface() -> None:
    """Lets gloo use the network interface by which this host reaches the first one.

    Left to itself it takes that of the host's own name, which on many systems is the loopback interface.
    """
    with contextlib.suppress(OSError, KeyError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((os.environ["MASTER_ADDR"], 9))  # sends nothing
        own = probe.getsockname()[0]
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # an interface without an address
                request = struct.pack("256s", name.encode()[:15])
                if socket.inet_ntoa(fcntl.ioctl(probe, SIOCGIFADDR, request)[20:24]) == own:
                    os.environ["GLOO_SOCKET_IFNAME"] = name
                    log.info("The hosts of this training reach each other by the interface %s.", name)
                    return
