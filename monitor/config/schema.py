"""The schema of all settings: type, default, range and description of each.

config.yaml (`monitor.config.template`) and the manual's page of settings (`monitor.guide.settings_page`) are generated
from it. The docstring of a group and the descriptions are shown to users there.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from monitor.config.fleet import Fleet
from monitor.config.improving import Commissioning, Normal, Selftest, Web
from monitor.config.plant import Clips, Metrics, Mqtt, Notify, State, Store
from monitor.config.setting_types import (
    BLANK,
    SAMPLE_RATES,
    Channel,
    Group,
    PathSetting,
    entry_type,
    setting_error,
)
from monitor.config.sources import Audio, Stream

Sensitivity = Literal["low", "normal", "high"]
# Share of half the sample rate that resampling leaves as it is; above it begins the slope of the filter.
FLAT_SHARE = 7 / 8
MAX_OVERLAP = 64  # spectra that a sample can be part of
MAX_WINDOW = 65_536  # values in a window of the autoencoder
MAX_RATE = 1e8  # values in all windows of a second: far more than a computer can score


class Features(Group):
    """How sound becomes the mel spectra that the model receives. A trained model works only with its own values."""

    sample_rate: int = Field(
        16000,
        ge=SAMPLE_RATES[0],
        le=SAMPLE_RATES[1],
        description="sample rate of the model, in Hz; sound of other sample rates is resampled",
    )
    n_fft: int = Field(512, ge=16, le=65536, description="samples in each spectrum (FFT length), an even number")
    hop_length: int = Field(
        160, ge=1, le=65536, description="samples from one spectrum to the next; 160 at 16000 Hz is 10 ms"
    )
    n_mels: int = Field(64, ge=4, le=512, description="number of frequency bands (mel) in a spectrum")
    fmin: float = Field(0.0, ge=0, le=SAMPLE_RATES[1] / 2, description="lowest frequency of the bands, in Hz")
    fmax: Annotated[Literal["auto"] | Annotated[float, Field(ge=1, le=SAMPLE_RATES[1] / 2)] | None, BLANK] = Field(
        "auto",
        description="highest frequency of the bands, in Hz; auto: 7/8 of half the sample rate, because the filters "
        "that resample recordings differ above that; null: half the sample rate",
    )
    scale: Literal["log", "power"] = Field(
        "log", description="log: the power in each band in decibels; power: the power itself"
    )
    floor: float = Field(
        1e-10, ge=1e-20, le=0.01, description="smallest power, with scale: log; smaller ones are set to it"
    )
    standardize: bool = Field(
        True, description="scale each band to mean 0 and standard deviation 1 over the training sound"
    )
    remove_level: bool = Field(
        False, description="subtract the mean over all bands from each spectrum, so that loudness has no effect"
    )
    window_frames: int = Field(
        20, ge=2, le=512, description="number of spectra that the autoencoder receives at a time, an even number"
    )
    channel: Channel = Field(
        "mix", description="mix: the mean of all channels; or the number of one channel, counted from 0"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.n_fft % 2 or self.window_frames % 2:
            raise ValueError("n_fft and window_frames have to be even numbers")
        if self.remove_level and self.scale == "power":
            raise ValueError("remove_level needs scale: log")
        if self.n_fft > MAX_OVERLAP * self.hop_length:
            raise ValueError(
                f"hop_length {self.hop_length} is too small for n_fft {self.n_fft}: at most {MAX_OVERLAP} spectra may "
                "overlap"
            )
        if self.window_size > MAX_WINDOW or self.window_size > MAX_RATE * self.hop_s:
            raise ValueError(
                f"n_mels, window_frames and hop_length give {self.window_size / self.hop_s:.2g} values a second, or "
                f"{self.window_size} a window: {MAX_RATE:.0e} and {MAX_WINDOW} are possible"
            )
        if self.hop_length > self.n_fft:
            raise ValueError(f"hop_length {self.hop_length} is larger than n_fft {self.n_fft}: sound would be skipped")
        if not self.fmin < self.f_top <= self.sample_rate / 2:
            raise ValueError(
                f"0 ≤ fmin < fmax ≤ sample_rate / 2 has to hold, but they are {self.fmin}, {self.f_top}, "
                f"{self.sample_rate / 2}"
            )
        return self

    @property
    def f_top(self) -> float:
        """The highest frequency of the mel bands, in Hz."""
        if self.fmax == "auto":
            return FLAT_SHARE * self.sample_rate / 2
        return self.fmax if self.fmax is not None else self.sample_rate / 2

    @property
    def hop_s(self) -> float:
        """Seconds from one frame to the next."""
        return self.hop_length / self.sample_rate

    @property
    def window_size(self) -> int:
        """Number of values in a window: window_frames * n_mels."""
        return self.window_frames * self.n_mels


class Model(Group):
    """The size of the autoencoder. A trained model works only with its own values."""

    hidden: tuple[Annotated[int, Field(ge=1, le=8192)], Annotated[int, Field(ge=1, le=8192)]] = Field(
        (512, 256), description="sizes of the encoder's two hidden layers; the decoder has the same in reverse order"
    )
    bottleneck: int = Field(128, ge=1, le=8192, description="size of the smallest layer, between encoder and decoder")
    dropout: float = Field(
        0.2, ge=0, le=0.99, description="share of the last hidden layer that is switched off at random in training"
    )


class Score(Group):
    """How the anomaly score is computed. A trained model works only with its own values."""

    kind: Literal["fused", "mahalanobis", "spectrum", "error"] = Field(
        "fused",
        description="mahalanobis: how unusual the residual of the autoencoder is; spectrum: how unusual the spectrum "
        "is, without the autoencoder; fused: both combined; error: the mean reconstruction error",
    )
    window_s: float = Field(
        2.0, ge=0, le=600, description="seconds of sound that a score is averaged over; 0: a single window"
    )
    extremes: bool = Field(
        True,
        description="with kind fused or spectrum, also score the highest and lowest level of each band in each 0.2 s",
    )
    modes: Literal["auto"] | Annotated[int, Field(ge=1, le=8)] = Field(
        "auto",
        description="number of the machine's operating modes, such as speeds, or idle and load, each with its own "
        "reference distribution; auto: as many as are clearly apart in normal sound",
    )
    impulses: Literal["auto", "never"] = Field(
        "auto",
        description="auto: also score the loudest moments and the rhythm of a machine that clicks or strokes "
        "regularly; never: do not",
    )
    shrinkage: Literal["auto", "ledoit-wolf"] | Annotated[float, Field(ge=0, le=1)] = Field(
        "auto",
        description="how far the correlations of normal sound are reduced, 0 is none; ledoit-wolf: computed from the "
        "data; auto: a little if there is enough training sound of one session, else by cross-validation",
    )
    recording: Literal["mean", "max"] = Field(
        "mean", description="score of a whole recording; mean: the score of its average; max: its highest score"
    )
    cut_frames: int = Field(
        0, ge=0, le=100_000, description="spectra at each end of a recording that are left out of its score"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind != "error" and self.window_s < 0.1:
            raise ValueError(f"window_s has to be at least 0.1 where kind is {self.kind}")
        return self


class Train(Group):
    """How a model is trained."""

    epochs: int = Field(40, ge=1, le=100_000, description="passes over all training windows")
    batch_size: int = Field(
        512, ge=2, le=1_000_000, description="windows in each training step; limited to 1/32 of all windows"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="number format of matrix products; auto: bfloat16 if the processor supports it natively and a "
        "step has 512 windows or more, else float32",
    )
    learning_rate: float = Field(2e-3, ge=1e-9, le=10, description="highest learning rate of the schedule")
    weight_decay: float = Field(0.0, ge=0, le=10, description="how strongly training pulls the weights towards zero")
    schedule: Literal["one-cycle", "hold-then-linear"] = Field(
        "one-cycle",
        description="course of the learning rate; one-cycle: up, then down; hold-then-linear: constant, then down",
    )
    input_noise: float = Field(
        1.0, ge=0, le=100,
        description="standard deviation of the noise that the autoencoder learns to remove, in standard deviations of "
        "a band; 0: no noise",
    )  # fmt: skip
    held_out: float = Field(
        0.2,
        ge=0.001,
        le=0.999,
        description="share of the recordings that is not trained on, but used to set the limits",
    )
    seed: int = Field(
        0, ge=0, lt=2**31, description="start value of the random numbers; the same seed gives the same model"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="where to compute, also while listening; auto: on the GPU if there is one",
    )
    cache_dir: Annotated[PathSetting | None, BLANK] = Field(
        None, description="folder in which spectra are kept for the next training; null: the user's cache folder"
    )
    memory_gb: float = Field(
        8.0,
        ge=0.001,
        le=100_000,
        description="gigabytes of memory for training windows; larger sets are read from disk in every epoch",
    )


class Listening(Group):
    """How sound is scored while listening."""

    precision: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "auto",
        description="number format of matrix products; auto: float32, and with more than 15 streams the one that "
        "is fastest here, measured at the start (int8 needs pip install 'acoustic-monitor[int8]')",
    )
    portion_ms: float = Field(
        100.0, ge=1, le=500,
        description="milliseconds of live sound that are scored at a time; with less, the screen shows a change "
        "sooner, and more of the processor is taken: with 10 about five times as much. Of up to three streams that "
        "nobody looks at, only the last portion before the alarm decides is so short",
    )  # fmt: skip


class Calibration(Group):
    """How limits are set."""

    method: Literal["normal", "labelled"] = Field(
        "normal", description="normal: from normal sound alone; labelled: from normal and anomalous test recordings"
    )
    false_alarms_per_day: float = Field(
        1.0, ge=1e-6, le=100_000, description="acceptable number of false alarms a day, with method: normal"
    )
    fpr: float = Field(
        0.1, ge=1e-6, le=0.999, description="share of normal recordings that may be above the limit for recordings"
    )


class Alarm(Group):
    """How the state of the machine is decided from the anomaly score."""

    threshold: Annotated[float | None, BLANK] = Field(
        None,
        ge=1e-12,
        le=1e12,
        description="limit of the anomaly score, set by hand; null: the calibrated limit of the model",
    )
    sensitivity: Sensitivity = Field(
        "normal",
        description="normal: as many false alarms as the model is calibrated for; low: about a tenth of them, high: "
        "about ten times as many; with alarm.threshold it has no effect",
    )
    block_s: float = Field(0.5, ge=0, le=600, description="seconds between decisions; 0: a decision at every score")
    k: int = Field(
        2, ge=1, le=1000, description="a sudden anomaly is k of the last n decisions with a score above the limit"
    )
    n: int = Field(3, ge=1, le=1000, description="number of decisions that k counts in")
    lasting: bool = Field(
        True, description="also detect lasting anomalies: scores that are a little high for long are added up"
    )
    warm_up_s: float = Field(
        3.0, ge=0, le=86400, description="seconds without an alarm after the start and after each gap"
    )
    hold_s: float = Field(5.0, ge=0, le=86400, description="shortest duration of an anomaly, in seconds")
    release_ratio: float = Field(
        0.8,
        ge=0.001,
        le=1,
        description="an anomaly ends when the score stays below this share of the limit for release_s",
    )
    release_s: float = Field(
        2.0, ge=0, le=86400, description="seconds that the score has to stay below the share release_ratio of the limit"
    )
    cool_down_s: float = Field(10.0, ge=0, le=86400, description="seconds without another alarm after an anomaly")
    remind_s: float = Field(
        3600.0, ge=0.01, le=31_536_000, description="seconds between reminders while an anomaly lasts"
    )
    off_below_dbfs: Literal["auto", "never"] | Annotated[float, Field(ge=-200, le=0)] = Field(
        "auto",
        description="level in dBFS below which the machine is off; auto: 12 dB below the quietest normal sound; never: "
        "the machine always counts as on",
    )
    run_up_s: float = Field(
        10.0, ge=0, le=86400, description="seconds without an alarm after the machine is switched on"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.k > self.n:
            raise ValueError(f"k is {self.k}, but n is only {self.n}: k cannot be larger than n")
        return self


class Drift(Group):
    """Whether the model slowly adapts to a machine that changes; `monitor drift MODEL --undo` undoes that."""

    enabled: bool = Field(False, description="adapt to the machine, only by sound that is clearly normal")
    half_life_h: float = Field(
        24.0, ge=1e-6, le=100_000, description="hours until the model has adapted to half of a lasting change"
    )
    cap: float = Field(
        0.25, ge=1e-6, le=100,
        description="limit of the adaptation: largest squared distance that the centre of the reference distribution "
        "may move, as a multiple of the typical squared distance of normal sound",
    )  # fmt: skip


class Dashboard(Group):
    """The screen, and the log lines that replace it with --headless."""

    fps: float = Field(8.0, ge=1, le=30, description="updates of the screen per second")
    ascii: bool = Field(False, description="true: only ASCII characters, for old terminals")
    colour: bool = Field(True, description="false: a screen without colours")
    log_every_s: float = Field(10.0, ge=0.01, le=86400, description="seconds between summary lines with --headless")


class Config(Group):
    """All settings."""

    audio: Audio = Audio()
    features: Features = Features()
    model: Model = Model()
    score: Score = Score()
    train: Train = Train()
    listening: Listening = Listening()
    calibration: Calibration = Calibration()
    alarm: Alarm = Alarm()
    drift: Drift = Drift()
    dashboard: Dashboard = Dashboard()
    state: State = State()
    store: Store = Store()
    clips: Clips = Clips()
    notify: Notify = Notify()
    mqtt: Mqtt = Mqtt()
    metrics: Metrics = Metrics()
    normal: Normal = Normal()
    commissioning: Commissioning = Commissioning()
    selftest: Selftest = Selftest()
    web: Web = Web()
    fleet: Fleet = Fleet()
    streams: tuple[Stream, ...] = ()

    @model_validator(mode="after")
    def _messages_need_the_store(self) -> Self:
        if self.notify.channels and not self.store.enabled:
            raise setting_error(
                ("notify", "channels"),
                "messages are sent from the store, but store.enabled is false: set it to true, or remove the channels",
            )
        return self


GROUPS = tuple(name for name in Config.model_fields if name != "streams")
# Of settings whose value is a list of groups: the group that each entry is, by the group and key of the setting.
ENTRY_TYPES: dict[tuple[str, ...], type[Group]] = {
    (group, key): entry
    for group in GROUPS
    for key, field in type(Config.model_fields[group].default).model_fields.items()
    if (entry := entry_type(field))
}
