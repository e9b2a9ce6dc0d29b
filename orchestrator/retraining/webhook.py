"""Post the outcome of a tick (one run of `orchestrator retrain`) or of a person's decision to a
webhook; if posting fails, only warn.
"""

from __future__ import annotations

import json
import logging
import os
import time
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException

from orchestrator.config.retraining import WebhookConfig
from orchestrator.masking import shown_values

_ATTEMPTS = 3
_PAUSE_SECONDS = 2.0

logger = logging.getLogger(__name__)


def post_to_webhook(webhook: WebhookConfig, content: Mapping[str, object]) -> None:
    """Post an outcome as JSON if a webhook is configured; secrets in addresses are masked.

    A failure is logged as a warning. The warning omits the webhook's address, because the address
    is a secret.
    """
    address = os.environ.get(
        webhook.url_variable, ""
    ).strip()  # strip the newline at the end of a Secret that was created from a file
    if not address:
        return
    if not address.startswith(("http://", "https://")):
        logger.warning(
            "the webhook in %s is not an http(s) address; nothing was posted", webhook.url_variable
        )
        return
    body = json.dumps(shown_values(content)).encode()
    problem = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        try:
            request = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310 - http or https, checked
            urllib.request.urlopen(request, timeout=webhook.timeout_seconds).close()  # noqa: S310
            return
        except (OSError, ValueError, HTTPException) as error:
            problem = type(error).__name__ + (f" {error.code}" if hasattr(error, "code") else "")
    logger.warning(
        "posting to the webhook in %s failed (%s, %d attempts)",
        webhook.url_variable,
        problem,
        _ATTEMPTS,
    )
