"""Kinemark: text to video that can prove what it made.

    import kinemark
    kinemark.generate("a bird flies over the snow at dawn").save("bird.mp4")

Importing this imports nothing heavy; what is named here is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kinemark.clips import Clip
    from kinemark.errors import FailureError, KinemarkError, RefusedError, RequestError
    from kinemark.generate import generate
    from kinemark.provenance.detect import verify
    from kinemark.timeline import Timeline

__all__ = [
    "Clip",
    "FailureError",
    "KinemarkError",
    "RefusedError",
    "RequestError",
    "Timeline",
    "generate",
    "verify",
]
__version__ = "0.1.0"

_HOMES: Final = {
    "Clip": "kinemark.clips",
    "FailureError": "kinemark.errors",
    "KinemarkError": "kinemark.errors",
    "RefusedError": "kinemark.errors",
    "RequestError": "kinemark.errors",
    "Timeline": "kinemark.timeline",
    "generate": "kinemark.generate",
    "verify": "kinemark.provenance.detect",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  (whatever the name stands for)
    if name not in _HOMES:
        raise AttributeError(f"module 'kinemark' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
