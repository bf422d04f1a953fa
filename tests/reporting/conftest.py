"""What several test files of the report share."""

from collections.abc import Iterator

import pytest

from polypskd.reporting import figures


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """Make figures, but no SVG of them, which takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "encode", lambda figure: "data:image/svg+xml;base64,")
        yield
