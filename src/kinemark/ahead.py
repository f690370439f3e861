"""An iterator that is worked off in a thread of its own, one piece ahead.

What makes frames and what judges, marks and encodes them then do not wait for each other.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from queue import Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, Never, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
#: How often the thread looks, while it waits, whether anybody still takes pieces.
_LOOK: Final = 0.1


@contextmanager
def ahead(pieces: Iterator[T]) -> Iterator[Iterator[T]]:
    """Work `pieces` off in a thread, one ahead of whoever takes them; when the context ends, no further one is made.

    What is raised in the making is raised again where the next piece is taken.
    """
    made: Queue[Callable[[], T] | None] = Queue(maxsize=1)
    enough = Event()

    def put(piece: Callable[[], T] | None) -> None:
        while not enough.is_set():
            try:
                made.put(piece, timeout=_LOOK)
            except Full:
                continue
            return

    def work() -> None:
        try:
            for piece in pieces:
                put(partial(_itself, piece))
                if enough.is_set():
                    break
        except BaseException as error:  # noqa: BLE001  it is raised where it is seen
            put(partial(_raised, error))
        else:
            put(None)

    def taken() -> Iterator[T]:
        while (piece := made.get()) is not None:
            yield piece()

    thread = Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        enough.set()
        thread.join()


def _itself(piece: T) -> T:
    return piece


def _raised(error: BaseException) -> Never:
    raise error
