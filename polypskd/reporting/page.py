"""A page of HTML from a template, that of a report first."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from polypskd.reporting.cells import DASH
from polypskd.reporting.content import Content, list_pictures, list_tables


def render_html(content: Content) -> str:
    """Render a report as one page that needs nothing but itself; every text in it is escaped.

    Args:
        content: from `collect_report`.
    """
    return fill_page(
        "report.html.j2",
        dash=DASH,
        banner=content.banner,
        content=content,
        table_number={one.key: i + 1 for i, one in enumerate(list_tables(content))},
        figure_number={one.key: i + 1 for i, one in enumerate(list_pictures(content))},
    )


def fill_page(template: str, **values: Any) -> str:
    """Fill a template; every value is escaped, and a value that is missing is an error.

    The template may use `script`, the text of page.js, and the filter `digest`, by which a
    Content-Security-Policy lets an inline script or style be used and no other.

    Args:
        template: its name under templates/.
        values: by the names that it uses.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    loader = PackageLoader("polypskd.reporting")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    script = loader.get_source(environment, "page.js")[0]
    environment.filters["digest"] = hash_source
    return environment.get_template(template).render(
        script=Markup(script),  # noqa: S704 - our own file, no value of a user
        **values,
    )


def hash_source(text: str) -> str:
    """Hash an inline script or style as a Content-Security-Policy names it.

    >>> hash_source("alert(1)")
    'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='
    """
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()
