"""The pictures of an evaluation: plain axes, both limits, and the two worst recordings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from monitor.bundle.bundle import Bundle
from train.calibration.scored_recordings import score_recordings
from train.data.feature_cache import Frames
from train.evaluation import plots
from train.evaluation.metrics import Labelled, metrics
from train.fitting.checkpoint import Epoch

STREAMS = {
    "hours": 2.0, "false_alarms_per_day": 132.0, "false_alarms_per_day_upper": 218.0, "budget_per_day": 1.0,
    "faults": {"seconds": 60.0, "faults": 4, "reported": 3, "delays_s": [6.0, 12.0, 40.0]},
}  # fmt: skip
COMPARED = [{"score": "fused", "auc": 1.0, "pauc": 0.9, "auc_of_any_window": None}]


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """The figures by the names of their files, which are also written."""
    figures: dict[str, Figure] = {}
    write = plots.save

    def save(figure: Figure, path: Path) -> None:
        figures[path.name] = figure
        write(figure, path)

    monkeypatch.setattr(plots, "save", save)
    return figures


@pytest.fixture
def files(bundle: Bundle, frames: Callable[[str], list[Frames]]) -> list[Labelled]:
    """The scored test recordings."""
    return [
        Labelled(one.frames.path.name, anomaly, one)
        for name, anomaly in (("test_normal", False), ("test_anomaly", True))
        for one in score_recordings(bundle, frames(name), "cpu")
    ]


def labels(axis) -> list[str]:
    """The labels of the ticks on an axis."""
    return [text for tick in axis.get_major_ticks() if (text := tick.label1.get_text())]


def test_pictures_are_of_the_worst_false_alarm_and_of_the_worst_miss(
    bundle: Bundle, files: list[Labelled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: dict[str, str] = {}
    monkeypatch.setattr(plots, "_recording", lambda _, __, title, path: titles.update({path.name: title}))
    plots.evaluation_plots(bundle, files, metrics(bundle, files), tmp_path)
    normal = max((file for file in files if not file.anomaly), key=lambda file: file.recording.score)
    missed = min((file for file in files if file.anomaly), key=lambda file: file.recording.score)
    assert titles["worst_false_alarm.png"].startswith(f"Normal recording with the highest score: {normal.name}, ")
    assert titles["worst_miss.png"].startswith(f"Anomalous recording with the lowest score: {missed.name}, ")
    assert len(titles) == 2


def test_comparison_and_simulated_alarms_are_drawn_where_there_are_any(
    bundle: Bundle, files: list[Labelled], tmp_path: Path, saved: dict[str, Figure]
) -> None:
    plots.evaluation_plots(bundle, files, metrics(bundle, files) | {"compared": COMPARED, "streams": STREAMS}, tmp_path)
    assert {"comparison.png", "streams.png", "worst_miss.png"} <= {path.name for path in tmp_path.iterdir()}
    assert [axes.get_title(loc="left") for axes in saved["streams.png"].axes][1] == "3 of 4 faults reported"


def test_the_histogram_counts_in_whole_numbers_and_has_both_limits_beside_it(
    bundle: Bundle, files: list[Labelled], tmp_path: Path, saved: dict[str, Figure]
) -> None:
    plots.evaluation_plots(bundle, files, metrics(bundle, files), tmp_path)
    figure = saved["scores.png"]
    (axes,) = figure.axes
    assert all(float(label).is_integer() for label in labels(axes.yaxis))
    (legend,) = figure.legends  # of the figure, not over the bars
    shown = [text.get_text() for text in legend.get_texts()]
    assert any(text.startswith("limit of recordings") for text in shown)
    assert f"limit of the alarm {bundle.thresholds['score'].value:.4g}" in shown


@pytest.mark.parametrize("lowest", [0.38, 0.0021, 3.0])
def test_a_logarithmic_axis_has_plain_numbers(lowest: float, tmp_path: Path, saved: dict[str, Figure]) -> None:
    history = [Epoch(n, 2 * lowest * 0.9**n, lowest * 1.1, 1e-3, 1.0, 1.0) for n in range(1, 9)]
    plots.loss_over_epochs(history, tmp_path / "loss.png")
    (axes,) = saved["loss.png"].axes
    low, high = axes.get_ylim()
    inside = [label for label in labels(axes.yaxis) if low <= float(label) <= high]
    assert inside
    assert not any("10^" in label or "mathdefault" in label for label in labels(axes.yaxis))
