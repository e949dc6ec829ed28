"""A stream says in which precision its network is computed, and in which its limits were made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monitor.runtime.builder import build_engine, build_streams
from support.builders import small_bundle
from support.listening import HandFedSource, plan


def shown(stream: object) -> tuple[str, str]:
    latest = stream.latest  # type: ignore[attr-defined]
    return latest.precision, latest.limits_precision


def test_a_stream_says_how_its_network_is_computed_and_its_limits_were_made() -> None:
    made_in_int8 = replace(small_bundle(), precision="int8")
    for precision in ("float32", "int8"):
        [stream] = build_engine([plan(made_in_int8, HandFedSource())], device="cpu", precision=precision).streams
        assert shown(stream) == (precision, "int8")


def test_it_says_so_of_another_model_that_it_goes_on_with() -> None:
    source, bundle = HandFedSource(), small_bundle()
    [stream] = build_engine([plan(bundle, source)], device="cpu", precision="float32").streams
    again = replace(bundle, precision="int8", model_id="another")
    [other] = build_streams([plan(again, HandFedSource())], device="cpu", precision="int8", pool=None)
    assert np.array_equal(again.mean, bundle.mean)
    stream.use_model(other.group, other.number, again.config, model_name="another")
    assert shown(stream) == ("int8", "int8")
