"""What every figure shares: one size of text, one palette, one way into the page.

Each picture is narrow, so that its text stays legible on a phone; the page sets them side by side
where there is room. SVG text stays text, drawn in the viewer's own fonts.
"""

from __future__ import annotations

import base64
import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

# Okabe & Ito 2008, told apart by colour-blind readers; yellow last, it is faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#F0E442")
HATCHES = ("", "////", "....")
DASHES = ("-", "--", "-.", ":")
STUDENT, TEACHER, FAINT, INK = PALETTE[0], PALETTE[1], "#BBBBBB", "#222222"
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "polypskd",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "text.parse_math": False,  # a class may be named $x$
    "lines.linewidth": 1.6,
}


@dataclass(frozen=True)
class Picture:
    """A figure ready for the page.

    Args:
        source: a data URI.
        alt: what it shows, in words.
        caption: one sentence that says what to read off.
        wide: takes the page's whole width.
        key: its name in files and anchors; unique in a report.
        figure: what it was drawn from, for other formats; save it within `style()`.
    """

    source: str
    alt: str
    caption: str
    wide: bool = False
    key: str = ""
    figure: Figure | None = field(default=None, repr=False, compare=False)


@contextmanager
def style() -> Iterator[None]:
    """Draw and save in the report's style, whatever the user's matplotlibrc says."""
    with rc_context(), warnings.catch_warnings():
        rcdefaults()
        rcParams.update(STYLE)  # type: ignore[arg-type]
        # The viewer's fonts draw the text; a glyph that only ours lack is no fault.
        warnings.filterwarnings("ignore", message=".*missing from.*font")
        yield


def new_axes(width: float = 3.6, height: float = 2.9) -> tuple[Figure, Axes]:
    """Make a figure with one pair of axes; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def encode(figure: Figure) -> str:
    """Turn a figure into a data URI that depends on nothing but the figure.

    Its layout is found once and stands from then on, in every format.
    """
    if engine := figure.get_layout_engine():
        engine.execute(figure)
        figure.set_layout_engine(None)
    buffer = io.BytesIO()
    nothing = {"Date": None, "Creator": None}
    # The page's card shows through, so that a figure fits a light and a dark page.
    figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def make_picture(
    key: str, figure: Figure, alt: str, caption: str, *, wide: bool = False
) -> Picture:
    """Encode a figure and keep it beside its code.

    Args:
        key: its name in files and anchors.
        figure: drawn within `style()`.
        alt: what it shows, in words.
        caption: one sentence that says what to read off.
        wide: takes the page's whole width.
    """
    return Picture(encode(figure), alt, caption, wide, key, figure)


def color(index: int) -> str:
    """Color of the class at `index`, from the palette; it repeats after eight.

    >>> color(0), color(8) == color(0)
    ('#0072B2', True)
    """
    return PALETTE[index % len(PALETTE)]


def dashes(index: int) -> str:
    """Line style of the class at `index`: solid, and another at each turn of the palette.

    >>> dashes(0), dashes(8)
    ('-', '--')
    """
    return DASHES[index // len(PALETTE) % len(DASHES)]


def hatch(index: int) -> str:
    """Hatching of the class at `index`: none, and another at each turn of the palette.

    >>> hatch(0), hatch(8)
    ('', '////')
    """
    return HATCHES[index // len(PALETTE) % len(HATCHES)]


def tint(base: str, lightness: float) -> str:
    """Mix a color with white: 0 is the color itself, 1 is white.

    >>> tint("#000000", 0.0), tint("#000000", 1.0)
    ('#000000', '#ffffff')
    """
    red, green, blue = (part + (1 - part) * lightness for part in to_rgb(base))
    return to_hex((red, green, blue))


def shorten(name: str, length: int = 22) -> str:
    """Cut a long name for an axis, in its middle: names often differ at the end.

    >>> shorten("a very long name of a class", 11)
    'a ver…class'
    """
    if len(name) <= length:
        return name
    end = (length - 1) // 2
    return name[: length - 1 - end] + "…" + name[-end:]


def wrap(name: str, length: int = 22, lines: int = 2) -> str:
    r"""Break a long name for an axis after hyphens, underlines and spaces, and cut what is left.

    >>> wrap("ulcerative-colitis-grade-2")
    'ulcerative-colitis-\ngrade-2'
    >>> wrap("short name"), wrap("abcdefghijklmnopqrstuvwxyz", 11)
    ('short name', 'abcde…vwxyz')
    """
    if len(name) <= length:
        return name
    found = [""]
    for part in re.findall(r"[^-_ /]+[-_ /]?|[-_ /]", name):
        if len(found[-1] + part.rstrip()) > length and found[-1] and len(found) < lines:
            found.append("")
        found[-1] += part
    return "\n".join(shorten(line.rstrip(), length) for line in found)


def place_legend(figure: Figure, axes: Axes) -> None:
    """Put the legend below the axes, in as many columns as fit, and grow the figure by it."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    width, height = figure.get_size_inches()
    longest = max(len(label) for label in labels)
    columns = max(1, min(len(labels), int(width * 14) // (longest + 7)))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    figure.set_figheight(height + 0.18 * math.ceil(len(labels) / columns))


def name_ticks(axes: Axes, names: Sequence[str], *, vertical: bool = False) -> None:
    """Label the ticks 0, 1, ... of the x axis, or of the y axis; long names stand slanted."""
    short = ["\n".join(wrap(line) for line in name.split("\n")) for name in names]
    if vertical:
        axes.set_yticks(range(len(short)), short)
        return
    longest = max((len(line) for name in short for line in name.split("\n")), default=0)
    figure = axes.get_figure(root=True)
    width = figure.get_figwidth() if figure else 0.0
    slanted = (longest + 1) * len(short) > width * 12
    axes.set_xticks(
        range(len(short)),
        short,
        rotation=45 if slanted else 0,
        ha="right" if slanted else "center",
    )
