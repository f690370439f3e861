from dataclasses import replace

import pytest
import torch

from kinemark.model.autoencoder import encode
from kinemark.model.layout import MAP_CHANNELS
from kinemark.model.scene_code import UNSPECIFIED, scene_code, scene_tokens
from kinemark.timeline import SPARK_FPS
from kinemark.training.recipes import spark_cpu, tiny_recipe
from kinemark.training.stream import (
    build_pool,
    draw_batch,
    held,
    pack_slots,
    soften,
    step_generator,
)
from kinemark.worlds.render import render
from kinemark.worlds.spec import SceneMix

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pool():
    return build_pool(size=16, seed=1, device=CPU)


def draw(pool, step, recipe=None):
    return draw_batch(recipe or tiny_recipe(), pool, 7, step, step_generator(7, step, CPU))


def test_a_step_always_has_the_same_batch(pool):
    first, again, other = draw(pool, 3), draw(pool, 3), draw(pool, 4)
    assert torch.equal(first.clean_BCFHW, again.clean_BCFHW)
    assert torch.equal(first.text_BLD, again.text_BLD)
    assert first.clean_BCFHW.shape != other.clean_BCFHW.shape or not torch.equal(first.clean_BCFHW, other.clean_BCFHW)


def test_a_pool_is_a_function_of_its_seed(pool):
    again = build_pool(size=16, seed=1, device=CPU)
    assert torch.equal(pool.scenes.codes_BA, again.scenes.codes_BA)
    assert torch.equal(pool.said_BL, again.said_BL)


def test_captions_state_what_is_shown(pool):
    stated = pool.said_BL != UNSPECIFIED
    assert stated.any(dim=1).all()
    assert torch.equal(pool.said_BL[stated], pool.scenes.codes_BA[stated])


def test_nothing_held_out_is_drawn():
    pool = build_pool(size=64, seed=2, device=CPU, mix=SceneMix(one_subject=1.0))
    assert (pool.scenes.column("second_subject") == -1).all()


@pytest.mark.parametrize("step", range(6))
def test_batches_hold_together(pool, step):
    recipe = tiny_recipe()
    batch = draw(pool, step, recipe)
    clips, channels, slots, height, width = batch.clean_BCFHW.shape
    assert channels == 12
    assert batch.time_BF.shape == (clips, slots)
    assert batch.mask_BFHW.shape == (clips, slots, height, width)
    assert batch.map_BCFHW.shape == (clips, MAP_CHANNELS, slots, height, width)
    assert batch.map_BCFHW.isfinite().all()
    assert batch.text_BLD.shape == (clips, 16, 128)
    assert batch.clean_BCFHW.abs().max() <= 1
    assert clips == 1 or clips * slots * (height // recipe.patch) * (width // recipe.patch) <= recipe.tokens_per_step
    assert batch.lead_sigma_BA.shape == (clips, batch.leads)
    assert (batch.lead_sigma_BA <= 0.3).all()


def test_leads_come_first_and_the_layout_follows_the_pictures(pool):
    """In every order the map of the layout shows the subject where the mask does."""
    recipe = replace(
        tiny_recipe(), windows=((3, 3),), window_shares=(1.0,), backward=0.3, anchored=0.6, late=0.5, cropped=0.0,
        layout_dropout=0.0, tokens_per_step=1024,
    )  # fmt: skip
    for step in range(12):
        batch = draw(pool, step, recipe)
        window, mask = batch.map_BCFHW[:, 14:15].amax(1), batch.mask_BFHW
        covered = ((window > 0.2) | (batch.map_BCFHW[:, 31] > 0.2))[mask > 0.9]
        assert covered.float().mean() > 0.9


def test_a_changed_batch_follows_the_later_prompt(pool):
    recipe = replace(
        tiny_recipe(), windows=((3, 3),), window_shares=(1.0,), changed=1.0, backward=0.0, text_dropout=0.0
    )
    batch = draw(pool, 3, recipe)
    assert batch.past_B is not None
    assert ((batch.past_B >= 0) & (batch.past_B < 3)).all()
    later = scene_code()[torch.arange(16), pool.next_said_BL]
    assert all((text == later).all(dim=(1, 2)).any() for text in batch.text_BLD)


def test_held_frames_fill_their_slots():
    frames = torch.tensor([[5, 2, 3, 4, 5, 6]])
    assert held(frames, 2).tolist() == [[5, 5, 5, 5, 2, 2, 2, 2, 3, 4, 5, 6]]


def test_slots_are_packed_as_the_autoencoder_packs_them(pool):
    frames = torch.arange(9).expand(2, -1)
    scenes = type(pool.scenes)(pool.scenes.codes_BA[:2], pool.scenes.seed_B[:2])
    small = held(render(scenes, frames / SPARK_FPS, (16, 16)).video_BTCHW, 1)
    large = small[:, 3:].repeat_interleave(4, dim=-1).repeat_interleave(4, dim=-2)
    torch.testing.assert_close(pack_slots(small), encode(large))


def test_every_size_of_the_recipe_comes_up(pool):
    recipe = replace(tiny_recipe(), cropped=0.0)
    sizes = {draw(pool, step, recipe).clean_BCFHW.shape[-2:] for step in range(24)}
    assert sizes == {scale.size for scale in recipe.scales}


def test_captions_are_dropped_at_the_stated_rate(pool):
    recipe = tiny_recipe()
    empty = total = 0
    for step in range(60):
        text = draw(pool, step, recipe).text_BLD
        empty += (text == scene_tokens([{}])).all(dim=(1, 2)).sum().item()
        total += len(text)
    assert 0.02 < empty / total < 0.3


def test_full_size_batches_have_the_stated_number_of_tokens(pool):
    recipe = spark_cpu().detail
    clips, _, slots, height, width = draw(pool, 0, recipe).clean_BCFHW.shape
    tokens = clips * slots * (height // recipe.patch) * (width // recipe.patch)
    assert 0.7 * recipe.tokens_per_step < tokens <= recipe.tokens_per_step


def test_cuts_show_the_subject_and_the_map_of_what_they_show(pool):
    plain = replace(tiny_recipe(), windows=((1, 1),), window_shares=(1.0,), cropped=0.0, layout_dropout=0.0)
    cut = replace(plain, cropped=1.0)
    whole, parts = draw(pool, 2, plain), draw(pool, 2, cut)
    assert parts.clean_BCFHW.shape[-1] < whole.clean_BCFHW.shape[-1]
    assert len(parts.clean_BCFHW) > len(whole.clean_BCFHW)
    shows = (parts.mask_BFHW.amax(dim=(1, 2, 3)) > 0.5).float().mean()
    assert shows > 0.9
    window, mask = parts.map_BCFHW[:, 14:15].amax(1), parts.mask_BFHW
    assert (window >= 0.5)[mask > 0.9].float().mean() > 0.7  # the first subject's window covers (nearly) all of it


def test_the_layout_is_dropped_at_the_stated_rate(pool):
    recipe = replace(tiny_recipe(), layout_dropout=0.5)
    untold = torch.cat([(draw(pool, step, recipe).map_BCFHW[:, 14:] == 0).all(dim=(1, 2, 3, 4)) for step in range(60)])
    assert 0.3 < untold.float().mean() < 0.7


def test_soften_widens_by_two_pixels():
    mask = torch.zeros(1, 1, 9, 9)
    mask[..., 4, 4] = 1
    assert soften(mask).sum() == 25
