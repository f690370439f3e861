"""Delivers events to the endpoints of owners (`outside` says where those may be)."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

import httpx

from kinemark.errors import RequestError
from kinemark.server.outside import asked
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
    headers = signed_headers(id_, body, endpoint.secrets, int(time.time()))
    with asked("POST", endpoint.url, private=private, patience=PATIENCE, headers=headers, content=body) as answer:
        return answer.status_code
