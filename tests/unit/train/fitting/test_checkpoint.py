"""A checkpoint that was damaged or altered is refused in one sentence, before anything of it is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from monitor.core.errors import MonitorError
from monitor.model.autoencoder import Autoencoder
from support.builders import small_config
from train.fitting import checkpoint
from train.fitting.checkpoint import Epoch, restore, write

HISTORY = [Epoch(number, 1.0 / number, 1.1 / number, 1e-3, 5000.0, 2.0) for number in (1, 2)]
Facts = dict[str, Any]
Tensors = dict[str, torch.Tensor]


def network() -> tuple[Autoencoder, torch.optim.Adam]:
    """A network after three steps of training, as in the training loop."""
    torch.manual_seed(0)
    config = small_config("features.n_mels=16")
    model = Autoencoder.from_config(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(8, config.features.window_size)).square().mean().backward()
        optimizer.step()
    return model, optimizer


@pytest.fixture
def written(tmp_path: Path) -> Path:
    model, optimizer = network()
    write(tmp_path / "checkpoint", "work", model, optimizer, HISTORY)
    return tmp_path / "checkpoint"


def rewrite(path: Path, change: Callable[[Facts, Tensors], None], *, digest: bool = True) -> None:
    """Changes the content of a checkpoint; with a digest that fits, as by a program that means to."""
    with safe_open(path, framework="pt") as stored:
        facts = json.loads(stored.metadata()["training"])
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    stated = facts.pop("digest")
    change(facts, tensors)
    save_file(
        tensors, path,
        {"training": json.dumps(facts | {"digest": checkpoint._digest(facts, tensors) if digest else stated})},
    )  # fmt: skip


def refused(path: Path) -> str:
    """Why a checkpoint is refused; the network must be as it was."""
    model, optimizer = network()
    before = {name: values.clone() for name, values in model.state_dict().items()}
    with pytest.raises(MonitorError) as caught:
        restore(path, "work", model, optimizer, epochs=5)
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
    message = str(caught.value)
    assert message.startswith(f"{path}: cannot be resumed from (")
    assert message.endswith("): train without --resume.")
    assert "\n" not in message
    return message


def test_what_was_written_is_restored(written: Path) -> None:
    model, optimizer = network()
    expected = {name: values.clone() for name, values in model.state_dict().items()}
    moments = {parameter: state["exp_avg"].clone() for parameter, state in optimizer.state.items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
            optimizer.state[parameter]["exp_avg"].zero_()
    assert restore(written, "work", model, optimizer, epochs=2) == HISTORY
    assert all(torch.equal(values, expected[name]) for name, values in model.state_dict().items())
    assert all(torch.equal(optimizer.state[parameter]["exp_avg"], moment) for parameter, moment in moments.items())


@pytest.mark.parametrize("share", [0.001, 0.02, 0.3, 0.6, 0.9, 0.9999])
def test_a_flipped_bit_is_noticed_wherever_it_is(written: Path, share: float) -> None:
    content = bytearray(written.read_bytes())
    content[int(share * len(content))] ^= 1
    written.write_bytes(content)
    refused(written)


def resized(name: str, *shape: int) -> Callable[[Facts, Tensors], None]:
    def change(_: Facts, tensors: Tensors) -> None:
        tensors[name] = torch.zeros(shape, dtype=tensors[name].dtype)

    return change


def without(name: str) -> Callable[[Facts, Tensors], None]:
    def change(_: Facts, tensors: Tensors) -> None:
        for one in [one for one in tensors if one.startswith(name)]:
            del tensors[one]

    return change


def retyped(name: str) -> Callable[[Facts, Tensors], None]:
    return lambda _, tensors: tensors.update({name: tensors[name].double()})


@pytest.mark.parametrize(
    "change",
    [
        resized("adam.0.exp_avg", 1),
        resized("adam.0.exp_avg_sq", 3, 3),
        resized("adam.2.step", 2),
        resized("model.dense_enc1.weight", 2, 2),
        retyped("adam.1.exp_avg"),
        without("adam.3."),
        without("adam."),
        without("adam.0.step"),
        without("model.dense_enc1.bias"),
        lambda _, tensors: tensors.update({"adam.99.step": torch.zeros(())}),
        lambda _, tensors: tensors.update({"adam.x.y.z": torch.zeros(())}),
    ],
    ids=lambda change: None,
)
def test_tensors_that_are_not_those_of_the_training_are_refused_even_with_the_right_digest(
    written: Path, change: Callable[[Facts, Tensors], None]
) -> None:
    """With a moment of another shape, Adam's fused step would write into memory that is not its own."""
    rewrite(written, change)
    assert "its tensors are not those of this training" in refused(written)


def test_changed_values_are_refused(written: Path) -> None:
    def change(_: Facts, tensors: Tensors) -> None:
        tensors["adam.0.exp_avg"] += 1e-3

    rewrite(written, change, digest=False)
    assert "altered" in refused(written)


def history_of(*lines: object) -> Callable[[Facts, Tensors], None]:
    return lambda facts, _: facts.update({"history": list(lines)})


LINE = {"epoch": 1, "loss": 1.0, "held_out_loss": 1.0, "learning_rate": 1e-3, "windows_per_second": 1.0, "seconds": 1.0}


@pytest.mark.parametrize(
    "change",
    [
        history_of(),
        history_of(LINE, LINE),
        history_of(LINE | {"epoch": 2}),
        history_of(LINE | {"loss": float("nan")}),
        history_of(LINE | {"loss": 10**400}, LINE),
        history_of(LINE | {"loss": "1.0"}),
        history_of(LINE | {"loss": None}),
        history_of(LINE | {"epoch": True}),
        history_of(LINE | {"more": 1.0}),
        history_of(*(LINE | {"epoch": number} for number in range(1, 7))),
        history_of({"epoch": 1}),
        history_of("epoch 1"),
        lambda facts, _: facts.update({"history": {"0": LINE}}),
    ],
    ids=lambda change: None,
)
def test_a_history_that_is_not_that_of_a_training_is_refused(
    written: Path, change: Callable[[Facts, Tensors], None]
) -> None:
    rewrite(written, change)
    assert "history" in refused(written)


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"digest": 1}', "[" * 100_000])
def test_another_file_of_tensors_is_no_checkpoint(tmp_path: Path, text: str) -> None:
    save_file({"x": torch.zeros(3)}, tmp_path / "checkpoint", {"training": text})
    refused(tmp_path / "checkpoint")


def test_a_checkpoint_of_other_work_says_what_to_give(written: Path) -> None:
    with pytest.raises(MonitorError, match="give the same ones to resume it"):
        restore(written, "other work", *network(), epochs=5)
