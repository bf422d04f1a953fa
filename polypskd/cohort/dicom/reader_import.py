"""The one import of pydicom, before threads use it."""

from __future__ import annotations

from threading import Lock

ONE = Lock()


def import_pydicom() -> None:
    """Import what is used of pydicom, by one thread while all others wait.

    Its modules import one another in circles: threads that are the first to import it at the same
    time meet modules that are half made, and then whole files would be told as damaged.
    """
    with ONE:
        import pydicom.encaps
        import pydicom.filereader
        import pydicom.pixels.decoders.base  # noqa: F401
