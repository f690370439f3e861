"""Pictures that training leaves behind: contact sheets as PNG, curves as SVG. Never video: only `release` writes that.

Both writers are a few lines of standard library, so that a bare GPU image can run them.

Shape suffixes: N strips of a sheet, B batch, T pixel frames, C channels (RGB), H W size.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

import numpy as np
from einops import rearrange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

#: The frames of a four-second clip that a contact sheet shows: one a second, and the first.
SHEET_FRAMES: Final = (0, 8, 16, 24, 32)

# Digits on a 3x5 grid, one octal digit a row, top row first.
_DIGITS: Final = ("75557", "26227", "71747", "71717", "55711", "74717", "74757", "71222", "75757", "75717")
_LINE_COLOURS: Final = ("#0b6e99", "#c2410c", "#4d7c0f", "#7e22ce", "#a16207", "#be123c", "#0f766e", "#334155")


def write_png(path: Path | str, image_HWC: NDArray[np.uint8]) -> None:
    """Write an RGB picture as a PNG (ISO/IEC 15948), whole or not at all.

    Args:
        path: where to; the folder is made if it is not there.
        image_HWC: uint8 `[H, W, 3]`.
    """
    if image_HWC.dtype != np.uint8 or image_HWC.ndim != 3 or image_HWC.shape[2] != 3:
        raise ValueError(f"a picture is uint8 [H, W, 3], not {image_HWC.dtype} {list(image_HWC.shape)}")
    height, width, _ = image_HWC.shape
    rows = np.zeros((height, 1 + width * 3), dtype=np.uint8)  # column 0 is each row's filter: 0, none
    rows[:, 1:] = image_HWC.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits a channel, colour type 2: RGB
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    _write_whole(Path(path), b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks))


def contact_sheet(
    video_BTCHW: Tensor,
    *,
    frames: Sequence[int] = SHEET_FRAMES,
    columns: int = 1,
    numbered: bool = True,
) -> NDArray[np.uint8]:
    """Lay clips out as strips of frames, read like a page: left to right, then down.

    Args:
        video_BTCHW: clips in [0, 1], on any device.
        frames: which frames make a strip; those past the end of a short clip are left out.
        columns: strips side by side.
        numbered: write each strip's number, from 1, in front of it.

    Returns:
        uint8 `[H, W, 3]`, for `write_png`.
    """
    shown = [frame for frame in frames if frame < video_BTCHW.shape[1]]
    pixels = (video_BTCHW[:, shown].detach().float().clamp(0, 1) * 255).round().byte().cpu().numpy()
    framed = np.pad(pixels, ((0, 0), (0, 0), (0, 0), (1, 1), (1, 1)), constant_values=255)
    strips_NHWC = rearrange(framed, "n t c h w -> n h (t w) c")
    if numbered:
        strips_NHWC = np.stack([_number_strip(strip, n) for n, strip in enumerate(strips_NHWC, start=1)])
    missing = -len(strips_NHWC) % columns
    strips_NHWC = np.pad(strips_NHWC, ((0, missing), (1, 1), (2, 2), (0, 0)), constant_values=255)
    return np.ascontiguousarray(rearrange(strips_NHWC, "(row column) h w c -> (row h) (column w) c", column=columns))


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a plot; points that are not finite are left out."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def plot_svg(path: Path | str, curves: Sequence[Curve], *, title: str, x_label: str, y_label: str) -> None:
    """Draw curves over common axes, both linear, and write them as one SVG file."""
    width, height, left, right, top, bottom = 760, 400, 70, 180, 40, 50
    points = [(x, y) for curve in curves for x, y in _finite(curve)]
    (x_low, x_high), (y_low, y_high) = (_span([p[axis] for p in points]) for axis in (0, 1))

    def place(x: float, y: float) -> tuple[float, float]:
        across = left + (x - x_low) / (x_high - x_low) * (width - left - right)
        return across, height - bottom - (y - y_low) / (y_high - y_low) * (height - top - bottom)

    parts = [f'<rect width="{width}" height="{height}" fill="white"/>', _label(left, 24, title, size=15)]
    for x in _ticks(x_low, x_high):
        across, base = place(x, y_low)
        parts += [_line(across, top, across, base), _label(across, base + 18, f"{x:g}", anchor="middle")]
    for y in _ticks(y_low, y_high):
        start, level = place(x_low, y)
        parts += [_line(start, level, width - right, level), _label(start - 8, level + 4, f"{y:g}", anchor="end")]
    for index, curve in enumerate(curves):
        colour = _LINE_COLOURS[index % len(_LINE_COLOURS)]
        path_points = " ".join(f"{a:.1f},{b:.1f}" for a, b in (place(x, y) for x, y in _finite(curve)))
        parts += [
            f'<polyline points="{path_points}" fill="none" stroke="{colour}" stroke-width="1.6"/>',
            _label(width - right + 10, top + 14 + 18 * index, curve.name, colour=colour),
        ]
    parts.append(_label((left + width - right) / 2, height - 10, x_label, anchor="middle"))
    parts.append(_label(left, top - 4, y_label, colour="#667085"))
    _write_svg(path, width, height, parts)


@dataclass(frozen=True, slots=True)
class Bar:
    """A share in 0..1 with the ends of its interval."""

    name: str
    value: float
    low: float
    high: float


def bars_svg(path: Path | str, bars: Sequence[Bar], *, title: str) -> None:
    """Draw shares as horizontal bars with their intervals, and write them as one SVG file."""
    left, width, top, row = 190, 760, 44, 24
    height = top + row * len(bars) + 34
    scale = width - left - 70
    parts = [f'<rect width="{width}" height="{height}" fill="white"/>', _label(16, 24, title, size=15)]
    for tick in range(0, 101, 20):
        across = left + scale * tick / 100
        parts += [
            _line(across, top - 8, across, height - 28),
            _label(across, height - 10, f"{tick} %", anchor="middle"),
        ]
    for index, bar in enumerate(bars):
        middle = top + row * (index + 0.5)
        low, high = left + scale * bar.low, left + scale * bar.high
        parts += [
            _label(left - 10, middle + 4, bar.name, anchor="end"),
            f'<rect x="{left}" y="{middle - 8:.1f}" width="{scale * bar.value:.1f}" height="16" fill="#9cc9dd"/>',
            f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}" stroke="{_LINE_COLOURS[0]}" stroke-width="3"/>',
            _label(width - 60, middle + 4, f"{bar.value:.1%}"),
        ]
    _write_svg(path, width, height, parts)


def read_log(path: Path | str) -> list[dict[str, float]]:
    """The numbers of a JSONL training log, a dictionary a line; a last line cut short by a crash is left out."""
    records = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        records.append({k: v for k, v in record.items() if isinstance(v, int | float) and not isinstance(v, bool)})
    return records


def plot_log(
    log_path: Path | str, svg_path: Path | str, *, names: Mapping[str, str], x: str = "step", smooth: float = 0.97
) -> None:
    """Plot columns of a JSONL log against `x`.

    Args:
        log_path: the log, one JSON object a line.
        svg_path: the picture.
        names: {key in the log: name in the legend}; lines without the key are passed over.
        x: the key of the horizontal axis.
        smooth: weight of the past in a running mean (0 shows the raw values); started without bias.
    """
    records = [record for record in read_log(log_path) if x in record]
    curves = []
    for key, name in names.items():
        kept = [record for record in records if key in record and math.isfinite(record[key])]
        curves.append(Curve(name, [record[x] for record in kept], _smoothed([record[key] for record in kept], smooth)))
    plot_svg(svg_path, curves, title=Path(log_path).stem, x_label=x, y_label="running mean" if smooth else "")


def _smoothed(values: Sequence[float], weight: float) -> list[float]:
    mean, mass, smoothed = 0.0, 0.0, []
    for value in values:
        mean, mass = weight * mean + (1 - weight) * value, weight * mass + (1 - weight)
        smoothed.append(mean / mass)
    return smoothed


def _finite(curve: Curve) -> list[tuple[float, float]]:
    return [(x, y) for x, y in zip(curve.x, curve.y, strict=True) if math.isfinite(x) and math.isfinite(y)]


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis that shows all the values, never empty."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers (1, 2 or 5 times a power of ten apart) within an axis."""
    power = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = next(power * m for m in (1, 2, 5, 10) if (high - low) / (power * m) <= 6)
    return [round(n * step, 12) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#e4e7ec"/>'


def _label(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, colour: str = "#1d2939") -> str:
    style = f'text-anchor="{anchor}" font-size="{size}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _number_strip(strip_HWC: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """The strip with its number in a white margin on the left."""
    glyphs = [
        [[int(row, 8) >> bit & 1 for bit in (2, 1, 0)] for row in _DIGITS[int(d)]] for d in f"{number:2d}".strip()
    ]
    ink = np.concatenate([np.pad(np.array(glyph, dtype=np.uint8), ((0, 0), (0, 1))) for glyph in glyphs], axis=1)
    ink = ink.repeat(2, axis=0).repeat(2, axis=1)
    margin = np.full((strip_HWC.shape[0], 20, 3), 255, dtype=np.uint8)
    rows, columns = min(ink.shape[0], margin.shape[0]), min(ink.shape[1], margin.shape[1])
    margin[:rows, :columns] = (255 * (1 - ink[:rows, :columns]))[..., None]
    return np.concatenate([margin, strip_HWC], axis=1)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _write_svg(path: Path | str, width: int, height: int, parts: Sequence[str]) -> None:
    root = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">'
    _write_whole(Path(path), "\n".join([root, *parts, "</svg>", ""]).encode())


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
