"""Image to video as Wan was trained for it: given pictures are shown beside noise, and nothing is kept while denoising.

The clip with its given frames, grey where nothing is given, is encoded and laid beside the noised latent, with a mask
of which of the four frames of each slot are given. Wan 2.1 also attends to CLIP's features of the pictures.

Shape suffixes: B batch, F slots, T frames, C channels, H W size, K features, I their width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from transformers import CLIPImageProcessor, CLIPVisionModel

from kinemark.errors import FailureError, RequestError
from kinemark.timeline import FRAMES_PER_SLOT, frames_of_slot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from kinemark.engine import Pictures
    from kinemark.sampling.conditions import Conditions
    from kinemark.wan.autoencoder import WanAutoencoder

GREY = 0.5


@dataclass(frozen=True, slots=True)
class ShownPictures:
    """Shows a model the pictures that are given.

    Attributes:
        autoencoder: of the model.
        vision: folder that has `image_encoder` and `image_processor` in it, for a model that attends to features.
        device: where features are made.
    """

    autoencoder: WanAutoencoder
    vision: Path | None
    device: torch.device

    def __call__(self, conditions: Conditions, given: Pictures, seed: int, slots: int) -> Conditions:  # noqa: ARG002
        """The conditions with all pictures beside them; every slot is made from noise.

        Raises:
            RequestError: nothing is given.
            FailureError: the vision model is not there, or not whole.
        """
        of_slots = [given(slot) for slot in range(slots)]
        pictures = [picture_CHW for slot in of_slots for _, picture_CHW in sorted(slot.items())]
        if not pictures:
            raise RequestError("this model sets a picture in motion, and none is given; give one with --image")
        encode = self.autoencoder.encoder()
        shown = [
            torch.cat((self._mask(slot, of_slot, conditions.shape), encode(_filled(slot, of_slot, pictures[0]))), dim=1)
            for slot, of_slot in enumerate(of_slots)
        ]
        return replace(
            conditions.part(range(slots)),  # without stills: they are in the pictures that are shown
            cap_F=torch.ones(slots),
            shown_BCFHW=torch.stack(shown, dim=2),
            features_BKI=self._features([pictures[0], pictures[-1]] if len(pictures) > 1 else pictures),
        )

    @staticmethod
    def _mask(slot: int, given: Mapping[int, Tensor], shape: tuple[int, ...]) -> Tensor:
        """Which frames of a slot are given, `[1, 4, H, W]`; the one frame of slot 0 counts four times."""
        places = range(FRAMES_PER_SLOT) if slot else [0] * FRAMES_PER_SLOT
        flags = torch.tensor([float(place in given) for place in places])
        return flags[None, :, None, None].expand(1, -1, *shape[-2:])

    @torch.no_grad()
    def _features(self, pictures: Sequence[Tensor]) -> Tensor | None:
        """CLIP's features of the pictures before its last layer, `[1, K, I]`, one after the other."""
        if self.vision is None:
            return None
        try:
            processor = CLIPImageProcessor.from_pretrained(self.vision / "image_processor", local_files_only=True)
            encoder = CLIPVisionModel.from_pretrained(self.vision / "image_encoder", local_files_only=True)
        except (OSError, ValueError) as error:
            raise FailureError(f"no image encoder in {self.vision} ({error}); pull the model again") from error
        arrays = [(picture_CHW * 255).round().byte().permute(1, 2, 0).numpy() for picture_CHW in pictures]
        pixels = processor(images=arrays, return_tensors="pt").pixel_values.to(self.device)
        hidden = encoder.to(self.device).eval()(pixels, output_hidden_states=True).hidden_states[-2]
        features_BKI: Tensor = hidden.float().cpu().flatten(0, 1)[None]
        return features_BKI


def _filled(slot: int, given: Mapping[int, Tensor], like_CHW: Tensor) -> Tensor:
    """The frames of a slot, `[1, T, C, H, W]`, grey where nothing is given."""
    grey_CHW = torch.full_like(like_CHW, GREY)
    return torch.stack([given.get(place, grey_CHW) for place in range(len(frames_of_slot(slot)))])[None]
