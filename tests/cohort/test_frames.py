from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polypskd.cohort.frames import check_frames, list_frames, measure_header, read_frame
from polypskd.errors import CohortError

RNG = np.random.default_rng(5)
COLOR = RNG.integers(0, 256, (40, 60, 3)).astype(np.uint8)
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def encode(suffix: str, bgr: np.ndarray = COLOR) -> bytes:
    return cv2.imencode(suffix, bgr)[1].tobytes()


def check_one(folder: Path, name: str, data: bytes) -> list[str]:
    (folder / name).write_bytes(data)
    return [str(fault) for fault in check_frames(folder, [name], min_side=16, max_megapixels=64)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_suffix_is_read_as_rgb(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"a{suffix}").write_bytes(
        encode(suffix, np.full((20, 30, 3), (200, 100, 10), "u1"))
    )
    pixels = read_frame(tmp_path / f"a{suffix}")
    assert pixels.shape == (20, 30, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - (10, 100, 200)).max() <= 3


def test_gray_alpha_and_16_bits_become_8_bit_rgb(tmp_path: Path) -> None:
    gray = COLOR[:, :, 0]
    rgb = COLOR[:, :, ::-1]
    three = np.repeat(gray[:, :, None], 3, axis=2)
    deep = COLOR.astype(np.uint16) * 257
    cases = [(gray, three), (np.dstack([COLOR, gray]), rgb), (deep, rgb), (deep[:, :, 0], three)]
    for i, (bgr, expected) in enumerate(cases):
        (tmp_path / f"{i}.png").write_bytes(encode(".png", bgr))
        np.testing.assert_array_equal(read_frame(tmp_path / f"{i}.png"), expected)


def test_listing_is_sorted_skips_hidden_files_and_counts_unknown_suffixes(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "a.png", "b/.3.png", ".h/4.png", "c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert list_frames(tmp_path) == (["a.png", "b/2.JPG"], 1)


def test_a_missing_folder_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CohortError) as error:
        list_frames(tmp_path / "no")
    expected = f"{tmp_path}/no: folder of frames not found; check cohort.frames.root"
    assert str(error.value) == expected


CUT = "cut short: the image's end is missing; copy the image anew"
BAD = {
    "zero.png": (lambda: b"", "the file is empty (0 bytes); copy the image anew"),
    "text.jpg": (lambda: b"hello", "not a readable image; save the image anew"),
    "cut.jpg": (lambda: encode(".jpg")[:-40], CUT),
    "padded.jpg": (lambda: encode(".jpg")[:-40] + bytes(500), CUT),
    "cut.png": (lambda: encode(".png")[:-40], CUT),
    "cut.bmp": (lambda: encode(".bmp")[:-40], "not a readable image; save the image anew"),
    "head.png": (
        lambda: encode(".png")[:20],
        "cut short: the image's header is missing; copy the image anew",
    ),
    "one.png": (
        lambda: encode(".png", COLOR[:1, :1]),
        "too small '1x1'; the shortest side must have 16 pixels",
    ),
    "float.tif": (
        lambda: encode(".tif", COLOR.astype(np.float32)),
        "pixels of type 'float32'; save the image with 8 bits a color",
    ),
    "holed.jpg": (
        lambda: b"".join([(j := encode(".jpg"))[:1000], bytes(400), j[1400:]]),
        "damaged: parts of the image are missing; save the image anew",
    ),
}


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_file_is_told_in_one_line(name: str, tmp_path: Path, capfd) -> None:
    make: Callable[[], bytes]
    make, message = BAD[name]
    assert check_one(tmp_path, name, make()) == [f"{name}: {message}"]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_an_image_of_100_megapixels_is_not_decoded(
    suffix: str, tmp_path: Path, monkeypatch
) -> None:
    data = encode(suffix, np.zeros((10_000, 10_000), np.uint8))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("was decoded"))
    message = "too large '10000x10000'; at most 64 megapixels (cohort.max_megapixels)"
    assert check_one(tmp_path, f"big{suffix}", data) == [f"big{suffix}: {message}"]


def test_a_bad_frame_does_not_stop_the_others_and_names_itself(tmp_path: Path) -> None:
    for i in range(6):
        (tmp_path / f"{i}.png").write_bytes(encode(".png") if i % 2 else b"")
    names = [f"{i}.png" for i in range(6)]
    faults = check_frames(tmp_path, names, min_side=16, max_megapixels=64)
    assert [fault.frame for fault in faults] == ["0.png", "2.png", "4.png"]


def test_notes_and_padding_after_the_end_are_allowed(tmp_path: Path) -> None:
    assert check_one(tmp_path, "a.jpg", encode(".jpg") + b"\0" * 90 + b"device 7") == []
    assert check_one(tmp_path, "a.png", encode(".png") + b"\0" * 9000) == []


def test_reading_a_frame_that_is_gone_or_of_unknown_suffix_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"^a.png: file not found; check the path$"):
        read_frame(tmp_path / "a.png")
    with pytest.raises(CohortError, match=r"^a.gif: unknown suffix '.gif'; use one of: .png, "):
        read_frame(tmp_path / "a.gif")


@settings(deadline=None)
@given(st.sampled_from([".png", ".jpg", ".bmp", ".tif"]), st.integers(1, 70), st.integers(1, 70))
def test_the_header_tells_the_size_that_decoding_gives(
    suffix: str, height: int, width: int
) -> None:
    assert measure_header(encode(suffix, np.zeros((height, width, 3), np.uint8))) == (width, height)


@settings(deadline=None)
@given(st.sampled_from([".png", ".jpg", ".bmp", ".tif"]), st.data())
def test_no_cut_file_passes_and_none_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    whole = encode(suffix)
    cut = data.draw(st.integers(0, len(whole) - 3))
    folder = tmp_path_factory.getbasetemp()
    faults = check_one(folder, f"cut{suffix}", whole[:cut])
    if suffix in (".png", ".jpg"):
        assert len(faults) == 1
