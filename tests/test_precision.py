"""What the network computes in while it listens, and who computes it."""

from __future__ import annotations

import pytest
import torch
from builders import noise, small_bundle

from monitor.model import device as precision
from monitor.streaming import stream
from monitor.core.thread_pool import Processors
from monitor.streaming.stream import RowStream, ScoreStream


def test_bfloat16_is_taken_for_many_streams_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for native in (True, False):
        monkeypatch.setattr(precision, "native_bfloat16", lambda _, native=native: native)
        assert precision.listening_precision("auto", 64, "cpu") == ("bfloat16" if native else "float32")
        assert precision.listening_precision("auto", 63, "cpu") == "float32"
        assert precision.listening_precision("float32", 1000, "cpu") == "float32"
        assert precision.listening_precision("bfloat16", 1, "cpu") == "bfloat16"


def test_a_streams_bfloat16_scores_are_within_a_hundredth_of_float32_but_not_the_same() -> None:
    bundle, sound = small_bundle(), torch.from_numpy(noise(64000))[None]
    single, half = (
        ScoreStream(bundle, precision=name).push(sound)[1].score[0, 60:] for name in ("float32", "bfloat16")
    )
    assert torch.quantile((half / single - 1).abs(), 0.99) < 0.01
    assert not torch.equal(half, single)


@pytest.mark.parametrize("frames", [7, 40, 41, 300])
def test_processors_that_share_the_windows_of_a_stream_write_the_same_rows(
    frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "SHARED", 20)
    bundle, power = small_bundle(), torch.rand(1, frames, 64)
    shared, alone = RowStream(bundle, processors=(processors := Processors(3))), RowStream(bundle)
    torch.testing.assert_close(shared.push(power), alone.push(power))
    torch.testing.assert_close(shared.flush(), alone.flush())
    processors.close()


def test_what_fails_on_a_processor_fails_where_its_result_is_asked_for() -> None:
    processors = Processors(2)
    begun = [processors.begin(lambda part: 1 / part, part) for part in (4, 0)]
    assert begun[0]() == 0.25
    with pytest.raises(ZeroDivisionError):
        begun[1]()
    with pytest.raises(ZeroDivisionError):
        processors.each(lambda part: 1 / part, (1, 0))
    processors.close()
