"""`predict --dicom`, killed while it writes."""

import signal
import subprocess
import sys
import time

from drawn_study import MOMENT, draw_file, make_bundle, results_of
from predicting import predict

ALL = ("--dicom", "--presentation-state", "--secondary-capture")


def test_killed_at_any_moment_the_same_command_ends_in_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(MOMENT.timestamp())))
    bundle, folder = make_bundle(tmp_path / "bundle"), tmp_path / "in"
    for study in range(1, 9):
        draw_file(folder / f"{study}.dcm", frames=6, study=study)
    command = [sys.executable, "-m", "polypskd", "predict", str(bundle), str(folder), *ALL]
    command += ["--quiet", "--out", str(tmp_path / "out")]
    made = tmp_path / "out" / "dicom"
    cut = 0
    for least in (2, 20):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                if made.exists() and len(list(made.rglob("*.dcm"))) >= least:
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.002)
        cut += process.returncode == -signal.SIGKILL
    assert cut
    (made / "1.2.3").mkdir()
    (made / "1.2.3" / ".x.dcm.abc.tmp").write_bytes(b"half")
    assert predict(*command[4:])[0] == 0
    assert predict(bundle, folder, *ALL, "--out", tmp_path / "whole")[0] == 0
    assert results_of(tmp_path / "out") == results_of(tmp_path / "whole")
    assert len(results_of(tmp_path / "out")) == 8 * (1 + 1 + 6)
