import random
from dataclasses import replace

import pytest
import torch

from kinemark.training.changes import CHANGES, changed
from kinemark.training.recipes import spark_cpu
from kinemark.training.shots import CLIP_SLOTS, MINUTE, Shot, draw_change, draw_cut, draw_shot
from kinemark.worlds.spec import kinds_for, sample_scene

SHOTS = [
    Shot(4),
    Shot(4, late=True),
    Shot(4, backward=True),
    Shot(4, late=True, backward=True),
    Shot(5, stills=2),
    Shot(5, late=True, stills=1),
    Shot(3, wholes=2),
    Shot(1, late=True),
]


def cut_of(shot, batch=64, horizon=8, seed=0):
    return draw_cut(shot, batch, horizon, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shot", SHOTS)
def test_every_slot_shows_the_frames_of_its_time(shot):
    """Whatever the order: a whole slot at time t ends with frame 4 t of the window, a still at t is that frame."""
    cut = cut_of(shot)
    held = cut.frame_BN[:, : shot.held]
    wholes = cut.frame_BN[:, shot.held :].unflatten(1, (-1, 4))
    assert (wholes.diff(dim=2) == 1).all()
    last = torch.cat([held, wholes[:, :, -1]], dim=1)[:, list(cut.order)] - cut.begin_B[:, None]
    own = slice(int(shot.has_sink), None)
    assert torch.equal(last[:, own].float(), cut.time_BF[:, own] * 4)
    assert sorted(cut.order) == list(range(shot.slots + shot.leads))


@pytest.mark.parametrize("shot", SHOTS)
def test_windows_lie_where_they_should(shot):
    cut = cut_of(shot)
    window = cut.time_BF[:, shot.leads :]
    expected = torch.arange(shot.slots).float()
    assert torch.equal(window, (expected.flip(0) if shot.backward else expected).expand_as(window))
    end = cut.begin_B + 4 * (shot.slots - 1)
    assert (end <= (MINUTE if shot.late else 4 * (CLIP_SLOTS - 1))).all()
    assert (cut.frame_BN >= 0).all()
    if shot.late and shot.slots > 1:
        assert cut.begin_B.float().std() > 60


def test_a_window_in_the_middle_is_led_by_the_first_frame_of_the_clip():
    shot = Shot(5, late=True)
    cut = cut_of(shot)
    assert shot.has_sink
    assert (cut.frame_BN[:, 0] == 0).all()
    assert (cut.time_BF[:, 0] == 4 - 8).all()
    assert not Shot(5, late=True, backward=True).has_sink


def test_what_leads_is_within_the_horizon():
    for shot in (Shot(5, stills=2), Shot(3, wholes=2)):
        ahead = cut_of(shot, horizon=6).time_BF[:, : shot.leads]
        assert (ahead > 0).all()
        assert (ahead <= 6).all()
    assert (cut_of(Shot(3, wholes=2)).time_BF[:, :2] >= 3).all()


@pytest.mark.parametrize("shot", [Shot(6, changed=True), Shot(6, late=True, changed=True)])
def test_a_change_begins_with_its_slot_and_is_over_in_time(shot):
    cut = cut_of(shot, batch=256)
    change = draw_change(shot, cut, torch.Generator().manual_seed(1))
    begins = cut.begin_B + 4 * (change.slot_B - 1)
    since = cut.frame_BN - begins[:, None]
    inside = change.slot_B > 0
    assert (change.share_BN[inside][since[inside] <= 0] == 0).all()
    assert (change.share_BN[inside][since[inside] >= 14] == 1).all()
    assert set(change.slot_B.tolist()) == set(range(0 if shot.late else 1, 6))
    if shot.late:
        before = change.slot_B == 0
        assert (change.share_BN[before][:, 0] == 0).all()  # the sink shows what was
        assert (change.share_BN[before][:, 1:] == 1).all()


def test_every_kind_of_shot_comes_up():
    recipe = spark_cpu().scene
    shots = [draw_shot(recipe, random.Random(number)) for number in range(600)]
    for share, of in (
        (recipe.late, [shot.late for shot in shots]),
        (recipe.backward, [shot.backward for shot in shots if shot.slots > 1]),
        (recipe.anchored, [bool(s.stills or s.wholes) for s in shots if s.slots > 1 and not s.backward]),
        (recipe.changed, [shot.changed for shot in shots if shot.slots > 1 and not shot.backward]),
    ):
        assert abs(sum(of) / len(of) - share) < 0.07
    still = replace(recipe, late=0.0, backward=0.0, anchored=0.0, changed=0.0)
    plain = draw_shot(still, random.Random(1))
    assert plain == Shot(plain.slots)


def test_a_changed_scene_differs_in_one_attribute():
    rng, names = random.Random(0), set()
    for _ in range(200):
        scene = sample_scene(rng)
        change = changed(scene, rng)
        different = {name for name, value in change.scene.values().items() if scene.values()[name] != value}
        assert different - {"time_end"} == ({change.name} if different != {"time_end"} else set())
        assert all(subject.kind in kinds_for(change.scene.setting) for subject in change.scene.subjects)
        assert not change.scene.is_held_out()
        names.add(change.name)
    assert names == set(CHANGES)
