"""Content Credentials as a reader sees them: what a file's C2PA manifest says, and how far that can be believed."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import c2pa

from kinemark import __version__
from kinemark.data.boxes import outermost_boxes
from kinemark.provenance.fingerprints.iscc import ISCC_ALGORITHM
from kinemark.provenance.signing.given import GivenSpan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kinemark.provenance.signing.anchors import Anchor

GENERATOR = "Kinemark"
SPEC_VERSION = "2.4"
WATERMARK_ALGORITHM = "org.kinemark.watermark.2"
"""Name of the soft binding, in reverse-DNS form; not (yet) in C2PA's list, so others can read but not resolve it."""

State = Literal["trusted", "valid", "expired", "revoked", "invalid", "none"]

BUFFER: Final = 1 << 20
"""Bytes that a file is read and written in: the C2PA library asks for a few at a time, through Python."""
MAX_MANIFEST: Final = 32 << 20
"""Bytes of a manifest store that are read at most; the library needs several times as much memory."""
MAX_PICTURE: Final = 512 << 20
"""The same for a whole file whose container is not looked into here."""

_MINING: Final = {"cawg.training-mining", "c2pa.training-mining"}

_CONTENT_CHANGED: Final = {"assertion.bmffHash.mismatch", "assertion.dataHash.mismatch", "assertion.boxesHash.mismatch"}

MIME: Final = {
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
"""What can carry credentials, by the ending of its name."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a file's manifest says, and how far that can be believed.

    Attributes:
        state: "trusted" (intact, signed under one of the roots given), "valid" (intact, signer unknown: no proof of
            origin), "expired" (intact, but the signer's certificate has run out and no time stamp shows that it
            was signed before), "revoked" (intact, but the root withdrew the signer's certificate, and no time stamp
            shows that it was signed before that), "invalid" (changed after signing, or damaged), "none".
        root: name of the anchor under which it is trusted, or that withdrew the certificate.
        serial: serial number of the signer's certificate.
        time: when a trusted time stamp says that it was signed.
        generator: name of the program that signed.
        id: the clip's id from the watermark binding.
        codes: C2PA's failure codes, or what the reader said.
        label: the manifest's own name, a URN.
        given: what the manifest says was given.
        seconds: the clip's duration as the manifest says it.
        iscc: the clip's ISCC code as the manifest says it.
        passed: C2PA's success codes.
        refused: uses that its makers do not allow, or only under conditions, such as "ai_inference".
    """

    state: State
    root: str | None = None
    serial: int | None = None
    time: dt.datetime | None = None
    generator: str | None = None
    id: str | None = None
    codes: tuple[str, ...] = ()
    label: str | None = None
    given: tuple[GivenSpan, ...] = ()
    seconds: float | None = None
    iscc: str | None = None
    passed: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()


def read_credentials(path: Path, anchors: Sequence[Anchor], time_roots: str = "") -> Credentials:
    """Read and check a file's manifest, offline.

    Args:
        path: a file without manifest has state "none"; whatever cannot be read is "invalid", never "none".
        anchors: whose signatures are believed, in order.
        time_roots: root certificates of time stamping authorities, PEM. A time stamp under one of them keeps a
            signature believed after its certificate ran out, or was withdrawn later.
    """
    if path.suffix.lower() not in MIME:
        return Credentials("none", codes=("format cannot carry credentials",))
    if (swollen := _swollen(path)) is not None:
        return Credentials("invalid", codes=(swollen,))
    found = _read(path, None)
    if found.state in {"valid", "expired"}:
        for anchor in anchors:
            judged = _under(path, anchor, time_roots, found)
            if judged is not None:
                return replace(judged, root=anchor.name)
    return found


def _swollen(path: Path) -> str | None:
    """What makes a file's manifest too large to be read; None if nothing does."""
    if MIME[path.suffix.lower()] not in {"video/mp4", "video/quicktime"}:
        return f"a file larger than {MAX_PICTURE} bytes" if path.stat().st_size > MAX_PICTURE else None
    swollen = any(box.kind == b"uuid" and box.length > MAX_MANIFEST for box in outermost_boxes(path))
    return f"a manifest larger than {MAX_MANIFEST} bytes" if swollen else None


def trusted_time(path: Path, time_roots: str) -> dt.datetime | None:
    """When a file was signed, as a time stamp under one of these roots (PEM) says; None without such a stamp."""
    return _read(path, time_roots).time if time_roots else None


def read_detached(path: Path, manifest: bytes, anchors: Sequence[Anchor]) -> Credentials:
    """Read and check a manifest that came from elsewhere, for a file that is no longer what was signed.

    The state is "trusted" if the signature is intact and believed, and nothing but the file's bytes has changed: the
    manifest is somebody's, but whether it is this file's is not shown.
    """
    if path.suffix.lower() not in MIME:
        return Credentials("none", codes=("format cannot carry credentials",))
    for anchor in anchors:
        found = _read(path, anchor.root_pem, manifest)
        changed = found.state == "invalid" and set(found.codes) <= _CONTENT_CHANGED
        signed = found.state == "trusted" or (changed and "signingCredential.trusted" in found.passed)
        if signed and anchor.knows(found.serial) and not anchor.withdrew(found.serial, None):
            return replace(found, state="trusted", root=anchor.name)
    return _read(path, None, manifest)


def _under(path: Path, anchor: Anchor, time_roots: str, found: Credentials) -> Credentials | None:
    """What a signature is worth under one anchor; None where that is nothing."""
    if not anchor.knows(found.serial):
        return None
    plain = _read(path, anchor.root_pem)
    if plain.state == "trusted" and not anchor.withdrew(plain.serial, None):
        return plain
    time = trusted_time(path, time_roots)
    if plain.state == "trusted":
        kept = time is not None and not anchor.withdrew(plain.serial, time)
        return replace(plain, time=time) if kept else replace(plain, state="revoked")
    if time is None or anchor.withdrew(found.serial, time):
        return None
    timed = _read(path, anchor.root_pem + time_roots)
    # An authority that stamps times may issue other certificates, too: without the anchor it must not be enough.
    return timed if timed.state == "trusted" and _read(path, time_roots).state != "trusted" else None


def _read(path: Path, anchors: str | None, manifest: bytes | None = None) -> Credentials:
    try:
        with context(anchors) as settings, path.open("rb", buffering=BUFFER) as stream:
            reader = c2pa.Reader.try_create(MIME[path.suffix.lower()], stream, manifest, context=settings)
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
    codes, good = _codes(results, "failure"), _codes(results, "success")
    if state == "invalid" and codes and codes <= {"signingCredential.expired", "signingCredential.untrusted"}:
        state = "expired"
    active = (store.get("manifests") or {}).get(store.get("active_manifest")) or {}
    signature = active.get("signature_info") or {}
    return Credentials(
        state=state,  # type: ignore[arg-type]  # one of State by construction
        serial=_serial(signature),
        time=_time(signature) if "timeStamp.trusted" in good else None,
        generator=next((info.get("name") for info in active.get("claim_generator_info") or []), None),
        id=_binding(active, WATERMARK_ALGORITHM),
        iscc=_binding(active, ISCC_ALGORITHM),
        passed=frozenset(good),
        codes=tuple(sorted(codes)),
        label=store.get("active_manifest"),
        given=tuple(_given(active)),
        seconds=_seconds(active),
        refused=frozenset(_refused(active)),
    )


def _refused(active: dict[str, Any]) -> Iterator[str]:
    """What C2PA's or CAWG's assertion on training and data mining does not simply allow."""
    for assertion in active.get("assertions") or []:
        data = assertion.get("data")
        entries = data.get("entries") if isinstance(data, dict) else None
        if assertion.get("label") in _MINING and isinstance(entries, dict):
            for name, entry in entries.items():
                if not isinstance(entry, dict) or entry.get("use") != "allowed":
                    yield str(name).rpartition(".")[2]


def _codes(results: dict[str, Any], kind: Literal["failure", "success"]) -> set[str]:
    """The codes that the C2PA library gave for the file's own manifest."""
    return {str(item.get("code")) for item in (results.get("activeManifest") or {}).get(kind) or []}


def _serial(signature: dict[str, Any]) -> int | None:
    try:
        return int(signature["cert_serial_number"])
    except (KeyError, ValueError, TypeError):
        return None


def _time(signature: dict[str, Any]) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(signature["time"])
    except (KeyError, ValueError, TypeError):
        return None


def _binding(active: dict[str, Any], algorithm: str) -> str | None:
    """The value of the soft binding with this algorithm."""
    for assertion in active.get("assertions") or []:
        data = assertion.get("data")
        if isinstance(data, dict) and data.get("alg") == algorithm:
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


def context(anchors: str | None) -> c2pa.Context:
    """Settings of the C2PA library: offline, no thumbnail, and these root certificates (PEM) or none."""
    info = {"name": GENERATOR, "version": __version__, "specVersion": SPEC_VERSION}
    settings: dict[str, Any] = {
        "version": 1,
        "verify": {"remote_manifest_fetch": False},
        "core": {"allowed_network_hosts": []},
        "builder": {"thumbnail": {"enabled": False}, "claim_generator_info": info},
    }
    if anchors is not None:
        settings["trust"] = {"user_anchors": anchors}
    return c2pa.Context.from_dict(settings)
