"""Content Credentials: a C2PA 2.4 manifest that says "made by AI, by this system, with this id", signed by this key.

Nothing in it tells who asked, or what for: the prompt is written only where the person wants it in the file.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import c2pa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from kinemark.errors import FailureError
from kinemark.provenance.given import GivenSpan

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kinemark.provenance.credits import Credits
    from kinemark.provenance.keys import Keys

GENERATOR = "Kinemark"
SPEC_VERSION = "2.4"
WATERMARK_ALGORITHM = "org.kinemark.watermark.2"
"""Name of the soft binding, in reverse-DNS form; not (yet) in C2PA's list, so others can read but not resolve it."""
MADE_BY_AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""Where given footage stands beside what the model made."""

State = Literal["trusted", "valid", "expired", "invalid", "none"]

_MIME = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".avi": "video/avi",
    ".gif": "image/gif",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
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


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a file's manifest says, and how far that can be believed.

    Attributes:
        state: "trusted" (intact, signed under one of the roots given), "valid" (intact, signer unknown: no proof of
            origin), "expired" (intact, but the signer's certificate has run out and no time stamp shows that it
            was signed before), "invalid" (changed after signing, or damaged), "none".
        root: name of the root under which it is trusted.
        generator: name of the program that signed.
        id: the clip's id from the watermark binding.
        codes: C2PA's failure codes, or what the reader said.
        label: the manifest's own name, a URN.
        given: what the manifest says was given.
        seconds: the clip's duration as the manifest says it.
    """

    state: State
    root: str | None = None
    generator: str | None = None
    id: str | None = None
    codes: tuple[str, ...] = ()
    label: str | None = None
    given: tuple[GivenSpan, ...] = ()
    seconds: float | None = None


def sign(source: Path, target: Path, claim: Claim, keys: Keys) -> None:
    """Copy `source` (an MP4, GIF, PNG, JPEG or WebP file) to the new file `target` with a signed manifest in it.

    Raises:
        FailureError: the manifest was not accepted, or a file could not be read or written.
    """
    try:
        with (
            _context(keys.root_pem) as context,
            c2pa.Signer.from_callback(
                lambda data: keys.signer_key.sign(data, ec.ECDSA(hashes.SHA256())),
                c2pa.C2paSigningAlg.ES256,
                keys.chain_pem,
            ) as signer,
            c2pa.Builder(manifest(claim, _MIME[target.suffix.lower()]), context=context) as builder,
            source.open("rb") as reading,
            target.open("x+b") as writing,
        ):
            if claim.prompt is not None:
                builder.add_resource("prompt.txt", io.BytesIO(claim.prompt.encode()))
            _add_sources(builder, claim)
            builder.sign(signer, _MIME[target.suffix.lower()], reading, writing)
    except (c2pa.C2paError, OSError) as error:
        raise FailureError(
            f"signing failed: {error}. The video was not released; check free disk space and the keys, and try again."
        ) from error


def manifest(claim: Claim, mime: str = "video/mp4") -> dict[str, Any]:
    """The manifest definition for C2PA's builder, after C2PA 2.4 and CAWG's training and data mining assertion.

    Every assertion is `created`: the signer vouches for it; without that flag the SDK files it under hearsay.
    """
    actions = _actions(claim)
    span = {"timespan": {"start": 0, "end": round(claim.seconds * 1000)}}
    disclosure = {
        "modelType": "c2pa.types.model.pytorch",
        "modelName": claim.model,
        "modelIdentifier": f"pkg:generic/kinemark/{claim.model}?checksum=sha256:{claim.weights_digest}",
        "contentProfile": {"humanOversightLevel": "prompt_guided"},
    }
    assertions = {
        "c2pa.actions.v2": {"allActionsIncluded": True, "actions": actions},
        "c2pa.soft-binding": {"alg": WATERMARK_ALGORITHM, "blocks": [{"scope": span, "value": claim.id}]},
        "c2pa.ai-disclosure": disclosure,
        "cawg.training-mining": {"entries": {"cawg.ai_generative_training": {"use": "notAllowed"}}},
    }
    rights = claim.credits.assertion() if claim.credits else None
    if rights:
        assertions["cawg.metadata"] = rights
    definition: dict[str, Any] = {
        "title": f"Kinemark {claim.id}",  # not the file's name: people name files after prompts
        "format": mime,
        "assertions": [{"label": label, "created": True, "data": data} for label, data in assertions.items()],
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
    common = {"when": when, "softwareAgent": {"name": GENERATOR, "version": version("kinemark")}}
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
        mime = _MIME.get(path.suffix.lower()) if path else None
        if path is None or mime is None:
            builder.add_ingredient(about, "application/octet-stream", io.BytesIO(b""))
            continue
        with path.open("rb") as stream:
            builder.add_ingredient(about, mime, stream)


def read_credentials(path: Path, roots: Mapping[str, str]) -> Credentials:
    """Read and check a file's manifest against named root certificates (PEM), offline.

    A file without manifest has state "none"; whatever cannot be read is "invalid", never "none".
    """
    if path.suffix.lower() not in _MIME:
        return Credentials("none", codes=("format cannot carry credentials",))
    found = _read(path, None)
    if found.state != "valid":
        return found
    for name, pem in roots.items():
        trusted = _read(path, pem)
        if trusted.state == "trusted":
            return replace(trusted, root=name)
    return found


def _read(path: Path, anchor: str | None) -> Credentials:
    try:
        with _context(anchor) as context, path.open("rb") as stream:
            reader = c2pa.Reader.try_create(_MIME[path.suffix.lower()], stream, context=context)
            if reader is None:
                return Credentials("none")
            with reader:
                state = {"Trusted": "trusted", "Valid": "valid"}.get(reader.get_validation_state() or "", "invalid")
                results = reader.get_validation_results() or {}
                store = json.loads(reader.json())
    except c2pa.C2paError.NotSupported:
        return Credentials("none", codes=("format cannot carry credentials",))
    except (c2pa.C2paError, ValueError) as error:
        return Credentials("invalid", codes=(f"damaged manifest: {error}",))
    failures = (results.get("activeManifest") or {}).get("failure") or []
    codes = {str(failure.get("code")) for failure in failures}
    if state == "invalid" and codes and codes <= {"signingCredential.expired", "signingCredential.untrusted"}:
        state = "expired"
    active = (store.get("manifests") or {}).get(store.get("active_manifest")) or {}
    return Credentials(
        state=state,  # type: ignore[arg-type]  # one of State by construction
        generator=next((info.get("name") for info in active.get("claim_generator_info") or []), None),
        id=_binding(active),
        codes=tuple(sorted(codes)),
        label=store.get("active_manifest"),
        given=tuple(_given(active)),
        seconds=_seconds(active),
    )


def _binding(active: dict[str, Any]) -> str | None:
    """The clip's id, from the watermark's soft binding."""
    for assertion in active.get("assertions") or []:
        data = assertion.get("data")
        if isinstance(data, dict) and data.get("alg") == WATERMARK_ALGORITHM:
            return next((str(block["value"]) for block in data.get("blocks") or [] if "value" in block), None)
    return None


def _given(active: dict[str, Any]) -> Iterator[GivenSpan]:
    """The time ranges that the actions name as given."""
    for action in _data(active, "c2pa.actions").get("actions") or []:
        how: Literal["kept", "changed"] = "kept" if action.get("action") == "c2pa.placed" else "changed"
        for change in action.get("changes") or []:
            for region in change.get("region") or []:
                try:
                    yield GivenSpan(float(region["time"]["start"]), float(region["time"]["end"]), how)
                except (KeyError, TypeError, ValueError):
                    continue  # a region of another kind, or another maker's


def _seconds(active: dict[str, Any]) -> float | None:
    try:
        return float(_data(active, "c2pa.soft-binding")["blocks"][0]["scope"]["timespan"]["end"]) / 1000
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def _data(active: dict[str, Any], label: str) -> dict[str, Any]:
    """The first assertion whose label begins so; empty if there is none."""
    found = (a.get("data") for a in active.get("assertions") or [] if str(a.get("label")).startswith(label))
    return next((data for data in found if isinstance(data, dict)), {})


def _context(anchor: str | None) -> c2pa.Context:
    """Settings of the C2PA library: offline, no thumbnail, and exactly one anchor or none."""
    info = {"name": GENERATOR, "version": version("kinemark"), "specVersion": SPEC_VERSION}
    settings: dict[str, Any] = {
        "version": 1,
        "verify": {"remote_manifest_fetch": False},
        "core": {"allowed_network_hosts": []},
        "builder": {"thumbnail": {"enabled": False}, "claim_generator_info": info},
    }
    if anchor is not None:
        settings["trust"] = {"user_anchors": anchor}
    return c2pa.Context.from_dict(settings)
