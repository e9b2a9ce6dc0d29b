"""Store the small files by which several processes coordinate.

Coordination needs one guarantee: if several processes create the same file, exactly one succeeds.
`obstore` provides this guarantee for object stores and local disks. The filesystems of pyarrow,
which the stage store uses, do not provide it.
"""

from __future__ import annotations

import configparser
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from orchestrator.address import Address
from orchestrator.data.filesystems import keys_advice
from orchestrator.errors import StorageUnavailableError, UserInputError
from orchestrator.masking import hide, shown


class Storage(Protocol):
    """Storage of files in one folder, addressed by name.

    Each method raises `StorageUnavailableError` if the storage does not answer.
    """

    def create(self, name: str, content: bytes) -> bool:
        """Write a new file and return True; return False, and write nothing, if the file exists."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically, replacing an existing one."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return a file's whole content; None if the file does not exist."""
        ...

    def names(self, prefix: str) -> list[str]:
        """Return the names of the files in one subfolder, sorted."""
        ...

    def age_seconds(self, name: str) -> float | None:
        """Return the age of a file in seconds, by the storage's clock; None if the file does not
        exist.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        ...


class ObjectStorage:
    """Storage on a local disk, or in S3, GCS or Azure."""

    def __init__(self, uri: str) -> None:
        """Open the storage.

        Args:
            uri: An absolute local path, created if missing, or an address as for the stage store.
                The address may have the query options `endpoint_override`, `region` and `scheme`,
                and credentials before an `@`.

        Raises:
            UserInputError: This kind of address is not supported.
            StorageUnavailableError: The folder cannot be created.
        """
        self.uri = uri
        try:
            self._store: ObjectStore = (
                _remote(Address(uri)) if "://" in uri else LocalStore(uri, mkdir=True)
            )
        except OSError as error:
            raise self._unavailable(error) from None
        except (BaseError, ValueError) as error:
            raise UserInputError(
                f"lease.uri = {shown(uri)!r}: {hide(_first_line(error), uri)}",
                next_step="use a local path, s3:// or gs://",
            ) from None

    def create(self, name: str, content: bytes) -> bool:
        """Implement `Storage.create`."""
        with self._reached():
            try:
                obstore.put(self._store, name, content, mode="create")
            except AlreadyExistsError:
                # If the answer to a request is lost, obstore repeats the request. The repeated
                # request then finds the file that the first request created.
                return self._read(name) == content
        return True

    def write(self, name: str, content: bytes) -> None:
        """Implement `Storage.write`."""
        with self._reached():
            obstore.put(self._store, name, content)

    def read(self, name: str) -> bytes | None:
        """Implement `Storage.read`."""
        with self._reached():
            return self._read(name)

    def names(self, prefix: str) -> list[str]:
        """Implement `Storage.names`."""
        with self._reached():
            return sorted(
                found["path"] for batch in obstore.list(self._store, prefix) for found in batch
            )

    def age_seconds(self, name: str) -> float | None:
        """Implement `Storage.age_seconds`."""
        probe = f"clock/{uuid.uuid4().hex}"
        with self._reached():
            written = self._written(name)
            if written is None:
                return None
            obstore.put(self._store, probe, b"")
            try:
                return ((self._written(probe) or datetime.now(UTC)) - written).total_seconds()
            finally:
                obstore.delete(self._store, probe)

    def remove(self, name: str) -> None:
        """Implement `Storage.remove`."""
        with self._reached(), suppress(FileNotFoundError):
            obstore.delete(self._store, name)

    def _read(self, name: str) -> bytes | None:
        try:
            return bytes(obstore.get(self._store, name).bytes())
        except FileNotFoundError:
            return None

    def _written(self, name: str) -> datetime | None:
        try:
            return obstore.head(self._store, name)["last_modified"]
        except FileNotFoundError:
            return None

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from None

    def _unavailable(self, error: Exception) -> StorageUnavailableError:
        said = hide(_first_line(error), self.uri)
        what = f"the journal of the retraining cannot be used ({said})"
        advice = "check lease.uri and store.uri, their rights and free space"
        return StorageUnavailableError(what, shown(self.uri), f"{advice}{keys_advice(self.uri)}")


def _remote(address: Address) -> ObjectStore:
    options = address.options
    config: dict[str, Any] = {}  # options for S3; other stores take no options from the address
    scheme = options.get("scheme", "https")
    if "endpoint_override" in options:
        endpoint = options["endpoint_override"]
        config["endpoint"] = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
    if "region" in options:
        config["region"] = options["region"]
    allow_http = config.get("endpoint", "").startswith("http://")
    if address.scheme == "s3":
        config |= _s3_keys(address)
    bare = f"{address.scheme}://{address.place}"
    return from_url(bare, client_options={"allow_http": allow_http}, **config)


def _s3_keys(address: Address) -> dict[str, str]:
    """Return the S3 credentials in an address, or those of a profile in the AWS credentials file.

    obstore reads neither of these places itself. pyarrow, which the stage store uses, reads both.
    """
    if address.user_info:
        return {"access_key_id": address.user, "secret_access_key": address.password}
    if "AWS_ACCESS_KEY_ID" in os.environ:
        return {}
    path = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
    profiles = configparser.ConfigParser(interpolation=None)
    with suppress(configparser.Error, UnicodeDecodeError, OSError):
        profiles.read(Path(path).expanduser(), encoding="utf-8")
    name = os.environ.get("AWS_PROFILE", "default")
    profile = dict(profiles[name]) if profiles.has_section(name) else {}
    named = {key.removeprefix("aws_"): value for key, value in profile.items()}
    keys = ("access_key_id", "secret_access_key", "session_token")
    return {key: named[key] for key in keys if key in named}


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
