"""Render HTML pages from templates, and write pages to files."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from orchestrator.errors import StorageUnavailableError
from orchestrator.figures import palette
from orchestrator.reporting import quantities
from orchestrator.reporting.scripts import NO_SCRIPTS, PageScripts
from orchestrator.whole_files import write_whole


def render(template: str, scripts: PageScripts = NO_SCRIPTS, **values: object) -> str:
    """Return a complete page as HTML; all values from users are escaped.

    Args:
        template: A file in `templates/`.
        scripts: The scripts of the page. The page's content security policy blocks all other
            scripts.
        **values: Values of the template's variables.
    """
    page = _environment().get_template(template)
    return page.render(values, scripts=scripts, now=datetime.now(UTC))


def write_page(path: Path, html: str) -> None:
    """Write an HTML page to a file atomically.

    Raises:
        StorageUnavailableError: The file cannot be written.
    """
    write_text(path, html, "report")


def write_text(path: Path, text: str, what: str) -> None:
    """Write a text file atomically: a reader sees the whole file or no file.

    Args:
        path: The file; its folder is created if missing.
        text: Content of the file.
        what: Name of the file's kind, such as `report`, for error messages.

    Raises:
        StorageUnavailableError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        reason = f"the {what} cannot be written ({error.strerror or error})"
        raise StorageUnavailableError(reason, str(path), "choose another --output") from None


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
        quantities.objective_text,
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
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.globals |= {
        "colours": palette.COLOURS,
        "version": metadata.version("continual-orchestrator"),
        "nothing": quantities.NOTHING,
    }
    return environment
