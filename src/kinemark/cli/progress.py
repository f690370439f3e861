"""How far a clip is: a bar with the time that is left, and a small picture of what is being made.

Shapes: T frames, H height, W width, C channels.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from torch import Tensor

    from kinemark.generate import Progress as Report

#: Columns of the preview; each character shows two pixels, one above the other.
COLUMNS: Final = 48
UPPER_HALF: Final = "▀"

_SAYS: Final = {
    "load": "loading the model",
    "sample": "making frames",
}


@contextmanager
def shown(console: Console) -> Iterator[Report]:
    """A `kinemark.generate.Progress` that is drawn on the console, and gone afterwards. On no terminal, silence."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )
    task = bar.add_task("starting", total=None)
    with Live(bar, console=console, refresh_per_second=8, transient=True) as live:

        def report(stage: str, step: int, total: int, preview: Callable[[], Tensor] | None = None) -> None:
            if stage == "sample":
                bar.update(task, description=_SAYS[stage], completed=step, total=total)
            else:
                bar.update(task, description=_SAYS.get(stage, stage))
            if preview is not None and can_show_pictures(console):
                live.update(Group(half_blocks(last_frame(preview())), bar))

        yield report


def can_show_pictures(console: Console) -> bool:
    """Whether the terminal has the colours, the characters and the room for a preview."""
    return (
        console.is_terminal
        and console.color_system in {"256", "truecolor"}
        and console.encoding.lower().startswith("utf")
        and console.width > COLUMNS
        and console.height > COLUMNS // 2 + 2
    )


def last_frame(video_TCHW: Tensor) -> np.ndarray:
    """The last of some frames as RGB bytes `[H, W, 3]`."""
    bytes_HWC: np.ndarray = (video_TCHW[-1].clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy()
    return bytes_HWC


def half_blocks(image_HWC: np.ndarray) -> Text:
    """A picture in characters: each shows one pixel as its colour and the pixel below as its background."""
    height, width, _ = image_HWC.shape
    columns = min(COLUMNS, width)
    rows = 2 * max(1, min(COLUMNS // 2, round(columns * height / width / 2)))
    small = image_HWC[[y * height // rows for y in range(rows)]][:, [x * width // columns for x in range(columns)]]
    text = Text()
    for upper, lower in zip(small[::2], small[1::2], strict=True):
        for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
            text.append(
                UPPER_HALF, style=f"rgb({above[0]},{above[1]},{above[2]}) on rgb({below[0]},{below[1]},{below[2]})"
            )
        text.append("\n")
    return text
