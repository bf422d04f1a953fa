"""What dciodvfy, a judge of DICOM files by another author, says before and after."""

import shutil
import subprocess
from pathlib import Path

import pytest
from planting import draw_dataset, write_dicom

from polypskd.deployment.deidentification.panel import Trust
from polypskd.deployment.deidentify import Wish, deidentify

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "dicom"
OPTIONS = [frozenset(), frozenset({"dates", "device", "patient"})]
pytestmark = [
    pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) not found"),
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
]


def list_errors(path):
    command = ["dciodvfy", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return {line.strip() for line in done.stderr.splitlines() if line.startswith("Error")}


def compare_errors(root, out, names, retained):
    wish = Wish(b"k" * 32, retained, trust=Trust(pixels=True))
    outcome = deidentify(root, out, wish)
    assert not outcome.refused
    assert len(outcome.names) == len(names)
    for name, made in outcome.names.items():
        yield name, list_errors(out / made) - list_errors(root / name)


@pytest.mark.parametrize("retained", OPTIONS)
def test_a_drawn_file_has_no_error(tmp_path, retained):
    dataset = draw_dataset()
    dataset.file_meta.ImplementationClassUID = "1.2.3"
    write_dicom(tmp_path / "in" / "a.dcm", dataset)
    ((_, new),) = compare_errors(tmp_path / "in", tmp_path / "out", ["a.dcm"], retained)
    assert new == set()


@pytest.mark.realdata
@pytest.mark.parametrize("retained", OPTIONS)
def test_the_real_samples_have_no_new_error(tmp_path, retained):
    root = SAMPLES / "endoscopy"
    names = [path.name for path in root.iterdir()]
    assert len(names) == 8
    for name, new in compare_errors(root, tmp_path / "out", names, retained):
        assert new == set(), name


@pytest.mark.realdata
def test_lossy_and_multiframe_samples_have_no_new_error_and_their_own_pixels(tmp_path):
    from polypskd.cohort.dicom import open_dicom

    root = tmp_path / "in"
    root.mkdir()
    for path in (SAMPLES / "multiframe").glob("SC_*.dcm"):
        shutil.copy(path, root)
    names = sorted(path.name for path in root.iterdir())
    assert len(names) == 5
    for name, new in compare_errors(root, tmp_path / "out", names, frozenset()):
        assert new == set(), name
    again = deidentify(root, tmp_path / "out", Wish(b"k" * 32, trust=Trust(pixels=True)))
    assert again.unchanged == 5
    for name, made in again.names.items():
        before, after = open_dicom(root / name), open_dicom(tmp_path / "out" / made)
        assert (before.count, before.size) == (after.count, after.size)
        for number in range(1, before.count + 1):
            assert (before.read(number) == after.read(number)).all()
        lossy = "jls" in name or "jpeg" in name
        assert after.header.get("LossyImageCompression") == ("01" if lossy else None)


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "lossy"), [("VL1_J2KI", "01"), ("VL1_J2KR", None)])
def test_what_was_coded_with_loss_says_so_though_its_file_did_not(tmp_path, name, lossy):
    import pydicom

    dataset = pydicom.dcmread(SAMPLES / "endoscopy" / name)
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio"):
        dataset.pop(keyword, None)
    (tmp_path / "in").mkdir()
    dataset.save_as(tmp_path / "in" / "a.dcm")
    deidentify(tmp_path / "in", tmp_path / "out", Wish(b"k" * 32, trust=Trust(pixels=True)))
    (made,) = (tmp_path / "out").rglob("*.dcm")
    after = pydicom.dcmread(made)
    assert after.get("LossyImageCompression") == lossy
    assert after.get("LossyImageCompressionMethod") == ("ISO_15444_1" if lossy else None)


@pytest.mark.realdata
def test_the_real_samples_lose_their_panels_and_names(tmp_path):
    import pydicom

    root = SAMPLES / "endoscopy"
    deidentify(root, tmp_path / "out", Wish(b"k" * 32, trust=Trust(field=True)))
    made = sorted((tmp_path / "out").rglob("*.dcm"))
    assert len(made) == 8
    for path in made:
        data = path.read_bytes()
        for word in (
            b"CompressedSamples",
            b"14VL1",
            b"16VL3",
            b"Barrett",
            b"CLUNIE",
            b"1.3.6.1.4.1.5962",
        ):
            assert word not in data
        pixels = pydicom.dcmread(path).pixel_array
        # Both pictures have their text at the left: number, sex, age, dates.
        assert not pixels[:, :90].any()
        assert pixels.any(axis=2).mean() > 0.2
