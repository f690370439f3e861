"""Clips drawn by formulas, and decisions about them, for the tests of this folder."""

import numpy as np

from kinemark.provenance.marks.geometry import undo
from kinemark.provenance.release import ReleaseFacts

FPS = 8.0
FACTS = ReleaseFacts(fps=FPS, model="spark", weights_digest="ab" * 32, prompt="a red ball rolls over the grass")


def ball(frames=13, height=256, width=256, speed=40.0, colour=(220, 40, 40)):
    """A disc over two flat areas: the hardest picture to mark invisibly, with nothing to hide in."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    clip = np.empty((frames, height, width, 3), np.float32)
    clip[:] = (120, 180, 235)
    clip[:, int(height * 0.6) :] = (60, 140, 70)
    for t, frame in enumerate(clip):
        cover = np.clip(width / 11 - np.hypot(x - width / 6 - speed * t / FPS, y - height * 0.47), 0, 1)[..., None]
        frame += cover * (np.array(colour, np.float32) - frame)
    return clip.round().astype(np.uint8)


def sunset(frames=13, height=256, width=256):
    """Gradients, moving waves and a sinking sun."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    clip = np.empty((frames, height, width, 3), np.float32)
    for t, frame in enumerate(clip):
        frame[..., 0], frame[..., 1], frame[..., 2] = 245 - y * 0.5, 140 - y * 0.3, 90 + y * 0.3
        sun = np.clip(30 - np.hypot(x - width / 2, y - 90 - 6 * t / FPS), 0, 1)[..., None]
        frame += sun * (np.array((255, 230, 150), np.float32) - frame)
        sea = y > height * 0.65
        frame[sea] = (20, 40, 90)
        frame += ((np.sin(x / 9 + t * 0.4) + np.sin(y / 5 - t * 0.25)) * 8 * sea)[..., None]
    return clip.clip(0, 255).round().astype(np.uint8)


def texture(frames=17, height=256, width=256, seed=5):
    """A pan over a 1/f texture: the hardest picture to read a mark from."""
    noise = np.fft.rfft2(np.random.default_rng(seed).standard_normal((height + 64, width + 64)))
    fall = np.hypot(np.fft.fftfreq(height + 64)[:, None], np.fft.rfftfreq(width + 64)[None])
    plane = np.fft.irfft2(noise / np.maximum(fall, 0.003))
    plane = plane / plane.std() * 25 + 120
    shifts = [2 * t for t in range(frames)]
    grey = np.stack([plane[s : s + height, s // 2 : s // 2 + width] for s in shifts])
    return np.stack([grey, grey * 0.9 + 10, grey * 0.8], axis=-1).clip(0, 255).round().astype(np.uint8)


def grid(frames=13, height=256, width=256, step=10):
    """A disc over white lines on black, all still but the disc: a picture that repeats itself as a mark does."""
    clip = ball(frames, height, width)
    clip[(clip == (120, 180, 235)).all(axis=-1) | (clip == (60, 140, 70)).all(axis=-1)] = (24, 26, 28)
    paper = (clip == (24, 26, 28)).all(axis=-1)
    lines = np.zeros((height, width), bool)
    lines[::step] = lines[:, ::step] = True
    clip[paper & lines] = (225, 230, 235)
    return clip


VARIED = {"ball": ball, "sunset": sunset, "texture": texture}


def warped(frames, geometry, size):
    """Colour frames as they look after `geometry.undo`."""
    channels = [undo(frames[..., channel].astype(np.float32), geometry, size)[0] for channel in range(3)]
    return np.stack(channels, axis=-1).round().clip(0, 255).astype(np.uint8)
