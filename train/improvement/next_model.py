"""The next model of a stream: made, judged and kept as a candidate, promoted, or taken back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle, save_bundle, with_model_id
from monitor.bundle.versions import ModelVersions, with_lineage
from monitor.config.schema import Config
from monitor.core.errors import BundleError, MonitorError
from monitor.core.text import printable
from monitor.model.device import choose_device
from monitor.store import audit, queries
from monitor.store.database import Store
from monitor.store.records import StoredStream
from train.commands.model_files import now
from train.commands.progress import Progress
from train.data.feature_cache import Frames, manifest_digest
from train.improvement.candidate import Candidate, make_candidate
from train.improvement.judgement import judge
from train.improvement.known_sound import unlike
from train.improvement.material import LEARNT, Material, gather, verdicts_of_events
from train.improvement.report import CandidateReport, load_report, save_report, short_figures
from train.improvement.retraining import retrained_candidate

RELEARNT, RETRAINED = "references and limits learnt again", "network trained anew, references and limits learnt again"


@dataclass(frozen=True, slots=True)
class ImprovedStream:
    """A stream whose model is to become better.

    Attributes:
        stream: the stream in the store.
        configured: the model file of the settings or the command line.
        versions: the versions of its model.
        parent: the model in force.
        config: the settings in force for it.
    """

    stream: StoredStream
    configured: Path
    versions: ModelVersions
    parent: Bundle
    config: Config

    @property
    def full_name(self) -> str:
        """Its name with that of its computer, for the audit trail."""
        return f"{self.stream.host}/{self.stream.name}"


def make(
    improved: ImprovedStream,
    store: Store,
    normal: Sequence[Path],
    progress: Progress,
    *,
    by: str,
    retrain: bool = False,
) -> CandidateReport:
    """Makes a candidate of all that is known of a stream, judges it, and keeps it with its report.

    Args:
        improved: the stream.
        store: has its events and verdicts.
        normal: files and folders with more normal sound.
        progress: shows the progress.
        by: who makes it.
        retrain: whether the network is trained anew, too.

    Raises:
        MonitorError: if there is too little normal sound, or the candidate cannot be written.
    """
    parent, config, versions = improved.parent, improved.config, improved.versions
    verdicts = current_verdicts(store, improved.stream)
    material = gather(parent, config, store, improved.stream, normal, progress)
    device, how = choose_device(config.train.device), RETRAINED if retrain else RELEARNT
    progress.doing("Making the candidate", 0.0)
    if retrain:
        candidate = retrained_candidate(parent, config, material, device, progress)
    else:
        candidate = make_candidate(parent, config, material, device)
    candidate = replace(candidate, bundle=_with_provenance(candidate, parent, how=how, by=by))
    progress.doing("Making the candidate", 1.0)
    judgement = judge(parent, candidate, config, material, device, lambda share: progress.doing("Judging it", share))
    bundle, threshold = candidate.bundle, candidate.bundle.thresholds["score"]
    report = CandidateReport(
        stream=improved.stream.name,
        model_id=bundle.model_id,
        parent=parent.model_id,
        how=how,
        retrained=retrain,
        by=by,
        made=time.time(),
        verdicts=verdicts,
        learnt=[clip.event.id for clip in material.learnt],
        hours=_hours(material, config),
        held_back=material.held_back,
        share=candidate.share,
        limits=(parent.thresholds["score"].value, threshold.value),
        modes=(_modes(parent), _modes(bundle)),
        budget=config.calibration.false_alarms_per_day,
        bounds=(parent.thresholds["score"].upper, threshold.upper),
        more_s=threshold.more_s,
        judgement=judgement,
        unlike=unlike(load_bundle(versions.chosen_by_people(improved.configured)), config, material, device),
    )
    # The report goes first and comes last, so that it never describes another candidate than the one beside it.
    report_file(versions).unlink(missing_ok=True)
    save_bundle(bundle, versions.candidate)
    save_report(report, report_file(versions))
    return report


def promote(
    improved: ImprovedStream, store: Store, *, by: str, force: bool = False, model_id: str | None = None
) -> CandidateReport:
    """Puts the last candidate in force, and notes it in the audit trail.

    Args:
        improved: the stream.
        store: has its verdicts, and the audit trail.
        by: who does it.
        force: whether to promote it although confirmed faults are lost, or verdicts have changed.
        model_id: of the candidate that is meant; None: the last one, whichever it is.

    Raises:
        MonitorError: if there is no candidate, it is not of the model in force, or must not be promoted.
    """
    versions, name = improved.versions, printable(improved.stream.name)
    again = f'make another with `monitor improve "{name}"`'
    report = load_report(report_file(versions))
    try:
        bundle = load_bundle(versions.candidate)
    except BundleError:
        raise MonitorError(f"{versions.candidate}: is missing or damaged: {again}.") from None
    if bundle.model_id != report.model_id:
        raise MonitorError(f"{versions.candidate}: is another model than its report describes: {again}.")
    if model_id not in (None, report.model_id):
        raise MonitorError(f"Not promoted: somebody has made another candidate meanwhile, {report.model_id}.")
    if report.refusal and not force:
        raise MonitorError(f"Not promoted: {report.refusal}")
    if not force and report.verdicts != current_verdicts(store, improved.stream):
        raise MonitorError(
            f"Not promoted: verdicts have changed since the candidate was made: {again}, or add --force."
        )
    with store.begin() as connection:  # two that promote at once come one after the other
        what = {"from": report.parent, "to": report.model_id, "how": report.how, "forced": force}
        audit.record(
            connection, by=by, what="model", subject=improved.full_name, before=report.parent,
            after=what | short_figures(report),
        )  # fmt: skip
        in_force = load_bundle(versions.in_force(improved.configured)).model_id
        if report.parent != in_force:
            raise MonitorError(
                f"The candidate was made of model {report.parent}, but {in_force} is in force now: {again}."
            )
        versions.promote(bundle, configured=improved.configured, by=by, how=report.how, figures=short_figures(report))
    return report


def take_back(improved: ImprovedStream, store: Store, *, by: str) -> Bundle:
    """Puts the version before in force again, or the configured model, and notes it in the audit trail.

    Returns:
        the model that is in force now.

    Raises:
        MonitorError: if no version is in force, or the history is damaged.
    """
    with store.begin() as connection:
        # The entry waits in its transaction until the history is written.
        file = improved.versions.undo(configured=improved.configured, by=by)
        bundle = load_bundle(file)
        audit.record(
            connection, by=by, what="model", subject=improved.full_name, before=improved.parent.model_id,
            after={"to": bundle.model_id, "how": "taken back"},
        )  # fmt: skip
    return bundle


def current_verdicts(store: Store, stream: StoredStream) -> dict[str, str]:
    """The verdicts on the anomalies of a stream, by the events' ids."""
    return verdicts_of_events(queries.events(store, streams=[stream.id], kinds=["anomaly"]))


def report_file(versions: ModelVersions) -> Path:
    """The file of the report on the last candidate."""
    return versions.candidate.with_suffix(".json")


def _with_provenance(candidate: Candidate, parent: Bundle, *, how: str, by: str) -> Bundle:
    """The bundle of a candidate, with its calibration and lineage in its provenance."""
    recordings = [one.frames for one in (*candidate.observed.known, *candidate.observed.learnt)]
    bundle = candidate.bundle
    this: dict[str, Any] = {"date": now(), "manifest": manifest_digest(recordings), "relearnt": True}
    calibrations = [*bundle.provenance.get("calibrations", ()), this]
    bundle = replace(bundle, provenance=bundle.provenance | {"calibrations": calibrations})
    learnt = len(candidate.observed.clips)
    return with_model_id(with_lineage(bundle, parent, how=f"{how}, with {learnt} {LEARNT}" if learnt else how, by=by))


def _modes(bundle: Bundle) -> int:
    return 1 if bundle.modes is None else bundle.modes.count


def _hours(material: Material, config: Config) -> dict[str, float]:
    def of(recordings: Sequence[Frames]) -> float:
        return round(sum(len(one.power) for one in recordings) * config.features.hop_s / 3600, 3)

    return {"stored": of(material.stored), "given": of(material.given), "trained": of(material.trained)}
