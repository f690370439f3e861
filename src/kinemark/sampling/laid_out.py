"""Deciding where the subjects are before anything is made: read from what is given, planned where nothing is.

Shape suffixes: B batch, S subjects, F slots, K values of a layout, L text tokens, D their width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from kinemark.model.layout import empty_layout
from kinemark.model.planner import lay_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinemark.model.load import Networks
    from kinemark.sampling.conditions import Conditions

#: A given video that may change more than this says no more where things are: that is planned anew.
LAYOUT_HELD: Final = 0.8


def with_layout(conditions: Conditions, model: Networks, seeds: Sequence[int], slots: int) -> Conditions:
    """The same with a layout for each slot, where the model is shown one: read from what is given, else planned.

    Args:
        conditions: the request; of its slots the first `slots` are those of the clip.
        model: whose planner and reader are asked.
        seeds: of each clip.
        slots: of the clip; stills that lead it come after them.
    """
    if model.planner is None:
        return conditions
    size, text_BFLD = conditions.shape[-2:], conditions.text_BFLD
    given = [slot for slot, cap in enumerate(conditions.cap_F.tolist()) if cap <= LAYOUT_HELD]
    if not given:
        return conditions.told(lay_out(model.planner, text_BFLD, seeds, size))
    layout_BSFK = empty_layout(*text_BFLD.shape[:2])
    if model.reader is None:
        return conditions.told(layout_BSFK)
    still_F = torch.tensor([slot == 0 or slot >= slots for slot in given])
    read_BSFK = model.reader.read(conditions.known(given), text_BFLD[:, given], still_F)
    layout_BSFK[:, :, given] = read_BSFK
    layout_BSFK[:, :, :slots] = lay_out(
        model.planner, text_BFLD[:, :slots], seeds, size, given_BSFK=layout_BSFK[:, :, :slots]
    )
    # Where nothing was found in what is given, nothing is said of it either.
    layout_BSFK[:, :, given] = read_BSFK
    return conditions.told(layout_BSFK)
