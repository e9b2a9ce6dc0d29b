"""Mask the secrets of addresses in everything that is shown, logged, raised or written."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

from orchestrator.address import HIDDEN, SCHEME, Address

_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://\S+")
_AFTER_AN_ADDRESS = "'\"`)]}>,.;:!…"
_MIN_CHARACTERS = 4  # a shorter secret is masked only as a whole word


def masked(text: str) -> str:
    """Return a text in which the secrets of all addresses are masked; an address ends at
    whitespace.
    """
    return _IN_TEXT.sub(_shown_match, text) if "://" in text else text


def shown(value: str) -> str:
    """Return an address, or a text that may contain addresses, with secrets masked."""
    return Address(value).shown if SCHEME.fullmatch(value) else masked(value)


def shown_values(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value with the secrets in all of its texts masked."""
    match value:
        case str():
            return shown(value)
        case dict():
            return {key: shown_values(item) for key, item in value.items()}
        case list() | tuple():
            return [shown_values(item) for item in value]
        case _:
            return value


def hide(text: object, *addresses: str) -> str:
    """Return a text, such as a library's error about some addresses, with the secrets of these
    addresses masked.

    Libraries quote, decode and split addresses, so every piece of a secret is masked.
    """
    said = str(text)
    for address in map(Address, addresses):
        if address.has_secret:
            for form in _forms(address.reveal()):
                said = said.replace(form, address.shown)
            for secret in sorted(_pieces(address), key=len, reverse=True):
                said = _without(said, secret)
    return masked(said)


def secrets_in(tree: object, path: str = "") -> dict[str, str]:
    """Return the texts with secrets in a JSON value, by the dotted path of each text."""
    match tree:
        case str():
            return {path: tree} if shown(tree) != tree else {}
        case dict():
            pairs = [(f"{path}.{key}" if path else str(key), value) for key, value in tree.items()]
        case list() | tuple():
            pairs = [(f"{path}[{number}]", value) for number, value in enumerate(tree)]
        case _:
            return {}
    return {where: text for key, value in pairs for where, text in secrets_in(value, key).items()}


def with_secrets(tree: Any, secrets: Mapping[str, str], path: str = "") -> Any:  # noqa: ANN401 - any JSON value
    """Restore the secrets in a JSON value that `shown_values` masked. A text that has changed after
    the masking stays as it is.

    Args:
        tree: The masked value.
        secrets: Result of `secrets_in` for the original value.
        path: Dotted path of the value within the original value.
    """
    match tree:
        case str():
            secret = secrets.get(path, "")
            return secret if secret and shown(secret) == tree else tree
        case dict():
            return {
                key: with_secrets(value, secrets, f"{path}.{key}" if path else str(key))
                for key, value in tree.items()
            }
        case list():
            return [
                with_secrets(value, secrets, f"{path}[{number}]")
                for number, value in enumerate(tree)
            ]
        case _:
            return tree


def secrets_advice(address: str) -> str:
    """Return advice on where to put the secret of an address. The advice depends on the scheme of
    the address.
    """
    match Address(address).scheme.partition("+")[0]:
        case "s3":
            return "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws/credentials"
        case "gs" | "gcs":
            return "GOOGLE_APPLICATION_CREDENTIALS"
        case "http" | "https":
            return "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        case "postgresql" | "postgres":
            return "PGUSER and PGPASSWORD, or a file that PGPASSFILE names"
        case _:
            return "an environment variable that the driver of this database reads"


def _shown_match(found: re.Match[str]) -> str:
    text = found[0].rstrip(_AFTER_AN_ADDRESS)
    return Address(text).shown + found[0][len(text) :]


def _pieces(address: Address) -> set[str]:
    """Return all secrets of an address, whole and in pieces, as written and decoded."""
    whole = {form for secret in address.secrets() for form in _forms(secret)}
    pieces = {
        piece
        for form in whole
        for ends in (r"[/?#@:&=\s]+", r"[^\w.~\-*]+")
        for piece in re.split(ends, form)
    }
    return {text for text in whole | pieces if len(text) > 1 and text != HIDDEN}


def _forms(text: str) -> Iterator[str]:
    """Yield a text as written, and in the decoded, escaped and percent-encoded forms in which a
    library's message may contain the text.
    """
    for form in dict.fromkeys((text, unquote(text), unquote_plus(text))):
        yield from (form, repr(form)[1:-1], json.dumps(form)[1:-1], html.escape(form))
        yield from (quote(form), quote(form, safe=""))


def _without(text: str, secret: str) -> str:
    if len(secret) >= _MIN_CHARACTERS:
        return text.replace(secret, HIDDEN)
    return re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
