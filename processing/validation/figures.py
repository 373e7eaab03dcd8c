"""Figures of validations as PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from processing.validation.aot import Match
from processing.validation.clouds import Comparison
from processing.validation.masks import Mask
from processing.validation.report import put

#: Readable side of a map. [px]
MAP_PIXELS = 700
#: Of what both, only the mask, only the reference, and neither say; and of pixels that were not compared.
AGREEMENT = {
    "both masked": "#4a7fb5",
    "only the mask (false)": "#f0a818",
    "only the reference (missed)": "#d62728",
    "both clear": "#e8e8e0",
    "not compared": "#202020",
}
#: Okabe and Ito's colours, which the colour-blind can tell apart.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999", "#f0e442")
SUBJECT_TITLES = {"valid": "valid pixels (neither cloud nor shadow)", "cloud": "clouds", "shadow": "shadows"}


def bars(path: Path, comparisons: Sequence[Comparison], subject: str, reference: str) -> None:
    """Overall accuracy of each method by image, direct above and harmonised below, as THEIA drew MACCS and Sen2Cor."""
    rows = [c for c in comparisons if c.subject == subject and c.ring is None]
    # our own first: those that have a version
    methods = sorted(
        dict.fromkeys(c.method for c in rows), key=lambda m: all(c.version is None for c in rows if c.method == m)
    )
    images = [*dict.fromkeys(c.image for c in rows if c.image is not None), None]
    treatments = sorted({c.buffer for c in rows}, key=lambda b: (b is not None, b))
    figure = Figure(
        layout="constrained",
        figsize=(max(7.0, 1.2 + 0.28 * len(images) * (len(methods) + 1)), 3.1 * len(treatments) + 0.6),
    )
    for axes, buffer in zip(np.atleast_1d(figure.subplots(len(treatments), 1, sharex=True)), treatments, strict=True):
        width = 0.8 / len(methods)
        for place, method in enumerate(methods):
            found = {c.image: c.confusion.overall_accuracy for c in rows if (c.method, c.buffer) == (method, buffer)}
            for spot, image in enumerate(images):
                value = found.get(image)
                if value is None:
                    continue
                x = spot + (place - (len(methods) - 1) / 2) * width
                axes.bar(x, 100 * value, 0.92 * width, color=COLOURS[place % len(COLOURS)])
                axes.text(x, 100 * value, f"{100 * value:.1f}", ha="center", va="bottom", fontsize=6, rotation=90)
        values = [100 * v for c in rows if (v := c.confusion.overall_accuracy) is not None]
        axes.set_ylim(max(0.0, np.floor(min(values, default=0) / 10) * 10 - 10), 112)
        axes.set_yticks([y for y in range(0, 101, 10) if y >= axes.get_ylim()[0]])
        axes.grid(axis="y", linewidth=0.4)
        axes.set_axisbelow(True)
        axes.axvline(len(images) - 1.5, color="#888888", linewidth=0.8)
        axes.set_ylabel("overall accuracy [%]")
        axes.set_title("as they are" if buffer is None else f"all grown to {buffer:g} m", fontsize=9, loc="left")
        axes.set_xticks(
            range(len(images)), [_short(i) if i else "all" for i in images], rotation=30, ha="right", fontsize=7
        )
    handles = [Patch(color=COLOURS[i % len(COLOURS)], label=m) for i, m in enumerate(methods)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(methods), fontsize=8, frameon=False)
    figure.suptitle(f"{SUBJECT_TITLES.get(subject, f'{subject}s')}, against {reference}", fontsize=10)
    _save(figure, path)


def agreement(
    path: Path, image: str, treatments: Mapping[str, tuple[Sequence[Mask], Mask]], picture: Path | None = None
) -> None:
    """Where each mask and the reference agree on valid pixels (clouds, where a mask has no shadows).

    Parameters
    ----------
    treatments : mapping of title to (masks, reference)
        A row of maps each.
    picture : Path, optional
        Quicklook, shown beside.
    """
    most = max(len(masks) for masks, _ in treatments.values())
    cols = most + (picture is not None)
    figure = Figure(layout="constrained", figsize=(3.6 * cols, 3.7 * len(treatments) + 0.6))
    axes = np.reshape(figure.subplots(len(treatments), cols), (len(treatments), cols))
    for line, (title, (masks, reference)) in zip(axes, treatments.items(), strict=True):
        for ax in line:
            ax.set_axis_off()
        if picture is not None and (photo := cv2.imread(str(picture))) is not None:
            line[0].imshow(_thin(photo[..., ::-1]))
            line[0].set_title("quicklook", fontsize=8)
        for ax, mask in zip(line[cols - most :], masks, strict=False):
            ax.imshow(_thin(_agreement(mask, reference)), interpolation="nearest")
            what = "clouds" if mask.shadow is None or reference.shadow is None else "clouds and shadows"
            ax.set_title(f"{mask.method}, {title}\n{what}", fontsize=8)
    handles = [Patch(facecolor=colour, edgecolor="#888888", label=name) for name, colour in AGREEMENT.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=7, frameon=False)
    figure.suptitle(image, fontsize=10)
    _save(figure, path)


def _agreement(mask: Mask, reference: Mask) -> NDArray[np.uint8]:
    ours, theirs = mask.cloud, reference.cloud
    if mask.shadow is not None and reference.shadow is not None:
        ours, theirs = ours | mask.shadow, theirs | reference.shadow
    palette = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in AGREEMENT.values()], np.uint8)
    kind = np.select([ours & theirs, ours, theirs], [0, 1, 2], 3)
    kind[~(mask.observed & reference.observed)] = 4
    colours: NDArray[np.uint8] = palette[kind]
    return colours


def _thin(picture: NDArray[Any]) -> NDArray[Any]:
    step = max(1, max(picture.shape[:2]) // MAP_PIXELS)
    return picture[::step, ::step]


def scatter(
    path: Path,
    panels: Mapping[str, tuple[NDArray[Any], NDArray[Any], Mapping[str, Any]]],
    labels: tuple[str, str],
    *,
    limits: bool = True,
) -> None:
    """A panel for each version: found against reference, with the line of identity and 0.05 + 15 % around it.

    Parameters
    ----------
    panels : mapping of title to (reference, found, figures)
    labels : (str, str)
        Of the two axes.
    limits : bool
        Draw the limits.
    """
    figure = Figure(layout="constrained", figsize=(4.6 * len(panels), 4.9))
    values = np.concatenate([np.concatenate([np.ravel(r), np.ravel(f)]) for r, f, _ in panels.values()])
    top = 1.08 * max(0.1, float(np.nanmax(values, initial=0.0)))
    line = np.array([0.0, top])
    for ax, (title, (reference, found, numbers)) in zip(
        np.atleast_1d(figure.subplots(1, len(panels), sharex=True, sharey=True)), panels.items(), strict=True
    ):
        x, y = np.ravel(reference), np.ravel(found)
        if x.size > 2000:
            ax.hexbin(x, y, gridsize=70, extent=(0, top, 0, top), bins="log", cmap="viridis", mincnt=1, linewidths=0)
        else:
            ax.scatter(x, y, s=16, color=COLOURS[0], alpha=0.8, linewidths=0)
        ax.plot(line, line, color="black", linewidth=0.8)
        if limits:
            for sign in (-1, 1):
                ax.plot(line, line + sign * (0.05 + 0.15 * line), color="#888888", linewidth=0.8, linestyle="--")
        known = [(k, v) for k, v in numbers.items() if v is not None and k != "reference_mean"]
        said = "\n".join(f"{k.replace('_', ' ')} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in known)
        ax.text(0.03, 0.97, said, transform=ax.transAxes, va="top", fontsize=7)
        ax.set(xlim=(0, top), ylim=(0, top), aspect="equal", xlabel=labels[0])
        ax.set_title(title, fontsize=9)
        ax.grid(linewidth=0.3)
    figure.axes[0].set_ylabel(labels[1])
    _save(figure, path)


def matches(path: Path, versions: Mapping[str, tuple[Sequence[Match], Mapping[str, Any]]]) -> None:
    """AOT of products against AERONET, a panel for each version."""
    panels = {
        version: (np.array([m.reference for m in found]), np.array([m.found for m in found]), numbers)
        for version, (found, numbers) in versions.items()
    }
    scatter(path, panels, ("AERONET AOT at 550 nm", "product AOT at 550 nm"))


def uncertainty(path: Path, tables: Mapping[str, Mapping[str, Mapping[str, Any]]], title: str) -> None:
    """Accuracy, precision and uncertainty by bin of reflectance, a panel for each band, with what is allowed.

    Parameters
    ----------
    tables : mapping of band to (mapping of bin to figures)
    """
    cols = min(5, len(tables))
    lines = -(-len(tables) // cols)
    figure = Figure(layout="constrained", figsize=(3.1 * cols, 2.7 * lines + 0.4))
    panels = np.atleast_1d(figure.subplots(lines, cols)).ravel()
    for ax in panels[len(tables) :]:
        ax.set_axis_off()
    for ax, (band, table) in zip(panels, tables.items(), strict=False):
        rows = [row for name, row in table.items() if name != "all"]
        x = [row["reference_mean"] for row in rows]
        ax.plot(x, [row["specification"] for row in rows], color="#d62728", linewidth=1, label="allowed")
        for name, colour in zip(("accuracy", "precision", "uncertainty"), COLOURS, strict=False):
            y = [np.nan if row[name] is None else row[name] for row in rows]
            ax.plot(x, y, color=colour, marker=".", linewidth=0.8, label=name)
        ax.axhline(0, color="black", linewidth=0.5)
        inside = table["all"]["share_inside"]
        ax.set_title(f"{band}: {100 * inside:.1f} % inside" if inside is not None else band, fontsize=8)
        ax.tick_params(labelsize=6)
        ax.grid(linewidth=0.3)
    panels[0].legend(fontsize=6)
    figure.supxlabel("reference reflectance", fontsize=8)
    figure.suptitle(title, fontsize=9)
    _save(figure, path)


def _short(image: str) -> str:
    """``S2A 2023-08-15 T33TWM`` of SENTINEL2A_20230815-095757-246_L2A_T33TWM."""
    platform, moment, _, tile = image.split("_")[:4]
    return f"{platform.replace('SENTINEL', 'S')} {moment[:4]}-{moment[4:6]}-{moment[6:8]} {tile}"


def _save(figure: Figure, path: Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=130)
    put(path, content.getvalue())
