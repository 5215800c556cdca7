"""Figures: samples of what was measured, what they are held against, and whether the aim is met."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

Kind = Literal["at most", "more by at most", "times at most", "times at least"]


class Aim(NamedTuple):
    """What is wanted of a figure: a value by itself, or compared with the figure `of`."""

    kind: Kind
    value: float
    of: str = ""


class Figure(NamedTuple):
    """One thing that was measured several times."""

    name: str
    unit: str
    samples: list[float]
    aim: Aim | None = None

    @property
    def median(self) -> float:
        """What is compared."""
        return statistics.median(self.samples)


class Verdict(NamedTuple):
    """A figure compared with its aim; `reached` is what the aim bounds."""

    text: str
    reached: float
    met: bool


Act = Callable[[], float]


def interleaved(acts: Mapping[str, Act], rounds: int) -> dict[str, list[float]]:
    """Do each act once a round, so that whatever else the machine does meanwhile hits all of them alike."""
    samples: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(rounds):
        for name, act in acts.items():
            samples[name].append(act())
    return samples


def judge(figure: Figure, others: Mapping[str, Figure]) -> Verdict | None:
    """Compare a figure with its aim; None when it has none."""
    aim = figure.aim
    if aim is None:
        return None
    if aim.kind == "at most":
        return Verdict(f"aim {number(aim.value)} {figure.unit}", figure.median, figure.median <= aim.value)
    other = others[aim.of].median
    if aim.kind == "more by at most":
        reached = figure.median - other
        text = f"{reached:+.0f} {figure.unit} over {aim.of}, aim {aim.value:+.0f} {figure.unit}"
        return Verdict(text, reached, reached <= aim.value)
    reached = figure.median / other
    wanted = "or more" if aim.kind == "times at least" else "or less"
    met = reached >= aim.value if aim.kind == "times at least" else reached <= aim.value
    return Verdict(f"{reached:.2f}x of {aim.of}, aim {aim.value:.1f}x {wanted}", reached, met)


def table(group: str, figures: list[Figure]) -> str:
    """The figures of a group as lines of text."""
    others = {figure.name: figure for figure in figures}
    wide = max(len(figure.name) for figure in figures)
    lines = [group]
    for figure in figures:
        verdict = judge(figure, others)
        said = f"  {verdict.text}: {'met' if verdict.met else 'MISSED'}" if verdict else ""
        spread = f"({number(min(figure.samples))} to {number(max(figure.samples))})"
        lines.append(f"  {figure.name:<{wide}} {number(figure.median):>9} {figure.unit:<5} {spread:<22}{said}".rstrip())
    return "\n".join(lines)


def record(group: str, figures: list[Figure]) -> list[dict[str, Any]]:
    """The same for programs."""
    others = {figure.name: figure for figure in figures}
    entries = []
    for figure in figures:
        verdict = judge(figure, others)
        entries.append(
            {
                "group": group,
                "name": figure.name,
                "unit": figure.unit,
                "median": figure.median,
                "min": min(figure.samples),
                "max": max(figure.samples),
                "samples": figure.samples,
                "aim": figure.aim and figure.aim._asdict(),
                "reached": verdict and verdict.reached,
                "met": verdict and verdict.met,
            }
        )
    return entries


def number(value: float) -> str:
    """Three digits that matter."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
