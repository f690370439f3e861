"""Asks the world outside, and goes nowhere else: not into private networks, nor where it is sent on to.

A name is resolved once, every address of it has to be a public one, and the connection is made to that very address: a
name that answers differently the next time leads nowhere.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from kinemark.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def asked(
    method: str,
    url: str,
    *,
    private: bool,
    patience: float,
    headers: Mapping[str, str],
    content: str | None = None,
) -> Iterator[httpx.Response]:
    """An answer, of which nothing is read yet.

    Args:
        method: of HTTP.
        url: whom to ask.
        private: whether that may be in a private network, and without TLS.
        patience: seconds until somebody has to have answered.
        headers: of the request.
        content: of the request.

    Raises:
        RequestError: the address is one that nobody is asked at.
        httpx.HTTPError: nobody answers.
        OSError: the name has no address.
    """
    where = urlsplit(url)
    address = allowed_address(url, private=private)
    host = f"[{address}]" if ":" in address else address
    pinned = where._replace(netloc=f"{host}:{where.port or (443 if where.scheme == 'https' else 80)}").geturl()
    told = dict(headers) | {"host": where.netloc.rpartition("@")[2]}
    with (
        httpx.Client(timeout=patience, follow_redirects=False, trust_env=False) as client,
        client.stream(
            method, pinned, content=content, headers=told, extensions={"sni_hostname": where.hostname or ""}
        ) as answer,
    ):
        yield answer


def allowed_address(url: str, *, private: bool) -> str:
    """The address of a URL's host that may be connected to.

    Raises:
        RequestError: the URL is none that may be asked, or leads into a private network.
        OSError: the name has no address.
    """
    require_url(url, private=private)
    where = urlsplit(url)
    port = where.port or (443 if where.scheme == "https" else 80)
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(where.hostname, port, type=socket.SOCK_STREAM)]
    inside = [address for address in found if not ipaddress.ip_address(address.partition("%")[0]).is_global]
    if inside and not private:
        raise RequestError(f"{where.hostname} is at {inside[0]}, in a private network; only public addresses are asked")
    return found[0]


def require_url(url: str, *, private: bool) -> None:
    """Make sure that a URL is one that may be asked.

    Raises:
        RequestError: it is not.
    """
    try:
        where = urlsplit(url)
        usable = bool(where.hostname) and not (where.username or where.password) and (where.port or 1) > 0
    except ValueError:
        usable, where = False, urlsplit("")
    if not usable or where.scheme not in ("https", *(["http"] if private else [])):
        raise RequestError(f"url is {url[:200]!r}; give an https:// address, without a name or password in it")
