"""What is wrong with the bytes of one file."""

from __future__ import annotations

SAVE = "save the image anew"


class DamageError(Exception):
    """Bytes that cannot be trusted; `read_frame` turns it into a fault of the file.

    Args:
        what: what is wrong, in a few words.
        value: the offending value; never a patient's name, id or date.
        todo: what to do about it.
    """

    def __init__(self, what: str, value: str = "", todo: str = SAVE) -> None:
        super().__init__(what)
        self.what, self.value, self.todo = what, value, todo
