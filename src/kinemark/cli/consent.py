"""`kinemark consent`: who may be shown, entered, withdrawn, and what was made of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kinemark.cli.output import Json, out, print_json
from kinemark.errors import RequestError

if TYPE_CHECKING:
    import numpy as np

    from kinemark.safety.consent.register import Entry, Register, Use

consent_app = typer.Typer(help="Who may be shown, and what was made of them.", no_args_is_help=True)
Handle = Annotated[str, typer.Argument(help="How prompts name the person, without the @.", show_default=False)]

#: What is kept around a face, as a share of its side.
_MARGIN: Final = 0.4
_LONGEST: Final = 300


@consent_app.command()
def add(
    record: Annotated[Path, typer.Argument(help="The record of consent, a YAML file.", show_default=False)],
    media: Annotated[Path, typer.Option(help="A picture or clip of that person, alone.", show_default=False)],
    verified_by: Annotated[str, typer.Option(help="Who checked the proof. Without it, consent is attested.")] = "",
    json: Json = False,
) -> None:
    """Enter a record of consent. What it does not name stays refused."""
    from kinemark.safety.consent.record import read_consent

    consent = read_consent(record, today=_now().date())
    face = _only_face(media)
    with _register() as register:
        entry = register.add(consent, face, now=_now(), verified_by=verified_by)
    if json:
        print_json(_facts(entry))
        return
    out().print(f"@{consent.handle} is entered ({entry.assurance}), until {consent.scope.until}.")
    if entry.assurance == "attested":
        out().print("Attested consent unlocks nothing photoreal; check the proof and enter it with --verified-by.")


@consent_app.command()
def revoke(handle: Handle, json: Json = False) -> None:
    """Withdraw consent: nothing new is made, the face is deleted, what was made is listed."""
    with _register() as register:
        uses = register.revoke(_bare(handle), now=_now())
    if json:
        print_json({"handle": _bare(handle), "uses": [_use(use) for use in uses]})
        return
    out().print(f"@{_bare(handle)} is withdrawn and the face deleted. Made before: {len(uses)}.")
    for use in uses:
        out().print(f"  {use.time}  {use.verb}  {use.model}  {use.frames_digest[:16]}")


@consent_app.command(name="list")
def list_(json: Json = False) -> None:
    """List every record, the withdrawn ones too."""
    with _register() as register:
        entries = register.entries()
    if json:
        print_json({"consents": [_facts(entry) for entry in entries]})
        return
    for entry in entries:
        scope = entry.consent.scope
        state = f"withdrawn {entry.revoked}" if entry.revoked else f"until {scope.until}"
        out().print(f"@{entry.consent.handle}  {entry.assurance}  {', '.join(scope.verbs)}  {state}", soft_wrap=True)
    if not entries:
        out().print("Nobody is registered, so nobody is shown.")


@consent_app.command()
def uses(handle: Handle, json: Json = False) -> None:
    """List what was made of a person. It never says what anybody asked for."""
    with _register() as register:
        found = register.uses(_bare(handle))
    if json:
        print_json({"handle": _bare(handle), "uses": [_use(use) for use in found]})
        return
    for use in found:
        out().print(f"{use.time}  {use.verb}  {use.model}  {use.frames_digest[:16]}")
    if not found:
        out().print(f"Nothing was made of @{_bare(handle)}.")


@consent_app.command()
def face(
    handle: Handle,
    output: Annotated[Path, typer.Option("--output", "-o", help="A .png file.", show_default=False)],
) -> None:
    """Write the face of a record to a picture, for somebody who has to look at it."""
    if output.exists() or output.suffix.lower() != ".png":
        raise RequestError(f"{output} exists or is no .png file; name a new .png file")
    with _register() as register:
        picture = register.face(_bare(handle))
    try:
        output.write_bytes(picture)
    except OSError as error:
        raise RequestError(f"cannot write {output}: {error.strerror}; choose another place") from error
    out().print(f"{output}", soft_wrap=True)


def _only_face(media: Path) -> bytes:
    """The one face that is seen in a picture or a clip, as PNG."""
    from kinemark.data.video import media_kind, read_image, read_video
    from kinemark.safety.frames.faces import faces

    if media_kind(media) == "image":
        frames_THWC, fps = read_image(media)[None], 1.0
    else:
        video = read_video(media, max_frames=_LONGEST)
        frames_THWC, fps = video.frames_THWC, video.fps
    found = faces(frames_THWC, fps)
    together = [face for face in found if face.start < found[0].stop and face.stop > found[0].start]
    if len(together) != 1:
        seen = f"{len(together)} faces are seen at once" if found else "no face is seen"
        raise RequestError(f"{seen} in {media}; give a picture or clip that shows the person alone, facing the camera")
    return _png(frames_THWC[found[0].start], found[0].box)


def _png(frame_HWC: np.ndarray, box: tuple[int, int, int, int]) -> bytes:
    import io

    from PIL import Image

    left, top, width, height = box
    margin = round(_MARGIN * max(width, height))
    part = frame_HWC[max(0, top - margin) : top + height + margin, max(0, left - margin) : left + width + margin]
    written = io.BytesIO()
    Image.fromarray(part).save(written, "PNG")
    return written.getvalue()


def _facts(entry: Entry) -> dict[str, Any]:
    record = entry.consent.model_dump(mode="json")
    return {
        **record,
        "assurance": entry.assurance,
        "verified_by": entry.verified_by or None,
        "entered": entry.entered,
        "revoked": entry.revoked,
    }


def _use(use: Use) -> dict[str, str]:
    return asdict(use)


def _register() -> Register:
    from kinemark.safety.consent.register import Register
    from kinemark.settings import load_settings

    return Register(load_settings().consent_dir)


def _bare(handle: str) -> str:
    return handle.removeprefix("@").lower()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
