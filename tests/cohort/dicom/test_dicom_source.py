import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.encaps import (
    encapsulate,
    encapsulate_extended,
    fragment_frame,
    get_frame,
    itemize_fragment,
)

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom import (
    VideoError,
    describe_decoders,
    is_dicom_video,
    looks_like_dicom,
    open_dicom,
    read_stream,
)
from polypskd.cohort.dicom.syntaxes import CODECS

ROOT = "1.2.840.10008.1.2"
J2K = f"{ROOT}.4.90"
JPEG = f"{ROOT}.4.50"
RLE = f"{ROOT}.5"
HT_SCRIPT = """y, x = np.mgrid[:24, :40]
p = np.stack([x * 6, y * 10, (x + y) * 4], -1).astype(np.uint8)
base64.b64encode(imagecodecs.htj2k_encode(p, reversible=True))"""
HT = (
    "/0//UQAvQAAAAAAoAAAAGAAAAAAAAAAAAAAAKAAAABgAAAAAAAAAAAADBwEBBwEBBwEB/1AACAACAAAAA/9SAAwAAgAB"
    "AQUEBEAB/1wAEyBQWFhYWFhYWFhYWFhYUFBQ/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAa8AAf+TwBMA"
    "GcUBAXQAwBMAY6IAQjQAwBMAp+IAQjQAwAjgBMAAYwDMzABCNADACOAEwBdzAM3NAEI0AMAI4ATgJ3MAVav+AGI0AMAI"
    "4ASgAeMArUr2NADACOAEoBJzANZK9jQAwAkgBMD1InMAKv0D9jQAwAngBWDW7Nz+y3UAtm3b9uAA/gABvrgAwAqIAViiE"
    "NAP4At2AHVd1/XgAP4AAb64AMAKiAFatrXQD+ALdgDZbDab/eAI/hCBvrgAwAqoAV6SJP3vwKenQncAWlVVVVX8gz3ye"
    "/fJ7LoAwAqoAV4AAADvwKenwncAOTMzMzP8gz3ye/fJ7LoAwAqoAWmAqqqq78Cnp8J3AOtaa6211vr8gD2AAHv2AAHsv"
    "ADAFZAFtADw/H8U9PT09PJ6ACpJkiRJkiTp/3aASe/ZJ79knv2Se/ZJ7LIBwBWwBbSqqqr8fynp6enp4noAu23btm3bt"
    "u3/doBJ79knv2Se/ZJ79knssgHAFfAFupIkSZL0/H+np6enp0J6AHNmZmZmZmZmZmb+/3aBye/fJ798nv3ye/fJ7LIB/"
    "9k="
)


def fault_of(path: Path, number: int = 1, **limits: float) -> str:
    with pytest.raises(DamageError) as error:
        open_dicom(path, **limits).read(number)
    told = error.value
    line = f"{told.what} {told.value}; {told.todo}"
    assert "\n" not in line
    assert len(line) < 300
    return line


@pytest.mark.parametrize("syntax", [ROOT, f"{ROOT}.1", f"{ROOT}.1.99", f"{ROOT}.2"])
def test_pixels_without_compression_come_out_as_they_went_in(make, picture, syntax):
    frames = open_dicom(make(picture, syntax))
    assert (frames.count, frames.size) == (1, (53, 37))
    pixels = frames.read()
    np.testing.assert_array_equal(pixels, picture)
    assert pixels.flags.c_contiguous


def test_bytes_in_words_of_big_endian_are_put_in_order(make, picture):
    path = make(picture[:36, :52], f"{ROOT}.2")
    data = bytearray(path.read_bytes())
    at = data.rfind(b"\x7f\xe0\x00\x10OB")
    data[at + 4 : at + 6] = b"OW"
    start = at + 12
    data[start:] = np.frombuffer(data[start:], "<u2").byteswap().tobytes()
    path.write_bytes(data)
    np.testing.assert_array_equal(open_dicom(path).read(), picture[:36, :52])


@pytest.mark.parametrize(
    ("syntax", "plugin", "tag"),
    [
        (RLE, "pydicom", "RGB"),
        (J2K, "pylibjpeg", "YBR_RCT"),
        (J2K, "pylibjpeg", "RGB"),
        (f"{ROOT}.4.80", "pyjpegls", "RGB"),
    ],
)
def test_lossless_compression_loses_nothing(compress, picture, syntax, plugin, tag):
    path = compress(picture, syntax, plugin, PhotometricInterpretation=tag)
    np.testing.assert_array_equal(open_dicom(path).read(), picture)


def test_lossy_jpeg_2000_and_jpeg_ls_come_near(make, picture):
    import jpeg_ls
    from openjpeg.utils import encode_array

    j2k = encode_array(
        picture, photometric_interpretation=1, use_mct=True, signal_noise_ratios=[45]
    )
    jls = jpeg_ls.encode_array(picture, lossy_error=3, interleave_mode=2)
    for data, syntax, tag in (
        (j2k, f"{ROOT}.4.91", "YBR_ICT"),
        (bytes(jls), f"{ROOT}.4.81", "RGB"),
    ):
        path = make([data], syntax, Rows=37, Columns=53, PhotometricInterpretation=tag)
        difference = np.abs(open_dicom(path).read().astype(int) - picture)
        assert 0 < difference.max() <= 12


@pytest.mark.parametrize("tag", ["RGB", "YBR_FULL", "YBR_RCT"])
def test_a_transform_within_jpeg_2000_outweighs_the_tag(make, picture, tag):
    from openjpeg.utils import encode_array

    data = encode_array(picture, photometric_interpretation=1, use_mct=True)
    path = make([data], J2K, Rows=37, Columns=53, PhotometricInterpretation=tag)
    np.testing.assert_array_equal(open_dicom(path).read(), picture)


def test_jpeg_2000_of_ycbcr_without_a_transform_is_converted(make, picture):
    from openjpeg.utils import encode_array
    from pydicom.pixels import convert_color_space

    data = encode_array(picture, photometric_interpretation=3, use_mct=False)
    path = make([data], J2K, Rows=37, Columns=53, PhotometricInterpretation="YBR_FULL")
    expected = convert_color_space(picture, "YBR_FULL", "RGB").astype(int)
    assert np.abs(open_dicom(path).read() - expected).max() <= 1


@pytest.mark.parametrize("number", [201, 202, 203])
def test_high_throughput_jpeg_2000_is_read(make, number):
    # Made once with imagecodecs 2026.3.6 (OpenJPH 0.26.3), by HT_SCRIPT; whose pixels are:
    import base64

    y, x = np.mgrid[:24, :40]
    expected = np.stack([x * 6, y * 10, (x + y) * 4], -1).astype(np.uint8)
    path = make(
        [base64.b64decode(HT)],
        f"{ROOT}.4.{number}",
        Rows=24,
        Columns=40,
        PhotometricInterpretation="YBR_RCT",
    )
    np.testing.assert_array_equal(open_dicom(path).read(), expected)


def test_colors_plane_by_plane_are_interleaved(make, picture):
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1)).tobytes() + b"\0"
    path = make(planes, Rows=37, Columns=53, PlanarConfiguration=1)
    np.testing.assert_array_equal(open_dicom(path).read(), picture)


def many(picture: np.ndarray, count: int) -> list[np.ndarray]:
    return [np.roll(picture, i, axis=1) for i in range(count)]


@pytest.mark.parametrize("syntax", [f"{ROOT}.1", f"{ROOT}.1.99", f"{ROOT}.2"])
def test_every_frame_of_a_file_is_found_by_its_number_from_1(make, picture, syntax):
    frames = many(picture, 5)
    data = b"".join(frame.tobytes() for frame in frames)
    path = make(data + bytes(len(data) % 2), syntax, Rows=37, Columns=53, NumberOfFrames=5)
    opened = open_dicom(path)
    assert opened.count == 5
    for number in (5, 1, 3, 2, 4):
        np.testing.assert_array_equal(opened.read(number), frames[number - 1])
    assert "frames go from 1 to 5" in fault_of(path, 0)
    assert "frames go from 1 to 5" in fault_of(path, 6)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fragments=st.lists(st.integers(1, 3), min_size=2, max_size=5),
    table=st.sampled_from(["basic", "extended", "none"]),
)
def test_frames_in_fragments_are_found_as_pydicom_finds_them(make, fragments, table):
    import simplejpeg

    rng = np.random.default_rng(len(fragments))
    streams = []
    for _ in fragments:
        stream = simplejpeg.encode_jpeg(rng.integers(0, 256, (16, 24, 3)).astype(np.uint8))
        streams.append(stream + bytes(len(stream) % 2))
    parts = [list(fragment_frame(s, n)) for s, n in zip(streams, fragments, strict=True)]
    extra = {}
    items = b"".join(itemize_fragment(part) for frame in parts for part in frame)
    offsets, at = [], 0
    for frame in parts:
        offsets.append(at)
        at += sum(len(part) + 8 for part in frame)
    body = b""
    if table == "basic":
        body = b"".join(offset.to_bytes(4, "little") for offset in offsets)
    if table == "extended":
        extra["ExtendedOffsetTable"] = b"".join(o.to_bytes(8, "little") for o in offsets)
        extra["ExtendedOffsetTableLengths"] = bytes(8 * len(offsets))
    data = b"\xfe\xff\x00\xe0" + len(body).to_bytes(4, "little") + body + items
    count = len(fragments)
    path = make(
        [b"xx"],
        JPEG,
        Rows=16,
        Columns=24,
        NumberOfFrames=count,
        PhotometricInterpretation="YBR_FULL",
        **extra,
    )
    whole = path.read_bytes()
    start = whole.rfind(b"\xe0\x7f\x10\x00OB") + 12
    path.write_bytes(whole[:start] + data + b"\xfe\xff\xdd\xe0\0\0\0\0")
    opened = open_dicom(path)
    for number in range(1, count + 1):
        expected = (
            get_frame(data, number - 1, number_of_frames=count)
            if table != "extended"
            else streams[number - 1]
        )
        assert expected == streams[number - 1]
        np.testing.assert_array_equal(opened.read(number), simplejpeg.decode_jpeg(expected))


@pytest.mark.parametrize("syntax", [f"{ROOT}.1", JPEG])
def test_one_frame_of_a_thousand_takes_the_memory_of_one(make, syntax):
    import simplejpeg

    frame = np.random.default_rng(1).integers(0, 256, (64, 80, 3)).astype(np.uint8)
    native = syntax != JPEG
    data = frame.tobytes() * 1000 if native else [simplejpeg.encode_jpeg(frame, quality=95)] * 1000
    tag = "RGB" if native else "YBR_FULL"
    path = make(
        data, syntax, Rows=64, Columns=80, NumberOfFrames=1000, PhotometricInterpretation=tag
    )
    assert path.stat().st_size > 5e6
    open_dicom(path).read(1)  # what is imported and cached at first use is not the file's
    tracemalloc.start()
    opened = open_dicom(path)
    opened.read(999)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert opened.count == 1000
    assert peak < 1e6


def test_limits_are_checked_before_a_pixel_is_decoded(make, picture, monkeypatch):
    path = make([b"no codestream"], J2K, Rows=60000, Columns=60000)
    assert fault_of(path) == (
        "too large 60000x60000; at most 64 megapixels (cohort.max_megapixels)"
    )
    assert fault_of(make(picture), max_megapixels=0.001).startswith("too large 53x37")
    assert fault_of(make(picture), min_side=40) == (
        "too small 53x37; the shortest side must have 40 pixels"
    )
    assert fault_of(make(b"", Rows=0, Columns=8)).startswith("too small 8x0")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"Rows": 38}, "cut short: fewer bytes of pixels than the header says 5884, not 6042"),
        ({"Rows": 36}, "more bytes of pixels than the header says"),
        ({"NumberOfFrames": 2}, "cut short: fewer bytes"),
        ({"NumberOfFrames": 2000000000}, "cut short: fewer bytes"),
        ({"SamplesPerPixel": 4}, "samples per pixel 4"),
        (
            {"SamplesPerPixel": 1, "PhotometricInterpretation": "RGB"},
            "photometric interpretation of a gray image RGB",
        ),
        ({"PhotometricInterpretation": "MONOCHROME2"}, "of a color image MONOCHROME2"),
        ({"PhotometricInterpretation": "YBR_PARTIAL_420"}, "of a color image YBR_PARTIAL_420"),
        ({"PhotometricInterpretation": "MUELLER ANNA"}, "of a color image unknown"),
        ({"PhotometricInterpretation": ""}, "of a color image missing"),
        ({"PhotometricInterpretation": "YBR_ICT"}, "photometric interpretation YBR_ICT"),
        ({"BitsAllocated": 32}, "bits allocated 32"),
        ({"BitsAllocated": 1}, "bits allocated 1"),
        ({"BitsStored": 9}, "bits stored and high bit do not fit 9, 7"),
        ({"HighBit": 3}, "bits stored and high bit do not fit 8, 3"),
        ({"Rows": None}, "Rows is missing"),
        ({"Columns": [1, 2]}, "Columns is no whole number"),
    ],
)
def test_a_header_that_lies_is_told(make, picture, change, told):
    assert told in fault_of(make(picture, **change))


def test_a_number_that_is_none_is_told_without_its_value(make, picture):
    path = make(picture, NumberOfFrames=1)
    data = path.read_bytes()
    assert data.count(b"\x28\0\x08\0IS\x02\x001 ") == 1
    path.write_bytes(data.replace(b"\x28\0\x08\0IS\x02\x001 ", b"\x28\0\x08\0IS\x02\x001A"))
    assert fault_of(path).startswith("NumberOfFrames is no whole number ;")


def test_a_codestream_of_another_size_or_kind_is_told(make, picture):
    import jpeg_ls
    import simplejpeg
    from openjpeg.utils import encode_array

    j2k = encode_array(picture, photometric_interpretation=1)
    jls = bytes(jpeg_ls.encode_array(picture, interleave_mode=2))
    jpeg = simplejpeg.encode_jpeg(picture)
    for data, syntax in ((j2k, J2K), (jls, f"{ROOT}.4.80"), (jpeg, JPEG)):
        path = make([data], syntax, Rows=37, Columns=54)
        assert "another size than its header says 53x37" in fault_of(path)
        path = make([data], syntax, Rows=37, Columns=53, SamplesPerPixel=1)
        path = make(
            [data],
            syntax,
            Rows=37,
            Columns=53,
            SamplesPerPixel=1,
            PhotometricInterpretation="MONOCHROME2",
        )
        assert "other components 3" in fault_of(path)
        for other, name in ((b"\xff\xd8\xff\xe0 no", "frame"), (bytes(64), "frame is no")):
            assert name in fault_of(make([other], syntax, Rows=37, Columns=53))
    assert "no JPEG" in fault_of(make([j2k], JPEG, Rows=37, Columns=53))


def test_the_number_of_frames_is_held_against_the_fragments(make, picture):
    import simplejpeg

    jpeg = simplejpeg.encode_jpeg(picture)
    path = make([jpeg] * 3, JPEG, Rows=37, Columns=53, NumberOfFrames=4)
    assert "number of frames differs: found 3; the header says 4" in fault_of(path)
    path = make([jpeg] * 3, JPEG, Rows=37, Columns=53, NumberOfFrames=2)
    assert "number of frames differs: found 3; the header says 2" in fault_of(path)


def test_a_file_cut_anywhere_is_told_or_read_aright(make, compress, picture):
    import simplejpeg

    paths = [
        make(picture),
        make(picture, f"{ROOT}.1.99"),
        make([simplejpeg.encode_jpeg(picture)], JPEG, Rows=37, Columns=53),
        compress(picture, J2K, "pylibjpeg", PhotometricInterpretation="YBR_RCT"),
        compress(picture, RLE, "pydicom"),
        compress(picture, f"{ROOT}.4.80", "pyjpegls"),
    ]
    for path in paths:
        whole = path.read_bytes()
        expected = open_dicom(path).read()
        for length in [
            *range(0, len(whole), len(whole) // 61),
            *range(len(whole) - 10, len(whole)),
        ]:
            path.write_bytes(whole[:length])
            try:
                pixels = open_dicom(path).read()
            except DamageError:
                pass
            else:
                assert length >= len(whole) - 2  # but for the padding at the end
                np.testing.assert_array_equal(pixels, expected)


def test_a_frame_far_larger_than_its_pixels_is_refused(make, picture):
    path = make([b"\xff\xd8" + bytes(3_000_000)], JPEG, Rows=37, Columns=53)
    assert "more bytes than its pixels" in fault_of(path)


def test_a_syntax_that_is_not_read_is_named(make, picture):
    told = fault_of(make([b"ab"], f"{ROOT}.4.55", Rows=1, Columns=1))
    assert told.startswith("transfer syntax is not read 1.2.840.10008.1.2.4.55; store it anew")
    path = make([b"abcd"], JPEG, Rows=37, Columns=53)
    data = path.read_bytes()
    at = data.rfind(b"\xe0\x7f\x10\x00OB") + 8
    path.write_bytes(data[:at] + b"\x08\0\0\0" + data[at + 4 :])
    assert "compressed pixels are not encapsulated" in fault_of(path)
    path.write_bytes(data.replace(JPEG.encode(), f"{ROOT}.1\0\0\0".encode()))
    assert "under a transfer syntax without compression" in fault_of(path)


def test_a_video_is_recognized_and_its_stream_taken_out(make):
    stream = bytes(range(1, 202))
    path = make([stream[:100], stream[100:]], f"{ROOT}.4.102", Rows=8, Columns=8, NumberOfFrames=50)
    with pytest.raises(VideoError, match="is a video"):
        open_dicom(path)
    assert is_dicom_video(path)
    assert read_stream(path) == stream  # of odd length: the pad byte is gone
    path = make([stream + b"\0\0\0"], f"{ROOT}.4.100", Rows=8, Columns=8, NumberOfFrames=50)
    assert read_stream(path) == stream + b"\0\0"


def test_frames_are_no_video(make, picture):
    path = make(picture)
    assert not is_dicom_video(path)
    with pytest.raises(DamageError, match="is no video"):
        read_stream(path)


def test_dicom_is_recognized_by_its_bytes(make, picture, tmp_path):
    path = make(picture)
    assert looks_like_dicom(path)
    bare = tmp_path / "bare"
    data = path.read_bytes()
    bare.write_bytes(data[data.index(b"\x08\0\x16\0UI") :])
    assert looks_like_dicom(bare)
    np.testing.assert_array_equal(open_dicom(bare).read(), picture)
    for name, head in {
        "a.png": b"\x89PNG\r\n\x1a\n",
        "b.jpg": b"\xff\xd8\xff\xe0",
        "c": b"",
    }.items():
        (tmp_path / name).write_bytes(head + bytes(200) * bool(head))
        assert not looks_like_dicom(tmp_path / name)
    assert not looks_like_dicom(tmp_path / "missing")


def test_the_same_pixels_whatever_pydicom_would_have_picked(make, picture):
    assert {codec.value for codec, _ in CODECS.values()} == {
        "simplejpeg",
        "pydicom",
        "pyjpegls",
        "pylibjpeg",
    }
    told = describe_decoders()
    assert told["JPEG"].startswith("simplejpeg 1.")
    assert not any("not installed" in value for value in told.values())


def test_encapsulation_of_pydicom_with_extended_offsets_is_read(make, picture):
    import simplejpeg

    frames = [simplejpeg.encode_jpeg(frame) for frame in many(picture, 3)]
    data, offsets, lengths = encapsulate_extended(frames)
    assert data.startswith(encapsulate([frames[0]], has_bot=False)[:8])
    path = make(
        frames,
        JPEG,
        Rows=37,
        Columns=53,
        NumberOfFrames=3,
        PhotometricInterpretation="YBR_FULL_422",
        ExtendedOffsetTable=offsets,
        ExtendedOffsetTableLengths=lengths,
    )
    assert dcmread(path).NumberOfFrames == 3
    np.testing.assert_array_equal(open_dicom(path).read(3), simplejpeg.decode_jpeg(frames[2]))
