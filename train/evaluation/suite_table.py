"""The table of a suite, and of the changes since an earlier one: in a terminal, as plain text, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.core.text import counted, printable
from train.evaluation.suite_figures import FIGURES, Change, Figure, SetResult, SuiteResult, Value, change

MEAN = "mean of the sets"
WORSE = "!"  # behind a change for the worse that is larger than the spread
WIDTH = 120  # columns where it does not go to a terminal, enough for means and spreads beside each other
STYLES = {1: "green", 0: "", -1: "red"}  # of changes, by their judgement


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str = "-"
    style: str = ""


@dataclass(frozen=True, slots=True)
class _Block:
    """The rows of a data set: one for each score, with a cell for each figure."""

    name: str
    rows: list[tuple[str, list[_Cell]]]  # short name of the score, cells


@dataclass(frozen=True, slots=True)
class _Part:
    """A table, its heading, and the notes below it."""

    heading: str  # "": none
    blocks: list[_Block]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """The figures of a suite as a table and notes.

    Args:
        result: the figures.
        before: those of an earlier suite, if the changes since then are wanted.
    """

    result: SuiteResult
    before: SuiteResult | None = None

    def print(self, console: Console) -> None:
        """Prints tables and notes; as plain text of WIDTH columns if the console is no terminal."""
        if not console.is_terminal:
            console.width = WIDTH
        for part in self._parts():
            if part.heading:
                console.print(Text(f"\n{part.heading}", style="bold"))
            console.print(_terminal_table(part.blocks, narrow=console.width < WIDTH))
            for note in part.notes:
                console.print(Text(printable(note)))

    def markdown(self, title: str) -> str:
        """Tables and notes as the text of a Markdown file."""
        texts = [f"# {_plain(title)}"]
        for part in self._parts():
            texts += [f"## {part.heading}"] if part.heading else []
            texts += [_markdown_table(part.blocks), *(_plain(note) for note in part.notes)]
        return "\n\n".join(texts) + "\n"

    def _parts(self) -> Iterator[_Part]:
        yield _Part("", _figure_blocks(self.result), list(_figure_notes(self.result)))
        if self.before is not None:
            blocks, notes = _change_blocks(self.before, self.result), list(_change_notes(self.before, self.result))
            yield _Part("Changes since the earlier suite", blocks, notes)


def _figure_blocks(result: SuiteResult) -> list[_Block]:
    blocks = [
        _Block(
            f"{one.name} (failed)" if one.error else one.name,
            [
                (score, [_value(f, one.value(score, f), rival=score != one.score) for f in FIGURES])
                for score in one.scores()
            ],
        )
        for one in result.sets
    ]
    means = [(score, [_value(f, result.mean(score, f), rival=True) for f in FIGURES]) for score in result.scores()]
    return [*blocks, _Block(MEAN, means)] if len(result.sets) > 1 else blocks


def _figure_notes(result: SuiteResult) -> Iterator[str]:
    streams = result.streams
    if len(result.seeds) > 1:
        yield f"±: half the distance between the lowest and the highest of {counted(len(result.seeds), 'seed')}."
    yield (
        "The first score of a set is the model's: FPR and TPR at its limit of recordings; false alarms a day in "
        f"{streams.hours:g} h of normal test recordings, and how many there are at most (95 % confidence); faults "
        f"missed, of {streams.faults} of {streams.fault_s:g} s, and the median delay of the others. "
        "Plain Mahalanobis and nearest neighbour are those of the mean log mel spectrum, without a network."
    )
    if nothing := [one.name for one in result.sets if one.network_adds_nothing()]:
        yield f"The autoencoder adds nothing on {', '.join(nothing)}: the spectrum alone is as good."
    for one in result.sets:
        if one.error:
            yield f"Failed: {one.name}: {one.error}"


def _changes(before: SetResult, after: SetResult, score: str) -> list[Change | None]:
    """The change of each figure of a score. The model's own score is compared with the model's own of then."""
    earlier = before.score if score == after.score else score
    return [change(figure, before.value(earlier, figure), after.value(score, figure)) for figure in FIGURES]


def _mean_changes(before: SuiteResult, after: SuiteResult, score: str) -> list[Change | None]:
    """The change of the means of a score over the sets that are in both suites."""
    return [change(figure, before.mean(score, figure), after.mean(score, figure)) for figure in FIGURES]


def _pairs(before: SuiteResult, after: SuiteResult) -> list[tuple[SetResult, SetResult]]:
    """The sets that have figures in both suites."""
    earlier = {one.name: one for one in before.sets if one.runs}
    return [(earlier[one.name], one) for one in after.sets if one.runs and one.name in earlier]


def _change_blocks(before: SuiteResult, after: SuiteResult) -> list[_Block]:
    pairs = _pairs(before, after)
    blocks = [
        _Block(
            now.name,
            [(score, _change_cells(_changes(then, now, score), rival=score != now.score)) for score in now.scores()],
        )
        for then, now in pairs
    ]
    if len(pairs) < 2:
        return blocks
    same = before.of([then for then, _ in pairs]), after.of([now for _, now in pairs])
    means = [(score, _change_cells(_mean_changes(*same, score), rival=True)) for score in same[1].scores()]
    return [*blocks, _Block(MEAN, means)]


def _change_notes(before: SuiteResult, after: SuiteResult) -> Iterator[str]:
    pairs = _pairs(before, after)
    yield f"{WORSE}: worse by more than the spread over the seeds, of then or of now."
    for word, judgement in (("Better", 1), ("Worse", -1)):
        sets = [
            f"{now.name} ({', '.join(_in_words(one) for one in found)})"
            for then, now in pairs
            if (found := [one for one in _changes(then, now, now.score) if one and one.judgement == judgement])
        ]
        yield f"{word}, of the model's own score: {'; '.join(sets) or 'nothing'}."
    if len(before.seeds) < 2 and len(after.seeds) < 2:
        yield "With one seed there is no spread, and every change counts: run both suites with three seeds."
    if before.streams != after.streams:
        yield "Other streams were simulated then: the figures of the alarm cannot be compared."
    common = {now.name for _, now in pairs}
    if alone := [name for name in dict.fromkeys(one.name for one in (*after.sets, *before.sets)) if name not in common]:
        yield f"Without figures in one of the suites: {', '.join(alone)}."


def _value(figure: Figure, value: Value | None, *, rival: bool) -> _Cell:
    """The cell of a figure; of a rival of the model's score, those of limits are left blank."""
    if value is None:
        return _Cell("" if rival and figure.own_only else "-")
    spread = "" if value.spread is None else f"±{_number(figure, value.spread, at=value.mean)}"
    return _Cell(f"{_number(figure, value.mean)}{spread}")


def _change_cells(changes: Iterable[Change | None], *, rival: bool) -> list[_Cell]:
    """The cells of the changes of all figures; blank ones as in `_value`."""
    cells = []
    for figure, found in zip(FIGURES, changes, strict=True):
        if found is None:
            cells.append(_Cell("" if rival and figure.own_only else "-"))
        else:
            worse = WORSE if found.judgement < 0 else ""
            cells.append(_Cell(f"{_difference(found)}{worse}", STYLES[found.judgement]))
    return cells


def _in_words(found: Change) -> str:
    return f"{found.figure.heading} {_difference(found)}"


def _difference(found: Change) -> str:
    text = _number(found.figure, found.difference)
    if not any(digit in "123456789" for digit in text):
        return "0"
    return text if text.startswith("-") else f"+{text}"


def _number(figure: Figure, value: float, *, at: float | None = None) -> str:
    """A number with the digits of its figure, or, of a spread, with those of the mean `at`; .977 in place of 0.977."""
    value = value * 100 if figure.percent else value
    digits = 0 if abs(value if at is None else at) >= 100 else figure.digits
    text = f"{value:.{digits}f}"
    if digits > 1:
        text = text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text
    return text


def _terminal_table(blocks: Iterable[_Block], *, narrow: bool) -> Table:
    """A row with the name of each set, and below it a row for each of its scores; if narrow, spreads below means."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0) if narrow else (0, 1))
    table.add_column("set, score", overflow="fold")
    for figure in FIGURES:
        table.add_column(figure.heading, justify="right")
    for block in blocks:
        table.add_row(Text(printable(block.name), style="bold"), *([] if block.rows else [Text("-")] * len(FIGURES)))
        for score, cells in block.rows:
            texts = [cell.text.replace("±", "\n±") if narrow else cell.text for cell in cells]
            styled = (Text(text, style=cell.style) for text, cell in zip(texts, cells, strict=True))
            table.add_row(Text(f"  {score}"), *styled)
    return table


def _markdown_table(blocks: Iterable[_Block]) -> str:
    """A row for each score of each set."""
    lines = [
        f"| set | score | {' | '.join(figure.heading for figure in FIGURES)} |",
        f"|---|---|{'---:|' * len(FIGURES)}",
    ]
    for block in blocks:
        for score, cells in block.rows or [("-", [_Cell()] * len(FIGURES))]:
            lines.append(f"| {_plain(block.name)} | {score} | {' | '.join(cell.text for cell in cells)} |")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    text = printable(text)
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|" else c for c in text)
