"""The denoiser: Wan's transformer, with a noise level per slot and an attention order.

One class runs spark, every Wan 2.1/2.2 checkpoint and their causal relatives. Names of modules and parameters are
those of the original Wan checkpoints, the naming trap included: in a block `norm3` belongs to the cross-attention and
`norm2` to the feed-forward. Arithmetic follows the original too: time embedding, modulation, gates, norms and the
residual stream are float32 whatever the weights are.

B batch, F slots, C channels, H W size of the latent, h w tokens in a column and a row, S tokens of one slot (h w),
L tokens (F S, in raster order), D width, N heads, P rotary pairs, K tokens attended to, I width of picture features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache as remembered
from functools import partial
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch reader knows
from einops import rearrange
from torch import Tensor, nn

from kinemark.model.attention import CrossAttention, Join, Scene, SelfAttention, look_near
from kinemark.model.configs import TIMESTEPS
from kinemark.model.kernels import added, block_causal_mask, by_slot, gated_add, modulated_norm, rotary_table
from kinemark.model.layers import FeedForward, FloatLayerNorm, ImageEmbedding, NoiseFilter, PatchEmbedding, TanhGELU
from kinemark.model.precision import fast_dtype, no_autocast
from kinemark.model.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kinemark.model.cache import KVCache
    from kinemark.model.configs import TransformerConfig
    from kinemark.model.parallel import Sharing

GATES = (2, 5)  # rows of a block's modulation; the others are shifts and scales


class Block(nn.Module):
    """Self-attention, cross-attention and feed-forward, each added to the residual stream."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.eps = config.eps
        self.modulation = nn.Parameter(torch.zeros(1, 6, width))
        self.self_attn = SelfAttention(config)
        self.norm3 = FloatLayerNorm(width, config.eps)
        self.cross_attn = CrossAttention(config)
        self.ffn = FeedForward(width, config.ffn)

    def forward(
        self,
        x_BLD: Tensor,
        noise_BF6D: Tensor,
        text: tuple[Tensor, Tensor],
        scene: Scene,
        join: Join | None = None,
        image_BKD: Tensor | None = None,
    ) -> Tensor:
        """Return the residual stream (float32) after this block.

        Args:
            x_BLD: the residual stream; written over where no gradients are kept.
            noise_BF6D: projected noise level of each slot, float32.
            text: keys and values of the text (`CrossAttention.keys_of`).
            scene: what the tokens stand among.
            join: the cache's layer, if there is one.
            image_BKD: embedded features of given pictures, where the model sees them.
        """
        dtype = self.self_attn.norm_q.weight.dtype
        modulation = (self.modulation.float() + noise_BF6D).unsqueeze(3).unbind(2)
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation
        attended = self.self_attn(modulated_norm(x_BLD, shift1, scale1, self.eps, dtype), scene, join)
        x_BLD = gated_add(x_BLD, gate1, attended)
        x_BLD = added(x_BLD, self.cross_attn(self.norm3(x_BLD).to(dtype), text, image_BKD))
        return gated_add(x_BLD, gate2, self.ffn(modulated_norm(x_BLD, shift2, scale2, self.eps, dtype)))


class Head(nn.Module):
    """Modulated norm and projection of each token back to its patch."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        _, height, width = config.patch
        self.eps = config.eps
        self.head = nn.Linear(config.width, config.out_channels * height * width)
        self.modulation = nn.Parameter(torch.zeros(1, 2, config.width))

    def forward(self, x_BLD: Tensor, level_BFD: Tensor) -> Tensor:
        """Return patches, L by (patch rows, patch columns, channels)."""
        shift, scale = (self.modulation.float() + level_BFD.unsqueeze(2)).unsqueeze(3).unbind(2)
        patches: Tensor = self.head(modulated_norm(x_BLD, shift, scale, self.eps, self.head.weight.dtype))
        return patches


@dataclass(frozen=True, slots=True)
class Text:
    """What a transformer has read of a prompt, once for all steps: keys and values for each block.

    `pooled_BD` is what modulates every block, where a model is built so.
    """

    keys: tuple[tuple[Tensor, Tensor], ...]
    pooled_BD: Tensor | None


class Transformer(nn.Module):
    """Wan's transformer; see the module's head for what is general about it."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.sharing: Sharing | None = None
        self.waiting: Waiting | None = None
        width = config.width
        self.patch_embedding = PatchEmbedding(config.in_channels + config.condition_channels, width, config.patch)
        self.text_embedding = nn.Sequential(nn.Linear(config.text_dim, width), TanhGELU(), nn.Linear(width, width))
        self.time_embedding = nn.Sequential(nn.Linear(config.freq_dim, width), nn.SiLU(), nn.Linear(width, width))
        if config.filters_noise:
            self.noise_filter = NoiseFilter(config.in_channels, config.patch)
        if config.pooled_text:
            pooled = nn.Linear(config.text_len * config.text_dim, 2 * width)
            self.pooled_embedding = nn.Sequential(pooled, nn.SiLU(), nn.Linear(2 * width, width))
        if config.image_dim:
            self.img_emb = ImageEmbedding(config.image_dim, width, config.image_positions)
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = Head(config)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise for training from scratch, from torch's global generator.

        Xavier for all projections, zero for biases and the head, as Wan does (Wan2.1 `init_weights`). Wan draws the
        time and text embeddings from N(0, 0.02); at a small width their outputs then vanish beside the patches, and
        training does not listen to the text for hundreds of steps, so here they are Xavier as well. As DiT's
        adaLN-Zero (arXiv 2212.09748, section 3.2) does, every block starts as the identity; here by zero output
        projections under a gate of one, which also covers the cross-attention, and which lets gradients reach the
        projections in the first step.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.patch_embedding.weight.flatten(1))
        zeroed = [*_linears(self.time_projection), self.head.head]
        for block in self.modules():
            if isinstance(block, Block):
                zeroed += [block.self_attn.o, block.cross_attn.o, _linears(block.ffn)[1]]
                nn.init.zeros_(block.modulation)
                for gate in GATES:
                    nn.init.ones_(block.modulation[:, gate])
                look_near(block.self_attn)
        for layer in zeroed:
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.head.modulation)

    def in_fast_precision(self, device: torch.device | None = None, *, waiting: int = 0) -> Transformer:
        """Turn the weights into the precision that a device is fast at, there, and return self: for inference.

        The head stays float32, because its output is the picture. Each weight is turned by itself, so that there are
        never two copies of all of them.

        Args:
            device: where they go; by default they stay where they are.
            waiting: so many of the last blocks wait in host memory (`model.waiting`), where the device has no room.
        """
        device = device or self.head.head.weight.device
        blocks, self.blocks = self.blocks, nn.ModuleList()
        self.to(device, fast_dtype(device))
        self.head.float()
        self.blocks = blocks
        stay = len(blocks) - waiting
        for block in blocks[:stay]:
            block.to(device, fast_dtype(device))
        self.waiting = Waiting.of(list(blocks[stay:]), device, fast_dtype(device)) if waiting else None
        return self

    def _each_block(self) -> Iterator[Block]:
        """The blocks in order, each with its weights where it computes."""
        blocks = cast("Sequence[Block]", self.blocks)
        return iter(blocks) if self.waiting is None else self.waiting.among(blocks)

    def forward(
        self,
        x_BCFHW: Tensor,
        sigma_BF: Tensor,
        text: Tensor | Text,
        *,
        time_BF: Tensor | None = None,
        block_F: Tensor | None = None,
        cache: KVCache | None = None,
        write: bool = False,
        condition_BCFHW: Tensor | None = None,
        image_BKI: Tensor | None = None,
    ) -> Tensor:
        """Return the raw output (`config.predicts` says what it is) for slots of noised latent.

        Args:
            x_BCFHW: noised latent; H and W are multiples of the patch.
            sigma_BF: noise level of each slot in [0, 1]; `[B]` or a scalar broadcasts.
            text: of `read`, or the tokens that it takes.
            time_BF: time of each slot (or `[F]`), in slots, for the rotary positions; default: 0 to F - 1, after
                the slots that the cache has seen.
            block_F: block of each slot (or `[B, F]`) in generation order; slot i attends to slot j where
                `block[j] <= block[i]`. None: full attention.
            cache: earlier slots; the new ones attend to all of them.
            write: append the new slots to the cache.
            condition_BCFHW: what is shown beside the latent, with `config.condition_channels` channels; None where the
                model takes none.
            image_BKI: features of given pictures (one item broadcasts), where `config.image_dim` says that they are
                seen; None where not.

        Raises:
            ValueError: a size does not fit the patch, the text is too long, sigma does not broadcast, or a condition
                or picture is given to a model that takes none, or is missing.
        """
        batch, _, slots, height, width = x_BCFHW.shape
        grid = self._grid(height, width)
        # One table serves a batch whose times are the same; only a cache keeps times for each item.
        times_BF = self._times(time_BF, slots, cache).expand(-1 if cache is None else batch, slots)
        scene = self._scene(times_BF, grid, block_F, cache, x_BCFHW.device)
        read = self.read(text) if isinstance(text, Tensor) else text
        sigma_BF = _per_slot(sigma_BF, batch, slots, x_BCFHW.device)
        level_BFD, noise_BF6D = self._embed_noise(sigma_BF, read.pooled_BD)
        image = self._embed_image(image_BKI, batch)
        dtype = x_BCFHW.dtype
        if self.config.filters_noise:
            x_BCFHW = self.noise_filter(x_BCFHW, sigma_BF)
        x_BLD = self.patch_embedding(self._beside(x_BCFHW, condition_BCFHW)).float()
        if self.sharing is not None:
            x_BLD = by_slot(x_BLD, noise_BF6D[:, :, :1])[:, :, self.sharing.own(scene.tokens)].flatten(1, 2)
        for index, block in enumerate(self._each_block()):
            join = None if cache is None else partial(cache.join, index)
            x_BLD = block(x_BLD, noise_BF6D, read.keys[index], scene, join, image)
        if cache is not None:
            cache.close(write=write)
        _, patch_height, patch_width = self.config.patch
        sizes = {"f": slots, "h": grid[0], "q": patch_height, "r": patch_width}
        out_BLE = self.head(x_BLD, level_BFD).to(dtype)
        if self.sharing is not None:
            out_BLE = self.sharing.gathered(out_BLE, slots, scene.tokens)
        out_BCFHW: Tensor = rearrange(out_BLE, "b (f h w) (q r c) -> b c f (h q) (w r)", **sizes)
        return out_BCFHW

    def read(self, text_BLD: Tensor) -> Text:
        """Read a prompt, so that it need not be read again at every step.

        Args:
            text_BLD: `[B, at most text_len, text_dim]`, zero-padded to `text_len` here.

        Raises:
            ValueError: the text is too long.
        """
        text_BLD = self._padded(text_BLD)
        embedded_BLD = self.text_embedding(text_BLD.to(self.patch_embedding.weight.dtype))
        keys = tuple(block.cross_attn.keys_of(embedded_BLD) for block in self._each_block())
        return Text(keys, self._pool(text_BLD) if self.config.pooled_text else None)

    def _pool(self, text_BLD: Tensor) -> Tensor:
        wide, narrow = _linears(self.pooled_embedding)
        with no_autocast(text_BLD.device):
            return _linear_float(F.silu(_linear_float(text_BLD.flatten(1).float(), wide)), narrow)

    def _scene(
        self,
        time_BF: Tensor,
        grid: tuple[int, int],
        block_F: Tensor | None,
        cache: KVCache | None,
        device: torch.device,
    ) -> Scene:
        """What the tokens of slots at these times stand among; a cache is opened for them."""
        slots, tokens = time_BF.shape[1], grid[0] * grid[1]
        held = slice(0, tokens) if self.sharing is None else self.sharing.of_row(tokens)

        def table_of(time_BF: Tensor) -> Tensor:
            table = rotary_table(self.config, time_BF, grid, device)
            if self.sharing is None:
                return table
            return rearrange(table, "b 1 (f s) p c -> b 1 f s p c", s=tokens)[:, :, :, held].flatten(2, 3)

        table = table_of(time_BF) if cache is None else cache.open(time_BF, held.stop - held.start, table_of)
        mask_of = None
        if block_F is not None and slots > 1:
            mask_of = remembered(partial(block_causal_mask, block_F, 0 if cache is None else len(cache)))
        return Scene(table, mask_of, slots, tokens, self.sharing)

    def _grid(self, height: int, width: int) -> tuple[int, int]:
        _, patch_height, patch_width = self.config.patch
        if height % patch_height or width % patch_width:
            raise ValueError(
                f"latent of {height}x{width} does not divide into patches of {patch_height}x{patch_width}; "
                "pad it to a multiple"
            )
        return height // patch_height, width // patch_width

    @staticmethod
    def _times(time_BF: Tensor | None, slots: int, cache: KVCache | None) -> Tensor:
        """Return times as `[B, F]` or `[1, F]`; those that nobody says stay on the CPU, for Python asks for them."""
        if time_BF is None:
            start = 0 if cache is None else cache.slots_written
            time_BF = torch.arange(start, start + slots, device="cpu", dtype=torch.float32)
        return time_BF[None] if time_BF.ndim == 1 else time_BF

    def _beside(self, x_BCFHW: Tensor, condition_BCFHW: Tensor | None) -> Tensor:
        channels = 0 if condition_BCFHW is None else condition_BCFHW.shape[1]
        if channels != self.config.condition_channels:
            raise ValueError(f"a condition of {channels} channels; the model takes {self.config.condition_channels}")
        return x_BCFHW if condition_BCFHW is None else torch.cat((x_BCFHW, condition_BCFHW.to(x_BCFHW.dtype)), dim=1)

    def _embed_image(self, image_BKI: Tensor | None, batch: int) -> Tensor | None:
        width = 0 if image_BKI is None else image_BKI.shape[2]
        if width != self.config.image_dim:
            raise ValueError(f"picture features of width {width}; the model takes {self.config.image_dim} (0: none)")
        if image_BKI is None:
            return None
        tokens_BKD: Tensor = self.img_emb(image_BKI)
        return tokens_BKD.expand(batch, -1, -1)

    def _embed_noise(self, sigma_BF: Tensor, pooled_BD: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the level's embedding (for the head) and its projection (for the blocks), in float32."""
        half = self.config.freq_dim // 2
        order = torch.arange(half, device=sigma_BF.device, dtype=torch.float64)
        angle = TIMESTEPS * sigma_BF.double()[..., None] * 10_000.0 ** (-order / half)
        waves = torch.cat((angle.cos(), angle.sin()), dim=-1).float()
        with no_autocast(sigma_BF.device):
            first, second = _linears(self.time_embedding)
            (projection,) = _linears(self.time_projection)
            level_BFD = _linear_float(F.silu(_linear_float(waves, first)), second)
            if pooled_BD is not None:
                level_BFD = level_BFD + pooled_BD[:, None]
            noise_BFE = _linear_float(F.silu(level_BFD), projection)
        return level_BFD, noise_BFE.view(*sigma_BF.shape, 6, -1)

    def _padded(self, text_BLD: Tensor) -> Tensor:
        missing = self.config.text_len - text_BLD.shape[1]
        if missing < 0:
            raise ValueError(f"text of {text_BLD.shape[1]} tokens is longer than {self.config.text_len}; cut it")
        return F.pad(text_BLD, (0, 0, 0, missing)) if missing else text_BLD


def _linears(layers: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in layers if isinstance(layer, nn.Linear)]


def _linear_float(x: Tensor, layer: nn.Linear) -> Tensor:
    return F.linear(x, layer.weight.float(), layer.bias.float())


def _per_slot(sigma: Tensor, batch: int, slots: int, device: torch.device) -> Tensor:
    sigma = torch.as_tensor(sigma, device=device)
    if sigma.ndim == 1:
        sigma = sigma[:, None]
    if sigma.ndim > 2 or any(size not in (1, full) for size, full in zip(sigma.shape, (batch, slots), strict=False)):
        raise ValueError(
            f"sigma of shape {tuple(sigma.shape)} does not broadcast to batch {batch} by {slots} slots; "
            "give a scalar, one per item, or one per item and slot"
        )
    return sigma.expand(batch, slots)
