"""The manifest of the training data: what it is, under which licence, and with whose consent.

spark learns from clips that the package draws itself while it trains, so its data is its generator: the sources of
`worlds/`, pinned by their hash. Training calls `require_manifest` first, and does not start without a manifest that
fits those sources and that states an accepted licence and a consent for every source of data.

The file is Croissant 1.0 (http://mlcommons.org/croissant/1.0): JSON-LD that dataset tools read. What Croissant has no
word for (the hash of the generator, consent) stands in it under our own prefix. After any change in `worlds/`:

    python -m kinemark.data.manifest --write
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from kinemark.data.croissant import CROISSANT, to_croissant
from kinemark.errors import FailureError, KinemarkError, RequestError
from kinemark.worlds import spec
from kinemark.worlds.held_out import load_held_out

REWRITE: Final = "python -m kinemark.data.manifest --write"
#: SPDX identifiers of the licences under which data may be used for training. Non-commercial, no-derivatives and
#: unidentified licences are not among them.
ACCEPTED_LICENCES: Final = frozenset(
    {
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC-BY-3.0",
        "CC-BY-4.0",
        "CC0-1.0",
        "CDLA-Permissive-2.0",
        "MIT",
        "ODC-By-1.0",
        "PDDL-1.0",
    }
)
#: Whom the data shows: nobody, or only people who signed a release that covers training.
ACCEPTED_PEOPLE: Final = frozenset({"none", "released"})


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a generator: its path in the package, its size and its SHA-256 (with LF line ends)."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """One source of training data, and the ground on which it may be used."""

    name: str
    kind: str
    licence: str
    people: str
    consent: str
    generator_sha256: str
    generator_licence: str

    def check(self) -> None:
        """Raise RequestError if this source may not be trained on."""
        if self.licence not in ACCEPTED_LICENCES:
            raise RequestError(
                f"training data {self.name!r} has the licence {self.licence!r}; it takes one of "
                f"{', '.join(sorted(ACCEPTED_LICENCES))}; leave the source out or clear its licence"
            )
        if self.people not in ACCEPTED_PEOPLE or not self.consent.strip():
            raise RequestError(
                f"training data {self.name!r} states people={self.people!r} and consent={self.consent!r}; people must "
                f"be one of {', '.join(sorted(ACCEPTED_PEOPLE))}, with a statement of consent; leave the source out or "
                "record the releases"
            )


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model is trained on. Equal manifests describe equal data."""

    name: str
    version: str
    description: str
    sources: tuple[Source, ...]
    files: tuple[SourceFile, ...]
    #: Numbers of settings, subjects, ... and of distinct scenes that may be drawn for training.
    counts: dict[str, int]

    def check(self) -> None:
        """Raise RequestError if there is no source, or one that may not be trained on."""
        if not self.sources:
            raise RequestError(f"the training data manifest {self.name!r} names no source; name at least one")
        for source in self.sources:
            source.check()


def manifest_path() -> Path:
    """Where the manifest that ships with the package lies."""
    return Path(str(files("kinemark.data").joinpath("spark_manifest.json")))


def generator_files() -> tuple[SourceFile, ...]:
    """The sources of the worlds, code and held-out record, in the order of their names."""
    folder = Path(str(files("kinemark.worlds")))
    paths = sorted(path for path in folder.iterdir() if path.suffix in {".py", ".json"})
    contents = {f"worlds/{path.name}": path.read_bytes().replace(b"\r\n", b"\n") for path in paths}
    return tuple(SourceFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in contents.items())


def generator_hash(sources: tuple[SourceFile, ...]) -> str:
    """One SHA-256 for all: over a line 'hash  path' for each file, as sha256sum prints them."""
    listing = "".join(f"{source.sha256}  {source.path}\n" for source in sources)
    return hashlib.sha256(listing.encode()).hexdigest()


def current_manifest() -> Manifest:
    """Describe the worlds as they are in this installation."""
    sources = generator_files()
    return Manifest(
        name="kinemark-worlds",
        version="1.0.0",
        description=(
            "Short videos of small drawn worlds, with captions that are exactly true. Nothing is stored: clips are "
            "rendered from (scene, seed, time) by the code listed here while a model trains, without end, and the same "
            "scene, seed and time always give the same pixels. Held-out compositions are never rendered for training."
        ),
        sources=(
            Source(
                name="kinemark.worlds",
                kind="procedural",
                licence="CC0-1.0",
                people="none",
                consent=(
                    "Every frame is drawn by code from shapes, colours and random numbers. No person, voice, "
                    "photograph, recording, artwork of others, or output of another model is in it or was used to "
                    "make it, so there is nobody whose consent is needed."
                ),
                generator_sha256=generator_hash(sources),
                generator_licence="Apache-2.0",
            ),
        ),
        files=sources,
        counts=_counts(),
    )


def _counts() -> dict[str, int]:
    held_out = load_held_out()
    one_subject = 0
    for setting in spec.SETTINGS:
        kinds = [kind for kind in spec.kinds_for(setting) if (kind, setting) not in held_out.subject_setting]
        pairs = [(kind, colour) for kind in kinds for colour in spec.COLOURS]
        one_subject += len(set(pairs) - held_out.subject_colour)
    lights = len(spec.TIMES) + len(spec.TIME_CHANGES)
    one_subject *= lights * len(spec.WEATHERS) * len(spec.CAMERAS) * len(spec.LOOKS)
    one_subject *= len(spec.SIZES) * len(spec.SPEEDS) * len(spec.DIRECTIONS)
    return {
        "settings": len(spec.SETTINGS),
        "times": len(spec.TIMES),
        "changes_of_light": len(spec.TIME_CHANGES),
        "weathers": len(spec.WEATHERS),
        "subjects": len(spec.KINDS),
        "colours": len(spec.COLOURS),
        "cameras": len(spec.CAMERAS),
        "looks": len(spec.LOOKS),
        "held_out_subject_colour_pairs": len(held_out.subject_colour),
        "held_out_subject_setting_pairs": len(held_out.subject_setting),
        "one_subject_scenes": one_subject,
        "seeds_per_scene": 2**48,
    }


def from_croissant(record: object) -> Manifest:
    """Read back what `to_croissant` writes; RequestError if a required property is missing or malformed."""
    try:
        if not isinstance(record, dict) or CROISSANT not in record["conformsTo"]:
            raise RequestError(
                f"the training data manifest does not say that it conforms to {CROISSANT}; write it anew"
            )
        return Manifest(
            name=str(record["name"]),
            version=str(record["version"]),
            description=str(record["description"]),
            sources=tuple(Source(**source) for source in record["kinemark:source"]),
            files=tuple(
                SourceFile(str(entry["@id"]), int(entry["contentSize"].removesuffix(" B")), str(entry["sha256"]))
                for entry in record["distribution"]
            ),
            counts={str(name): int(count) for name, count in record["kinemark:counts"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RequestError(
            f"the training data manifest lacks or garbles a property ({error!r}); write it anew with: {REWRITE}"
        ) from error


def read_manifest(path: Path | None = None) -> Manifest:
    """Read a manifest (default: the one that ships); FailureError if there is none or it is not JSON."""
    path = path or manifest_path()
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FailureError(
            f"no readable training data manifest at {path} ({error}); training needs one; write it with: {REWRITE}"
        ) from error
    return from_croissant(record)


def require_manifest(path: Path | None = None) -> Manifest:
    """Return the manifest of the data that is about to be trained on, or refuse.

    Args:
        path: the manifest; the one that ships with the package by default.

    Returns:
        A manifest that fits the worlds' code as installed.

    Raises:
        FailureError: there is no readable manifest, or the worlds have changed since it was written.
        RequestError: a source has no accepted licence or no consent.
    """
    manifest = read_manifest(path)
    manifest.check()
    installed = generator_hash(generator_files())
    for source in manifest.sources:
        if source.generator_sha256 != installed:
            raise FailureError(
                f"the training data manifest describes {source.name} with the hash {source.generator_sha256[:12]}, but "
                f"the installed code has {installed[:12]}; look through the change, then write it anew: {REWRITE}"
            )
    return manifest


def write_manifest(path: Path | None = None) -> Path:
    """Describe the worlds as they are now and write that to `path` (default: where the package keeps it)."""
    path = path or manifest_path()
    text = json.dumps(to_croissant(current_manifest()), indent=2, ensure_ascii=False) + "\n"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return path


def main(arguments: list[str] | None = None) -> int:
    """Check the manifest that ships, or write it anew; the exit code says whether it is current."""
    parser = argparse.ArgumentParser(
        prog="python -m kinemark.data.manifest", description="Check or write the manifest."
    )
    parser.add_argument("--write", action="store_true", help="write it anew from the worlds as they are")
    options = parser.parse_args(arguments)
    try:
        if options.write:
            write_manifest()
        manifest = require_manifest()
    except KinemarkError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{manifest_path()}: {manifest.name} {manifest.version}, current\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
