"""A training data manifest as Croissant 1.0, the JSON-LD vocabulary of MLCommons for data sets.

Specification: http://mlcommons.org/croissant/1.0, and http://mlcommons.org/croissant/RAI/1.0 for the `rai:` terms.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from kinemark.worlds.held_out import load_held_out
from kinemark.worlds.spec import ATTRIBUTES

if TYPE_CHECKING:
    from kinemark.data.manifest import Manifest, SourceFile

CROISSANT: Final = "http://mlcommons.org/croissant/1.0"
CROISSANT_RAI: Final = "http://mlcommons.org/croissant/RAI/1.0"
#: Where terms live that Croissant does not have: the sources with their consent, and counts.
KINEMARK_TERMS: Final = "urn:kinemark:terms:"


def to_croissant(manifest: Manifest) -> dict[str, Any]:
    """The manifest as Croissant 1.0 JSON-LD: the generator as files, its vocabulary as embedded record sets."""
    digest = hashlib.sha256(repr(manifest).encode()).digest()
    held_out = load_held_out()
    excluded = sorted(held_out.subject_colour | held_out.subject_setting)
    vocabulary = [(attribute.name, value) for attribute in ATTRIBUTES for value in attribute.values]
    consent = " ".join(source.consent for source in manifest.sources)
    return {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": [CROISSANT, CROISSANT_RAI],
        "name": manifest.name,
        "version": manifest.version,
        "description": manifest.description,
        "license": sorted({f"https://spdx.org/licenses/{source.licence}.html" for source in manifest.sources}),
        # A name for exactly this content (RFC 6920): the data has no page of its own, it comes with the package.
        "url": f"ni:///sha-256;{base64.urlsafe_b64encode(digest).decode().rstrip('=')}",
        "citeAs": "The Kinemark developers, kinemark-worlds, 2026.",
        "creator": {"@type": "sc:Organization", "name": "The Kinemark developers"},
        "datePublished": "2026-11-23",
        "inLanguage": "en",
        "keywords": ["text-to-video", "synthetic", "procedural", "video", "captions"],
        "rai:dataCollection": "Rendered by the code listed under distribution; nothing was collected.",
        "rai:dataCollectionType": "Synthetic",
        "rai:personalSensitiveInformation": f"None. {consent}",
        "rai:dataLimitations": "Flat drawn scenes with a closed English vocabulary; nothing like the real world.",
        "rai:dataUseCases": "Training and evaluating small text-to-video models.",
        "kinemark:source": [asdict(source) for source in manifest.sources],
        "kinemark:counts": manifest.counts,
        "distribution": [_file_object(source) for source in manifest.files],
        "recordSet": [
            _record_set("vocabulary", "Every attribute of a scene and its values.", ("attribute", "value"), vocabulary),
            _record_set(
                "held_out",
                "Compositions that are never rendered for training: a subject with a colour or in a setting.",
                ("subject", "colour_or_setting"),
                excluded,
            ),
        ],
    }


def _context() -> dict[str, Any]:
    """The JSON-LD context that the specification recommends (appendix 1 and its example data sets), and our prefix."""
    terms = (
        "citeAs column equivalentProperty extract field fileObject fileProperty fileSet format includes isLiveDataset "
        "jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate separator source "
        "subField transform"
    )
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "dct": "http://purl.org/dc/terms/",
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "kinemark": KINEMARK_TERMS,
        "kinemark:counts": {"@id": f"{KINEMARK_TERMS}counts", "@type": "@json"},
        "kinemark:source": {"@id": f"{KINEMARK_TERMS}source", "@type": "@json"},
        "rai": "http://mlcommons.org/croissant/RAI/",
        "sc": "https://schema.org/",
        **{term: f"cr:{term}" for term in terms.split()},
    }


def _file_object(source: SourceFile) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": source.path,
        "name": source.path,
        "contentUrl": f"../{source.path}",
        "contentSize": f"{source.size} B",
        "encodingFormat": "text/x-python" if source.path.endswith(".py") else "application/json",
        "sha256": source.sha256,
    }


def _record_set(name: str, description: str, columns: tuple[str, str], rows: list[tuple[str, str]]) -> dict[str, Any]:
    ids = [f"{name}/{column}" for column in columns]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "key": [{"@id": identifier} for identifier in ids],
        "field": [
            {"@type": "cr:Field", "@id": identifier, "name": column, "dataType": "sc:Text"}
            for identifier, column in zip(ids, columns, strict=True)
        ],
        "data": [dict(zip(ids, row, strict=True)) for row in rows],
    }
