"""A page of HTML from a template."""

from __future__ import annotations

from typing import Any


def fill_page(template: str, **values: Any) -> str:
    """Fill a template; every value is escaped, and a value that is missing is an error.

    Args:
        template: its name under templates/.
        values: by the names that it uses.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("polypskd.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**values)
