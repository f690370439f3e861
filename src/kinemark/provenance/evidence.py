"""A report on one file that can be kept and checked: one offline HTML page, signed by the installation that looked.

The page carries the findings twice: for people, and as JSON. One signature (ECDSA P-256, by the key that also signs
files) is over both, with the signer's certificates beside it; `check_report` checks it, so an edit of either is seen.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import html
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from kinemark import __version__
from kinemark.errors import RequestError
from kinemark.provenance.findings import FINGERPRINT_HINT
from kinemark.provenance.marks.model_trace import LIMIT as TRACE_LIMIT
from kinemark.provenance.marks.watermark import PRESENCE_LIMIT, SEARCH_WORDS
from kinemark.provenance.other_makers import UNREADABLE
from kinemark.provenance.records.ledger import canonical
from kinemark.provenance.signing import certificates

if TYPE_CHECKING:
    from pathlib import Path

    from kinemark.provenance.detect import Verification
    from kinemark.provenance.signing.keys import Keys

_OPEN: Final = '<script type="application/json" id="evidence">'
_CLOSE: Final = "</script>"
MAX_REPORT: Final = 4 << 20
"""Bytes of the largest report that is read."""

NOT_TESTED: Final = (
    UNREADABLE,
    "Sound was not examined.",
    "Whether what is shown is true was not examined: a genuine recording can mislead, a made one can be honest.",
)
ERROR_RATES: Final = {
    "credentials": "A signature that fits cannot be made without the key; removing it is easy.",
    "watermark": "An unmarked clip passes for having an id once in 2^34 words that are read; "
    f"a search reads up to {SEARCH_WORDS}.",
    "presence": f"An unmarked clip shows as much with a chance of {PRESENCE_LIMIT:g} a stage; anybody can add it.",
    "fingerprint": f"Likeness up to {FINGERPRINT_HINT} of 256 bits is shown; clips of the same prompt can be as alike.",
    "trace": f"A clip of other origin shows as much with a chance of {TRACE_LIMIT:g}; anybody can add it.",
}

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}"
    "h1{font-size:1.4rem}h2{font-size:1.05rem;margin:1.6rem 0 .3rem}table{border-collapse:collapse;width:100%}"
    "td,th{border:1px solid #ccc;padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "th{width:11rem;background:#f4f4f4;font-weight:600}.answer{font-size:1.1rem;padding:.8rem;background:#f4f4f4}"
    "code{overflow-wrap:anywhere}small{color:#555}"
)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a report says of itself: whether its signature fits, who signed it (SHA-256 of the root), its content."""

    intact: bool
    signer: str
    content: dict[str, Any]


def report(verification: Verification, keys: Keys, now: dt.datetime | None = None) -> str:
    """The page about one verification, signed with this installation's key."""
    path = verification.path
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    content = {
        "file": {"name": path.name, "bytes": path.stat().st_size, "sha256": digest},
        "tool": f"kinemark {__version__}",
        "time": (now or dt.datetime.now(dt.UTC)).isoformat(timespec="seconds"),
        "question": "Did Kinemark make this?",
        "answer": verification.to_dict(),
        "error_rates": ERROR_RATES,
        "not_tested": list(NOT_TESTED),
        "again": f"kinemark verify {path.name}",
    }
    content = json.loads(canonical(content))
    shown = _shown(content)
    # What a reader sees is signed with the data, so that a later version, which words it differently, can check it too.
    signature = keys.signer_key.sign((shown + canonical(content)).encode(), ec.ECDSA(hashes.SHA256()))
    return _page(shown, content, {"signature": base64.b64encode(signature).decode(), "certificates": keys.chain_pem})


def check_report(path: Path) -> Checked:
    """Read a report back and check that it is as it was signed, whichever version of Kinemark wrote it.

    Raises:
        RequestError: the file is not such a report.
    """
    if path.stat().st_size > MAX_REPORT:
        raise RequestError(f"{path} has {path.stat().st_size} bytes; a report has at most {MAX_REPORT}.")
    page = path.read_text("utf-8", "replace")
    start = page.find(_OPEN)
    stop = page.find(_CLOSE, start)
    try:
        sealed = json.loads(page[start + len(_OPEN) : stop].replace("\\u003c", "<")) if start >= 0 else {}
        content, seal = sealed["content"], sealed["seal"]
        signer, root = x509.load_pem_x509_certificates(seal["certificates"].encode())
        signature = base64.b64decode(seal["signature"], validate=True)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(
            f"{path} is not a report that kinemark verify --report made, or it is damaged ({type(error).__name__})."
        ) from error
    shown = page[:start]
    return Checked(
        intact=_fits(signer, root, signature, shown + canonical(content)) and page == _page(shown, content, seal),
        signer=certificates.digest(root),
        content=content,
    )


def _fits(signer: x509.Certificate, root: x509.Certificate, signature: bytes, text: str) -> bool:
    key = signer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        signer.verify_directly_issued_by(root)
        key.verify(signature, text.encode(), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _page(shown: str, content: dict[str, Any], seal: dict[str, str]) -> str:
    # A closing tag inside a string would end the element early.
    data = canonical({"content": content, "seal": seal}).replace("<", "\\u003c")
    return f"{shown}{_OPEN}{data}{_CLOSE}\n</body></html>\n"


def _shown(content: dict[str, Any]) -> str:
    answer, file = content["answer"], content["file"]
    rows = {
        "File": file["name"],
        "SHA-256": file["sha256"],
        "Bytes": f"{file['bytes']:,}",
        "Looked at": content["time"],
        "With": content["tool"],
        "Again": content["again"],
    }
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>Evidence: {_text(file['name'])}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{_text(content['question'])}</h1>",
        f'<p class="answer">{_text(answer["summary"])}</p>',
        _table(rows),
        *(_section(finding, content["error_rates"]) for finding in answer["findings"]),
        "<h2>Not tested</h2><ul>",
        *(f"<li>{_text(line)}</li>" for line in content["not_tested"]),
        "</ul><h2>Who says so</h2>",
        "<p>The installation that made this page signed its content: <code>kinemark verify</code> checks it.</p>",
    ]
    return "\n".join([*parts, ""])


def _section(finding: dict[str, Any], error_rates: dict[str, str]) -> str:
    detail = {name: value for name, value in finding["detail"].items() if name != "says"}
    rows = {name.replace("_", " "): value for name, value in detail.items() if value not in (None, [], "")}
    rate = error_rates.get(finding["signal"])
    head = f"<h2>{_text(finding['signal'])}: {_text(finding['verdict'])}</h2>"
    return (
        f"{head}<p>{_text(finding['detail'].get('says', ''))}</p>"
        + (f"<p><small>{_text(rate)}</small></p>" if rate else "")
        + (_table(rows) if rows else "")
    )


def _table(rows: dict[str, Any]) -> str:
    cells = (f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in rows.items())
    return f"<table>{''.join(cells)}</table>"


def _text(value: object) -> str:
    return html.escape(_words(value))


def _words(value: object) -> str:
    """A value as a reader wants it; the exact one is in the page's data."""
    match value:
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case [float(start), float(stop), *rest]:
            return ", ".join([f"{start:.1f}-{stop:.1f} s", *map(_words, rest)])
        case list():
            return "; ".join(map(_words, value))
    return json.dumps(value)
