"""Something that is done again and again beside everything else, until it is no longer wanted."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import SQLAlchemyError

from kinemark.errors import KinemarkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOG: Final = logging.getLogger(__name__)


def repeat(step: Callable[[], bool], pause: float, stop: threading.Event) -> None:
    """Take a step until `stop` is set; after one that found nothing to do, or failed, pause for so many seconds.

    A database or a storage that does not answer is waited for; and what fails in a new way is told in the log, and does
    not end what has to go on.
    """
    while not stop.is_set():
        try:
            again = step()
        except (SQLAlchemyError, KinemarkError):
            _LOG.warning("%s failed; it is tried again", getattr(step, "__name__", step), exc_info=True)
            again = False
        except Exception:  # noqa: BLE001  a thread that ended without a word would be missed by nobody
            _LOG.exception("%s failed unexpectedly", getattr(step, "__name__", step))
            again = False
        if not again:
            stop.wait(pause)


@contextmanager
def repeating(step: Callable[[], bool], pause: float) -> Iterator[None]:
    """Do so in a thread of its own for as long as the context lasts."""
    stop = threading.Event()
    thread = threading.Thread(target=repeat, args=(step, pause, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
