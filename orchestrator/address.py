"""Parse addresses, and show them without their secrets.

Three parts of an address count as secrets, and are masked as `***`:

- the user information, such as `user:password@` or `TOKEN@`;
- every query item whose key is not on a list of harmless keys, such as `password=SECRET`;
- a fragment, unless it names a page of a web application, such as `#/experiments/1`.

If the end of the user information is ambiguous, as in `http://me:a@b/c@d`, only the scheme is
shown.

```
s3://KEY:SECRET@bucket/folder?region=eu&token=T    as it was written
s3://***@bucket/folder?region=eu&token=***         shown
s3://bucket/folder?region=eu                       identity: equal under every password
```
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from urllib.parse import parse_qsl, unquote, unquote_plus

HIDDEN = "***"
SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://(?P<rest>.*)", re.DOTALL)

_DATABASE_SCHEMES = ("postgresql", "postgres", "mysql", "mariadb", "mssql")
_HARMLESS_KEYS = frozenset(
    {
        # query options of object storage, which pyarrow reads
        *("region", "scheme", "endpoint_override", "tls_ca_file_path", "smart_defaults"),
        *("allow_bucket_creation", "allow_bucket_deletion", "allow_delayed_open"),
        *("check_directory_existence_before_creation", "force_virtual_addressing"),
        *("retry_limit_seconds", "project_id"),
        # query options of SQLite database files
        *("mode", "cache", "immutable", "nolock", "vfs", "uri", "timeout", "detect_types"),
        *("check_same_thread", "isolation_level"),
        # query options of database servers: hosts, modes and file paths
        *("host", "port", "connect_timeout", "application_name", "options", "charset"),
        *("target_session_attrs", "client_encoding", "read_default_file", "passfile", "driver"),
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "ssl_ca", "ssl_cert"),
        *("ssl_key", "encrypt", "trustservercertificate"),
    }
)
_HARMLESS_VALUE = re.compile(r"[\w.:/,=+\- \[\]()]*")
_PLAIN_KEY = re.compile(r"[A-Za-z][\w.\-]{0,39}")
# Match a port, and any text after the port if this text starts with a character such as `"` that
# cannot occur in an address.
_PORT = re.compile(r"\d{0,5}([^\w@:/?#%+~.\-].*)?", re.DOTALL)


class Address:
    """Path, or address such as `s3://bucket/folder`; `str()` returns it with secrets masked.

    Args:
        text: The address as written.

    Attributes:
        scheme: The scheme in lower case; empty for a path.
        user_info: User information before the `@`, percent-encoded; empty without an `@`.
        place: Part after the user information: host and path, or bucket and folder.
        query: Part after the `?`, percent-encoded.
        is_unclear: Whether the end of the user information is ambiguous. A raw `/`, `?`, `#` or `@`
            in a password can cause this, because libraries parse such a password differently.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        found = SCHEME.fullmatch(text)
        self._scheme, self._rest = (found["scheme"], found["rest"]) if found else ("", text)
        self.scheme = self._scheme.lower()
        self.user_info, self._at, place, self.is_unclear = (
            _user_info(self.scheme, self._rest) if found else ("", "", text, False)
        )
        place, self._hash, self._fragment = place.partition("#") if found else (text, "", "")
        self.place, self._mark, self.query = place.partition("?") if found else (text, "", "")

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    def reveal(self) -> str:
        """Return the address as written, secrets included; use the result only to open the
        address.
        """
        return self._text

    @cached_property
    def shown(self) -> str:
        """Return the address with each secret masked as `***`, or unchanged if it has no secret."""
        if not self.scheme:
            return self._text
        if self.is_unclear:
            host = "" if "@" in self._rest else f"{self._rest.partition(':')[0]}:"
            return f"{self._scheme}://{host}{HIDDEN}"
        user = HIDDEN if _is_secret_user(self.user_info) else self.user_info
        items = "".join(map(_shown_item, _items(self.query)))
        fragment = HIDDEN if _is_secret_fragment(self._fragment) else self._fragment
        place = f"{self.place}{self._mark}{items}{self._hash}{fragment}"
        return f"{self._scheme}://{user}{self._at}{place}"

    @property
    def has_secret(self) -> bool:
        """Return whether the address contains a secret, which `shown` masks."""
        return self.shown != self._text

    @cached_property
    def identity(self) -> str:
        """Return the address without its secrets. Addresses of the same place have equal
        identities, even if their passwords differ.

        Do not display the identity: the identity of an ambiguous address may contain a part of the
        secret.
        """
        return self._without(lambda part, shown_part: part != shown_part or _is_hidden(part))

    def without_placeholders(self) -> str:
        """Return the address without `***` placeholders. A library that opens the result reads the
        secret from environment variables instead.

        Raises:
            ValueError: A placeholder also replaces the host or bucket, as in `http://***`.
        """
        if self.scheme and HIDDEN in re.split(r"[/?#]", self.place, maxsplit=1)[0]:
            msg = (
                f"{self} was stored with its secret masked, which also masks its place; give the"
                " address again, with its secret in the environment"
            )
            raise ValueError(msg)
        return self._without(lambda part, _: _is_hidden(part))

    @property
    def user(self) -> str:
        """Return the user name, decoded; empty if there is none."""
        return unquote(self.user_info.partition(":")[0])

    @property
    def password(self) -> str:
        """Return the password, decoded; empty if there is none."""
        return unquote(self.user_info.partition(":")[2])

    @property
    def options(self) -> dict[str, str]:
        """Return the decoded query items; for a repeated key, the value of the last item."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def secrets(self) -> list[str]:
        """Return the parts that `shown` masks, as written."""
        if self.is_unclear:
            return [self._rest]
        user = (
            [self.user_info, self.user_info.partition(":")[2]]
            if _is_secret_user(self.user_info)
            else []
        )
        items = [item for item in _items(self.query) if _shown_item(item) != item]
        values = [item.partition("=")[2] or item for item in items]
        fragment = [self._fragment] if _is_secret_fragment(self._fragment) else []
        return [text for text in (*user, *values, *fragment) if text]

    def _without(self, leaves_out: Callable[[str, str], bool]) -> str:
        """Return the address without the parts for which `leaves_out(part, masked part)` is
        true.
        """
        if not self.scheme:
            return self._text
        user_shown = HIDDEN if _is_secret_user(self.user_info) else self.user_info
        keeps_user = not leaves_out(self.user_info, user_shown)
        begin = f"{self.user_info}{self._at}" if keeps_user else ""
        items = _items(self.query)[::2]
        kept = [item for item in items if not leaves_out(item, _shown_item(item))]
        query = f"{self._mark}{self.query}"
        if len(kept) < len(items):
            query = "?" + "&".join(kept) if any(kept) else ""
        fragment_shown = HIDDEN if _is_secret_fragment(self._fragment) else self._fragment
        end = "" if leaves_out(self._fragment, fragment_shown) else f"{self._hash}{self._fragment}"
        return f"{self._scheme}://{begin}{self.place}{query}{end}"


def is_same_place(one: str, other: str) -> bool:
    """Return whether two addresses are equal apart from their secrets."""
    return Address(one).identity == Address(other).identity


def _user_info(scheme: str, rest: str) -> tuple[str, str, str, bool]:
    """Split the user information from `rest`, the part of an address after `scheme://`.

    Return the user information, the `@`, the remaining text, and whether the split is ambiguous.
    """
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, _ = authority.rpartition("@")
    tail = rest[len(authority) :]
    if at:
        return user, at, rest[len(user) + 1 :], "@" in tail
    if scheme.partition("+")[0] in _DATABASE_SCHEMES and ":" in authority and rest.count("@") == 1:
        # As SQLAlchemy does, read all text before the only `@` as user information.
        user, at, place = rest.partition("@")
        return user, at, place, False
    _, colon, port = re.sub(r"^\[[^\]]*\]", "", authority).partition(":")
    if not colon:
        return "", "", rest, False
    is_page = scheme in ("http", "https") and tail.startswith("/")
    is_port = _PORT.fullmatch(port) is not None
    return "", "", rest, not is_port or ("@" in tail and not is_page)


def _is_secret_user(user: str) -> bool:
    # pyarrow reads public Google buckets as the user `anonymous`; this name is not a secret.
    return user not in ("", "anonymous", HIDDEN)


def _is_secret_fragment(fragment: str) -> bool:
    """Return whether a fragment may be a secret. The name of a page, such as `/experiments/1`, is
    not a secret.
    """
    return fragment not in ("", HIDDEN) and not fragment.startswith("/")


def _is_hidden(part: str) -> bool:
    # Stored addresses may end in `user:***`: an earlier version masked only the password.
    return part == HIDDEN or part.endswith((f"={HIDDEN}", f":{HIDDEN}"))


def _items(query: str) -> list[str]:
    """Split a query into its items and the separators between them."""
    return re.split("([&;])", query)


def _shown_item(item: str) -> str:
    key, equals, value = item.partition("=")
    if item in ("", "&", ";", HIDDEN) or (equals and not value):
        return item
    if unquote_plus(key).lower() in _HARMLESS_KEYS and _is_harmless(unquote_plus(value)):
        return item
    return f"{key}={HIDDEN}" if equals and _PLAIN_KEY.fullmatch(key) else HIDDEN


def _is_harmless(value: str) -> bool:
    """Return whether the value of a query item with a harmless key contains no secret. A value that
    is itself an address can contain a secret.
    """
    address = Address(value if "://" in value else f"x://{value}")
    return _HARMLESS_VALUE.fullmatch(value) is not None and not address.has_secret
