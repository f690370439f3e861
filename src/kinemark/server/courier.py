"""Delivers events to the endpoints of owners, and goes nowhere else: not into private networks, nor where it is sent.

A name is resolved once, every address of it has to be a public one, and the connection is made to that very address: a
name that answers differently the next time leads nowhere.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx

from kinemark.errors import RequestError
from kinemark.server.webhooks import signed_headers

if TYPE_CHECKING:
    from kinemark.server.webhooks import Delivery, Endpoint, Webhooks

#: Seconds that an endpoint has to answer.
PATIENCE: Final = 10.0
#: Seconds between two looks for events that are due.
LOOK: Final = 0.5
_LOG: Final = logging.getLogger(__name__)


def deliver(webhooks: Webhooks, *, private: bool = False) -> bool:
    """Deliver the next event that is due; whether there was one.

    Args:
        webhooks: endpoints and deliveries.
        private: whether it may go into private networks, and without TLS.
    """
    delivery = webhooks.due()
    if delivery is None:
        return False
    webhooks.settle(delivery, arrived=_arrives(delivery, private=private))
    return True


def _arrives(delivery: Delivery, *, private: bool) -> bool:
    try:
        status = send(delivery.endpoint, delivery.id, delivery.body, private=private)
    except (httpx.HTTPError, RequestError, OSError) as error:
        _LOG.warning("%s did not arrive (%s)", delivery.id, type(error).__name__)
        return False
    return 200 <= status < 300


def send(endpoint: Endpoint, id_: str, body: str, *, private: bool) -> int:
    """Send an event, signed now; the status of the answer, whose content is not read.

    Raises:
        RequestError: the address is one that nothing is sent to.
        httpx.HTTPError: nobody answers.
        OSError: the name has no address.
    """
    where = urlsplit(endpoint.url)
    address = allowed_address(endpoint.url, private=private)
    host = f"[{address}]" if ":" in address else address
    url = where._replace(netloc=f"{host}:{where.port or (443 if where.scheme == 'https' else 80)}").geturl()
    headers = signed_headers(id_, body, endpoint.secrets, int(time.time())) | {"host": where.netloc.rpartition("@")[2]}
    with (
        httpx.Client(timeout=PATIENCE, follow_redirects=False, trust_env=False) as client,
        client.stream(
            "POST", url, content=body, headers=headers, extensions={"sni_hostname": where.hostname or ""}
        ) as answer,
    ):
        return answer.status_code


def allowed_address(url: str, *, private: bool) -> str:
    """The address of a URL's host that may be connected to.

    Raises:
        RequestError: the URL is none for webhooks, or leads into a private network.
        OSError: the name has no address.
    """
    require_url(url, private=private)
    where = urlsplit(url)
    port = where.port or (443 if where.scheme == "https" else 80)
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(where.hostname, port, type=socket.SOCK_STREAM)]
    inside = [address for address in found if not ipaddress.ip_address(address.partition("%")[0]).is_global]
    if inside and not private:
        raise RequestError(f"{where.hostname} is at {inside[0]}, in a private network; webhooks go to public addresses")
    return found[0]


def require_url(url: str, *, private: bool) -> None:
    """Make sure that a URL is one for webhooks.

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
