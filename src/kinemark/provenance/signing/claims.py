"""The manifest that every release carries: C2PA 2.4, "made by AI, by this system, with this id", signed by this key.

Nothing in it tells who asked, or what for: the prompt is written only where the person wants it in the file.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import c2pa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from kinemark import __version__
from kinemark.errors import FailureError
from kinemark.provenance.fingerprints.iscc import ISCC_ALGORITHM
from kinemark.provenance.signing.credentials import BUFFER, GENERATOR, MIME, WATERMARK_ALGORITHM, context
from kinemark.provenance.signing.keys import NO_STAMPING

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from kinemark.provenance.signing.credits import Credits
    from kinemark.provenance.signing.given import GivenSpan
    from kinemark.provenance.signing.keys import Keys

MADE_BY_AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""Where given footage stands beside what the model made."""


_ALGORITHMS = {
    "secp256r1": (c2pa.C2paSigningAlg.ES256, hashes.SHA256()),
    "secp384r1": (c2pa.C2paSigningAlg.ES384, hashes.SHA384()),
    "secp521r1": (c2pa.C2paSigningAlg.ES512, hashes.SHA512()),
}


@dataclass(frozen=True, slots=True)
class Claim:
    """What a manifest asserts.

    Attributes:
        id: the clip's id, eight hexadecimal digits, also the watermark's payload.
        when: time of making, with a time zone.
        seconds: duration of the clip.
        model: name of the model.
        weights_digest: SHA-256 of its weights, hexadecimal.
        prompt: written into the file as an ingredient; None (the default of a release) writes nothing.
        given: what of the clip was given.
        sources: files that it was given from; each becomes an ingredient, its own manifest kept.
        credits: what the person says about rights; None writes nothing.
        iscc: the clip's ISCC Video-Code, a second binding that others can compute; None writes none.
    """

    id: str
    when: dt.datetime
    seconds: float
    model: str
    weights_digest: str
    prompt: str | None = None
    given: tuple[GivenSpan, ...] = ()
    sources: tuple[Path, ...] = ()
    credits: Credits | None = None
    iscc: str | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """What signing gave: the manifest store as it stands in the file (JUMBF), and whether it carries a time stamp."""

    manifest: bytes
    timed: bool


def sign(source: Path, target: Path, claim: Claim, keys: Keys) -> Signed:
    """Copy `source` (an MP4, GIF, PNG, JPEG or WebP file) to the new file `target` with a signed manifest in it.

    Where the keys name a time stamping authority, the signature carries its time. When that authority does not answer
    (the C2PA library waits 30 s), signing fails, unless the keys say that untimed signatures may leave, too.

    Raises:
        FailureError: the manifest was not accepted, a file could not be read or written, or there was no time stamp.
    """
    stamping = keys.stamping
    try:
        return Signed(_sign(source, target, claim, keys), timed=stamping.url is not None)
    except c2pa.C2paError as error:
        if stamping.url is not None and stamping.untimed:
            target.unlink(missing_ok=True)
            return sign(source, target, claim, replace(keys, stamping=NO_STAMPING))
        advice = "Check free disk space and the keys, and try again."
        if stamping.url is not None:
            advice = (
                f"If the time stamping authority {stamping.url} is the reason, try again later, or let files leave "
                f"without a time: kinemark keys use --tsa {stamping.url} --untimed"
            )
        raise FailureError(f"signing failed: {error}. The video was not released. {advice}") from error


def _sign(source: Path, target: Path, claim: Claim, keys: Keys) -> bytes:
    algorithm, digest = _ALGORITHMS[keys.signer_key.curve.name]
    mime = MIME[target.suffix.lower()]
    try:
        with (
            context(keys.anchor_pem) as settings,
            c2pa.Signer.from_callback(
                lambda data: keys.signer_key.sign(data, ec.ECDSA(digest)), algorithm, keys.chain_pem, keys.stamping.url
            ) as signer,
            c2pa.Builder(manifest(claim, mime), context=settings) as builder,
            source.open("rb", buffering=BUFFER) as reading,
            target.open("x+b", buffering=BUFFER) as writing,
        ):
            if claim.prompt is not None:
                builder.add_resource("prompt.txt", io.BytesIO(claim.prompt.encode()))
            _add_sources(builder, claim)
            return bytes(builder.sign(signer, mime, reading, writing))
    except OSError as error:
        raise FailureError(
            f"signing failed: {error}. The video was not released; check free disk space and try again."
        ) from error


def manifest(claim: Claim, mime: str = "video/mp4") -> dict[str, Any]:
    """The manifest definition for C2PA's builder, after C2PA 2.4 and CAWG's training and data mining assertion.

    Every assertion is `created`: the signer vouches for it; without that flag the SDK files it under hearsay.
    """
    actions = _actions(claim)
    lasts = mime.startswith("video/")
    whole = {"timespan": {"start": 0, "end": round(claim.seconds * 1000)}} if lasts else {}
    bindings = {WATERMARK_ALGORITHM: claim.id, ISCC_ALGORITHM: claim.iscc}
    disclosure = {
        "modelType": "c2pa.types.model.pytorch",
        "modelName": claim.model,
        "modelIdentifier": f"pkg:generic/kinemark/{claim.model}?checksum=sha256:{claim.weights_digest}",
        "contentProfile": {"humanOversightLevel": "prompt_guided"},
    }
    assertions: list[tuple[str, dict[str, Any]]] = [
        ("c2pa.actions.v2", {"allActionsIncluded": True, "actions": actions}),
        *(
            ("c2pa.soft-binding", {"alg": algorithm, "blocks": [{"scope": whole, "value": value}]})
            for algorithm, value in bindings.items()
            if value is not None
        ),
        ("c2pa.ai-disclosure", disclosure),
        ("cawg.training-mining", {"entries": {"cawg.ai_generative_training": {"use": "notAllowed"}}}),
    ]
    rights = claim.credits.assertion() if claim.credits else None
    if rights:
        assertions.append(("cawg.metadata", rights))
    definition: dict[str, Any] = {
        "title": f"Kinemark {claim.id}",  # not the file's name: people name files after prompts
        "format": mime,
        "assertions": [{"label": label, "created": True, "data": data} for label, data in assertions],
    }
    if claim.prompt is not None:
        kind = [{"type": "c2pa.types.generator.prompt"}]
        text = {"format": "text/plain", "identifier": "prompt.txt", "data_types": kind}
        definition["ingredients"] = [
            {"title": "prompt", "format": "text/plain", "relationship": "inputTo", "label": "prompt", "data": text}
        ]
        actions[0].setdefault("parameters", {}).setdefault("ingredientIds", []).append("prompt")
    return definition


def _actions(claim: Claim) -> list[dict[str, Any]]:
    """What was done, in order: created, the given footage placed where it is, watermarked.

    Kept footage is `c2pa.placed`, a component of the clip; footage that was changed in part is an input of what was
    created from it. Both name their time ranges (regions of interest).
    """
    when = claim.when.isoformat(timespec="seconds").replace("+00:00", "Z")
    common = {"when": when, "softwareAgent": {"name": GENERATOR, "version": __version__}}
    created: dict[str, Any] = {"action": "c2pa.created", "digitalSourceType": COMPOSITE if claim.given else MADE_BY_AI}
    names = [name for name, _ in _ingredients(claim)]
    changed = [span for span in claim.given if span.how == "changed"]
    if changed:
        created |= {"parameters": {"ingredientIds": list(names)}, "changes": _regions(changed, "changed")}
    actions = [common | created]
    kept = [span for span in claim.given if span.how == "kept"]
    if kept:
        placed = {"action": "c2pa.placed", "parameters": {"ingredientIds": names}, "changes": _regions(kept, "kept")}
        actions.append(common | placed)
    return [*actions, common | {"action": "c2pa.watermarked.bound"}]


def _regions(spans: list[GivenSpan], how: str) -> list[dict[str, Any]]:
    return [
        {
            "description": f"given footage, {how}",
            "region": [
                {"type": "temporal", "time": {"type": "npt", "start": f"{span.start:.3f}", "end": f"{span.stop:.3f}"}}
            ],
        }
        for span in spans
    ]


def _ingredients(claim: Claim) -> list[tuple[str, Path | None]]:
    """A name for every file that footage was given from; one for frames that came from no file."""
    if not claim.given:
        return []
    return [(f"given-{index}", path) for index, path in enumerate(claim.sources or (None,))]


def _add_sources(builder: c2pa.Builder, claim: Claim) -> None:
    """One ingredient for each source; its title says nothing about the person, its own manifest is kept."""
    relation = "componentOf" if any(span.how == "kept" for span in claim.given) else "inputTo"
    for name, path in _ingredients(claim):
        about = json.dumps({"title": name, "relationship": relation, "label": name})
        mime = MIME.get(path.suffix.lower()) if path else None
        if path is None or mime is None:
            builder.add_ingredient(about, "application/octet-stream", io.BytesIO(b""))
            continue
        with path.open("rb") as stream:
            builder.add_ingredient(about, mime, stream)
