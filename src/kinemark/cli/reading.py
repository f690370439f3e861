"""The prompt of a clip that was given without one: what is seen in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kinemark.conform import Given


def said_or_read(prompt: str, given: Given) -> tuple[str, tuple[str, ...]]:
    """The prompt, or what the end of the given clip shows; and a note that says so."""
    if prompt.strip():
        return prompt, ()
    from kinemark.captioning import WINDOW, seen, sentence

    text = sentence(seen(given.video_TCHW[-round(WINDOW * given.fps) - 1 :], given.fps))
    if text:
        return text, (f"Read from {given.source.name}: {text}",)
    return "", (f"{given.source.name} shows nothing of spark's world; it is followed without a prompt.",)


def said_or_read_both(prompt: str, first: Given, second: Given) -> tuple[str, str, tuple[str, ...]]:
    """The prompt, or what each of two given clips shows, one after the other; and notes that say so."""
    prompt, notes = said_or_read(prompt, first)
    if not notes:
        return prompt, "", ()
    then, more = said_or_read("", second)
    return prompt, then if then != prompt else "", notes + more
