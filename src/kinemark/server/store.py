"""Files by their digest, in a folder or a bucket: what is stored twice is there once, and nothing is ever changed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, from_url

from kinemark.errors import FailureError, RequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

CHUNK: Final = 1 << 20


class MissingError(FailureError):
    """A file is not there."""


class StorageError(FailureError):
    """The storage does not answer, or takes nothing more: what was to be done may be tried again."""


class Store:
    """A folder or a bucket of files.

    Raises (every method):
        StorageError: it does not answer, or takes nothing more.
    """

    def __init__(self, where: Any, name: str) -> None:  # noqa: ANN401  obstore's stores have no common type
        self._where, self.name = where, name

    def put(self, path: Path) -> tuple[str, int]:
        """Keep a file; its digest and size."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._try(lambda: obstore.put(self._where, _key(digest), path))
        return digest, path.stat().st_size

    def fetch(self, digest: str, path: Path) -> None:
        """Write a file that is kept to a path.

        Raises:
            MissingError: it is not kept.
            FailureError: it is not what it was.
        """
        seen = hashlib.sha256()
        with path.open("xb") as file:
            for piece in self._try(lambda: obstore.get(self._where, _key(digest))):
                seen.update(piece)
                file.write(piece)
        if seen.hexdigest() != digest:
            path.unlink()
            raise FailureError(f"the file {digest[:16]} in {self.name} is not what was stored; restore it from a copy")

    async def stream(self, digest: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes of a file from `start` to before `stop`, piece by piece."""
        for begin in range(start, stop, CHUNK):
            end = min(begin + CHUNK, stop)
            yield bytes(await obstore.get_range_async(self._where, _key(digest), start=begin, end=end))

    def has(self, digest: str) -> bool:
        """Whether a file is kept."""
        try:
            self._try(lambda: obstore.head(self._where, _key(digest)))
        except MissingError:
            return False
        return True

    def delete(self, digest: str) -> None:
        """Let go of a file; one that is not there is no error."""
        if self.has(digest):
            self._try(lambda: obstore.delete(self._where, _key(digest)))

    def drop(self, digests: Iterable[str]) -> None:
        """Let go of files."""
        for digest in digests:
            self.delete(digest)

    def _try(self, call: Any) -> Any:  # noqa: ANN401
        try:
            return call()
        except (NotFoundError, FileNotFoundError) as error:
            raise MissingError(f"the storage {self.name} has no such file; restore it from a copy") from error
        except (BaseError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise StorageError(
                f"the storage {self.name} fails ({reason}); see that it is there and has room"
            ) from error


def open_store(where: str | Path) -> Store:
    """The store at an address.

    Args:
        where: a folder, or `s3://bucket/prefix`, whose keys and endpoint are taken from the usual variables of AWS.

    Raises:
        RequestError: the address is none.
        FailureError: the folder cannot be made.
    """
    name = str(where)
    if "://" in name and not name.startswith("file://"):
        try:
            return Store(from_url(name), name)
        except (BaseError, ValueError) as error:
            raise RequestError(f"the storage is {name!r}; give a folder, or s3://bucket/prefix ({error})") from error
    folder = Path(name.removeprefix("file://")).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FailureError(f"the folder {folder} for files cannot be made ({error}); choose another") from error
    return Store(LocalStore(folder), name)


def _key(digest: str) -> str:
    return f"{digest[:2]}/{digest}"
