"""Templates to pages, pages to files."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from orchestrator.errors import StorageUnavailableError
from orchestrator.figures import palette
from orchestrator.reporting import quantities
from orchestrator.whole_files import write_whole


def render(template: str, **values: object) -> str:
    """A whole page as HTML; everything that users have named is escaped.

    Args:
        template: A file in `templates/`.
        **values: What it shows.
    """
    return _environment().get_template(template).render(values, now=datetime.now(UTC))


def write_page(path: Path, html: str) -> None:
    """Writes a page in one piece: a reader sees all of it or none.

    Raises:
        StorageUnavailableError: It cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, html)
    except OSError as error:
        what = f"the report cannot be written ({error.strerror or error})"
        raise StorageUnavailableError(what, str(path), "choose another --output") from None


def _environment() -> Environment:
    loader = PackageLoader("orchestrator.reporting")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (
        quantities.percent,
        quantities.percent_number,
        quantities.signed_points,
        quantities.duration,
        quantities.count,
        quantities.short_count,
        quantities.breakable,
        quantities.moment,
        quantities.day,
        quantities.short_numbers,
    )
    environment.filters |= {function.__name__: function for function in filters}
    environment.globals |= {
        "colours": palette.COLOURS,
        "version": metadata.version("continual-orchestrator"),
        "nothing": quantities.NOTHING,
    }
    return environment
