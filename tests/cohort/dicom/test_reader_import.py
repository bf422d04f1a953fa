"""pydicom is imported by one thread alone: begun by several at once, its modules are half made."""

import subprocess
import sys

import pytest

# A new interpreter that tells whether the others wait when pydicom is first asked for.
WATCH = """
import sys
from pathlib import Path
from polypskd.cohort.dicom import reader_import

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "pydicom":
            print("alone" if reader_import.ONE.locked() else "beside others")

sys.meta_path.insert(0, Watch())
"""
FIRST = {
    "a header": "from polypskd.cohort.dicom.header import read_header; read_header({0})",
    "attributes": "from polypskd.cohort.dicom.attributes import read_attributes; "
    "read_attributes({0})",
    "a map of columns": "from polypskd.cohort.dicom.attributes import check_map; "
    "check_map({{'a': 'Modality'}})",
    "plain columns": "from polypskd.cohort.dicom.columns import is_plain; is_plain('Modality')",
    "frames": "from polypskd.cohort.dicom import open_dicom; open_dicom({0})",
    "a video or none": "from polypskd.cohort.dicom import is_dicom_video; is_dicom_video({0})",
}


@pytest.mark.parametrize("code", FIRST.values(), ids=FIRST)
def test_whatever_comes_first_imports_it_while_other_threads_wait(code, make, picture):
    line = code.format(f"Path({str(make(picture))!r})")
    done = subprocess.run(
        [sys.executable, "-c", WATCH + line], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "alone\n"), done.stderr[-500:]
