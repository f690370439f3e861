"""The nine settings: what stands between the sky and the subjects, in the order of their codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kinemark.worlds.scenery_high import city, mountains
from kinemark.worlds.scenery_land import desert, forest, meadow, snow
from kinemark.worlds.scenery_water import beach, lake, sea

if TYPE_CHECKING:
    from collections.abc import Callable

    from kinemark.worlds.stage import Stage

#: In the order of `spec.SETTINGS`.
SETTINGS_PAINTED: Final[tuple[Callable[[Stage], None], ...]] = (
    sea,
    lake,
    beach,
    desert,
    meadow,
    forest,
    snow,
    city,
    mountains,
)
#: How far above the horizon the sun is lifted, so that it clears what stands there; in the same order.
SUN_LIFT: Final = (0.0, 0.05, 0.0, 0.03, 0.03, 0.16, 0.03, 0.15, 0.16)
