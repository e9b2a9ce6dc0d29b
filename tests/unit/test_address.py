"""Secrets in addresses are hidden in every form; addresses without secrets stay unchanged."""

import json
import pickle
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import sqlalchemy
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import fs

from orchestrator.address import Address, is_same_place
from orchestrator.config import load_experiment
from orchestrator.errors import ConfigError, UserInputError
from orchestrator.masking import (
    hide,
    masked,
    secrets_advice,
    secrets_in,
    shown,
    shown_values,
    with_secrets,
)

# Neither half occurs in any text of this project or of a library.
CANARY = "QZX7CANARY9KWV"
HALVES = ("QZX7CANARY", "CANARY9KWV")
SCHEMES = ("http", "https", "s3", "gs", "postgresql+psycopg", "mysql", "ftp", "file", "memory")


@st.composite
def secrets(draw: st.DrawFn) -> str:
    """Draw the canary with any characters except blanks between its halves."""
    between = draw(st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), max_size=3))
    return f"{HALVES[0]}{between}{HALVES[1]}"


FORMS = (
    "{scheme}://me:{secret}@host/x",
    "{scheme}://{secret}@host/x",
    "{scheme}://{secret}:@host:5000/x",
    "{scheme}://host/x?password={secret}",
    "{scheme}://host/x?region=eu&token={secret}",
    "{scheme}://host/x?secret_key={secret}&region=eu",
    "{scheme}://host/x?X-Amz-Credential={secret}%2Fs3&X-Amz-Signature={secret}",
    "{scheme}://host/x?region={secret}@y",
    "{scheme}://host/x?endpoint_override=http://me:{secret}@h",
    "{scheme}://host/x?pass%77ord={secret}",
    "{scheme}://host/x#{secret}",
)
PERCENT_ENCODED = st.builds(lambda secret: urllib.parse.quote(secret, safe=""), secrets())


@given(st.sampled_from(SCHEMES), st.sampled_from(FORMS), PERCENT_ENCODED)
def test_no_percent_encoded_secret_is_shown(scheme: str, form: str, secret: str) -> None:
    address = Address(form.format(scheme=scheme, secret=secret))
    assert not has_canary(f"{address} {address!r} {address.shown} {masked(address.reveal())}")
    assert address.has_secret
    assert Address(address.shown).shown == address.shown, "shown twice is shown once"
    assert "host" in address.shown
    assert not has_canary(address.identity)


@given(st.sampled_from(SCHEMES), secrets())
@example("http", f"{HALVES[0]}/{HALVES[1]}")
@example("s3", f"{HALVES[0]}@{HALVES[1]}")
@example("s3", f"{HALVES[0]}@?/#{HALVES[1]}")
def test_no_raw_password_is_shown(scheme: str, secret: str) -> None:
    text = f"{scheme}://me:{secret}@host/x"
    assert not has_canary(Address(text).shown)
    assert not has_canary(str(UserInputError(f"{text} is wrong", text, f"mend {text}")))
    values = {"a": {"b": [text, 1, None]}}
    assert not has_canary(json.dumps(shown_values(values)))
    assert secrets_in(values) == {"a.b[0]": text}
    assert with_secrets(shown_values(values), secrets_in(values)) == values


@given(st.sampled_from(SCHEMES), secrets())
def test_no_text_of_a_library_shows_a_piece_of_a_secret(scheme: str, secret: str) -> None:
    """Whatever piece of the address a library quotes."""
    text = f"{scheme}://me:{secret}@host/x"
    forms = (text, secret, urllib.parse.quote(secret), urllib.parse.unquote(secret), repr(text))
    said = "|".join([*forms, *secret.split("/"), *secret.split("@"), json.dumps(text)])
    assert not has_canary(hide(said, text))


@pytest.mark.parametrize(
    "text",
    [
        *("/a:b@c/d", "relative/x@y", "C:/data", "sqlite:////a@b/c.db?mode=ro", "sqlite:///x.db"),
        *("http://host:5000", "http://host:5000/a@b", "http://[::1]:5000/x", "http://host/?"),
        *("http://host:5000/#/experiments/3?searchFilter=a@b", "models:/name@champion"),
        *("s3://bucket/u@x.com/d?region=eu&scheme=http&endpoint_override=127.0.0.1:9000",),
        *("s3://bucket/x?endpoint_override=http%3A%2F%2Flocalhost%3A9000", "gs://anonymous@public"),
        *("postgresql://host:5432/db?sslmode=require&sslrootcert=/etc/ssl/ca.pem", "s3://b/*.x"),
        "postgresql://host/db?options=-csearch_path%3Dmlflow&connect_timeout=5",
    ],
)
def test_an_address_without_a_secret_stays_as_it_is(text: str) -> None:
    address = Address(text)
    assert (address.shown, address.identity, masked(text)) == (text, text, text)
    assert not address.has_secret
    assert address.without_placeholders() == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no postgresql://me:se:cret@host:5432/db here", "no postgresql://***@host:5432/db here"),
        ("'http://t@h:5000', x", "'http://***@h:5000', x"),
        (
            "http://h:5000: away; http://h:5000/a?b=c.",
            "http://h:5000: away; http://h:5000/a?b=***.",
        ),
        ('{"uri": "http://h:5000","x": 1}', '{"uri": "http://h:5000","x": 1}'),
    ],
)
def test_addresses_are_found_in_texts(text: str, expected: str) -> None:
    assert masked(text) == expected


def test_an_ambiguous_address_shows_only_its_scheme() -> None:
    assert shown("http://me:pass@word/x@host/y") == "http://***"
    assert shown("s3://AK:a/b@bucket/x") == "s3://***"
    assert shown("s3://AK:forgotten/bucket") == "s3://AK:***"


def test_places_compare_equal_whatever_their_secrets() -> None:
    assert is_same_place("http://me:one@host/x", "http://you:two@host/x")
    assert is_same_place("http://TOKEN@host/x?token=a", "http://host/x")
    assert is_same_place("http://***@host/x?token=***", "http://host/x")
    assert not is_same_place("http://me:one@host/x", "http://me:one@other/x")
    assert not is_same_place("s3://a:b@bucket/x?region=eu", "s3://a:b@bucket/x?region=us")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("http://***@host/x", "http://host/x"),
        ("http://me:***@host/x", "http://host/x"),  # by an earlier version
        ("s3://***@b/x?region=eu&token=***&***", "s3://b/x?region=eu"),
        ("s3://b/x?token=***#***", "s3://b/x"),
        ("s3://me:pw@b/x?token=***", "s3://me:pw@b/x"),
    ],
)
def test_placeholders_of_secrets_are_removed_on_reading(written: str, read: str) -> None:
    assert Address(written).without_placeholders() == read


@pytest.mark.parametrize("written", ["s3://***", "http://host:***"])
def test_an_address_whose_place_was_hidden_is_rejected(written: str) -> None:
    with pytest.raises(ValueError, match="give the address again"):
        Address(written).without_placeholders()


def test_user_and_password_are_decoded_on_access() -> None:
    address = Address("s3://AK%41:a%2Fb%40c@bucket/x?region=eu%2Dwest")
    assert (address.user, address.password, address.place) == ("AKA", "a/b@c", "bucket/x")
    assert address.options == {"region": "eu-west"}


def test_where_a_secret_belongs_depends_on_the_scheme() -> None:
    assert "AWS_SECRET_ACCESS_KEY" in secrets_advice("s3://b")
    assert "MLFLOW_TRACKING_PASSWORD" in secrets_advice("https://h")
    assert "PGPASSFILE" in secrets_advice("postgresql+psycopg://h")


# --- texts of real libraries ----------------------------------------------------------------------


RAW = f"me:{HALVES[0]}/{HALVES[1]}@host"


def test_secrets_in_errors_of_real_libraries_are_hidden() -> None:
    problems = []
    for text, read in (
        (f"s3://{RAW}/x", fs.FileSystem.from_uri),
        (f"s3://me:{CANARY}@b/x?secret_key={CANARY}", fs.FileSystem.from_uri),
        (f"http://{RAW}/x", lambda uri: urllib.parse.urlsplit(uri).port),
        (f"http://{RAW}/x", lambda uri: urllib.request.urlopen(uri, timeout=5)),  # noqa: S310 - nobody answers
        (f"nonesuch://{RAW}", sqlalchemy.create_engine),
        (f"postgresql://{CANARY}", lambda uri: sqlalchemy.create_engine(f"{uri}:x@:y")),
    ):
        try:
            read(text)
        except Exception as error:  # noqa: BLE001 - whatever a library raises
            problems.append((f"{type(error).__name__}: {error}", text))
    assert len(problems) >= 4
    assert any(has_canary(said) for said, _ in problems), "libraries do show secrets"
    assert not [said for said, text in problems if has_canary(hide(said, text))]


def test_an_error_that_crosses_a_process_border_pickles_no_secret() -> None:
    error = UserInputError(f"http://me:{CANARY}@h is away", f"s3://{CANARY}@b", "wait")
    assert not has_canary(str(pickle.dumps(error)))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own


def test_an_invalid_override_is_named_without_its_secret(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.touch()
    for override in (
        f"store.url=s3://me:{HALVES[0]} {HALVES[1]}@b",
        f"store.uri=[s3://me:{CANARY}@b",
        f"store=s3://{'x' * 50}{CANARY}@b",
        f"seed=s3://{'x' * 50}{CANARY}@b",
    ):
        with pytest.raises(ConfigError) as refused:
            load_experiment(file, [override])
        assert not has_canary(str(refused.value))


def has_canary(text: str) -> bool:
    """Return whether a text contains the canary or one of its halves."""
    return any(half in text for half in HALVES)
