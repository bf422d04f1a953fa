"""Keep pydicom's own words from the user: they quote values, and values may be a patient's.

What matters among its warnings (a size, a count or a length that does not fit) is found out by this
package itself and told as a fault.
"""

from __future__ import annotations

import logging
import re
import warnings

LOGGERS = ("pydicom", "pylibjpeg", "openjpeg", "jpeg_ls")
MODULES = re.compile(rf"({'|'.join(LOGGERS)})(\.|$)")


def silence_pydicom() -> None:
    """Let neither warnings nor log lines of pydicom and its decoders through.

    A filter of the process and not `warnings.catch_warnings`, which threads would undo for one
    another; it names these modules alone.
    """
    # Every change of the filters makes Python forget which warnings it has shown once.
    if not (warnings.filters and warnings.filters[0][3] == MODULES):
        warnings.filterwarnings("ignore", module=MODULES.pattern)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
