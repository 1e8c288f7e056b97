# SPDX-License-Identifier: Apache-2.0
"""One small chart as inline SVG; its colours are classes of the page's style sheet, so that they follow its mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from kedit.gate.markup import Markup, element, join
from kedit.gate.results import number

__all__ = ["Axis", "Chart", "ceiling"]

_WIDTH, _HEIGHT = 250, 152
_LEFT, _RIGHT, _TOP, _BOTTOM = 28, 8, 8, 38

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """The range of one direction, its ticks and its label."""

    low: float
    high: float
    ticks: Sequence[float]
    label: str = ""

    def share(self, value: float) -> float:
        """Where a value lies between `low` (0) and `high` (1); what is outside is drawn on the border."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


@dataclass
class Chart:
    """A chart with a title, and what is shown in it; what is added first lies below."""

    title: str
    x: Axis
    y: Axis
    marks: list[Markup] = field(default_factory=list)
    spoken: list[str] = field(default_factory=list)

    def line(self, points: Sequence[Point], kind: str, name: str, errors: Sequence[float] = ()) -> None:
        """A line with a dot at every point and, with `errors`, bars of one standard error.

        Args:
            points: in the order of x.
            kind: class of the line in the style sheet.
            name: what it shows, for tooltips and for readers who cannot see it.
            errors: one for each point.
        """
        places = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in points)
        drawn = [element("polyline", points=places, class_="line")]
        for (x, y), error in zip(points, errors, strict=False):
            low, high = self._y(y - error), self._y(y + error)
            drawn.append(element("path", d=f"M{self._x(x):.1f} {low:.1f}V{high:.1f}", class_="error"))
        drawn += [self._dot(x, y, 2.6, f"{name}, {number(x)}: {number(y)}") for x, y in points]
        self.marks.append(element("g", *drawn, class_=kind))
        self.spoken.append(f"{name}: " + ", ".join(f"{number(y)} at {number(x)}" for x, y in points))

    def dots(self, points: Sequence[Point], kind: str, name: str) -> None:
        """Dots of one class."""
        drawn = [self._dot(x, y, 2.8, f"{name}: {number(x)}, {number(y)}") for x, y in points]
        self.marks.append(element("g", *drawn, class_=kind))
        self.spoken.append(f"{name}: {len(points)} points")

    def bound(self, x: float, y: float) -> None:
        """A short level line where a threshold lies."""
        left, right = max(_LEFT, self._x(x) - 9), min(_WIDTH - _RIGHT, self._x(x) + 9)
        label = element("title", f"threshold at {number(x)}: {number(y)}")
        drawn = element("path", label, d=f"M{left:.1f} {self._y(y):.1f}H{right:.1f}", class_="bound")
        self.marks.append(drawn)

    def drawn(self) -> Markup:
        """The title, which may be of any length, and the chart below it."""
        svg = element(
            "svg",
            *self._grid(),
            *self.marks,
            viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
            role="img",
            aria_label=f"{self.title}. " + "; ".join(self.spoken),
        )
        return element("div", element("b", self.title), svg)

    def _grid(self) -> list[Markup]:
        bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
        rules = [element("path", d=f"M{_LEFT} {self._y(tick):.1f}H{right}", class_="rule") for tick in self.y.ticks]
        names = [
            element("text", number(tick), x=_LEFT - 6, y=f"{self._y(tick) + 3.5:.1f}", text_anchor="end")
            for tick in self.y.ticks
        ]
        places = [
            element("text", number(tick), x=f"{self._x(tick):.1f}", y=bottom + 14, text_anchor="middle")
            for tick in self.x.ticks
        ]
        label = element("text", self.x.label, x=(_LEFT + right) / 2, y=bottom + 30, text_anchor="middle")
        return [element("g", join(rules), join(names), join(places), label, class_="grid")]

    def _dot(self, x: float, y: float, radius: float, told: str) -> Markup:
        place = {"cx": f"{self._x(x):.1f}", "cy": f"{self._y(y):.1f}"}
        return element("circle", element("title", told), r=radius, **place)

    def _x(self, value: float) -> float:
        return _LEFT + self.x.share(value) * (_WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - self.y.share(value) * (_HEIGHT - _TOP - _BOTTOM)


def ceiling(value: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is not below `value`; 1 for what is not positive."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 5) if step * power >= value), 10 * power)
