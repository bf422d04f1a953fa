import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_color_lut, apply_rescale, apply_voi_lut, convert_color_space
from pydicom.pixels import pixel_array as read_by_pydicom

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom import open_dicom
from polypskd.cohort.dicom.photometric import convert_ybr

ROOT = "1.2.840.10008.1.2"
CODES = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_every_color_of_ycbcr_is_that_of_pydicom_to_one():
    values = np.arange(0, 256, 5, dtype=np.uint8)
    grid = np.stack(np.meshgrid(values, values, values), -1).reshape(-1, 52, 3)
    expected = convert_color_space(grid, "YBR_FULL", "RGB").astype(int)
    assert np.abs(convert_ybr(grid) - expected).max() <= 1
    assert (convert_ybr(grid) != expected).mean() < 0.01


def test_ycbcr_without_compression_is_converted(make, picture):
    path = make(picture, PhotometricInterpretation="YBR_FULL")
    np.testing.assert_array_equal(open_dicom(path).read(), convert_ybr(picture))


def test_colors_shared_by_two_pixels_are_spread(make, picture):
    H, W = 36, 52
    y, c = picture[:H, :W, 0], picture[:H, :W:2, 1:]
    packed = np.concatenate([y.reshape(H, W // 2, 2), c], axis=2)
    path = make(
        packed.tobytes(),
        Rows=H,
        Columns=W,
        PhotometricInterpretation="YBR_FULL_422",
        NumberOfFrames=1,
    )
    expected = read_by_pydicom(path, raw=True)
    np.testing.assert_array_equal(open_dicom(path).read(), convert_ybr(expected))


def test_colors_cannot_be_shared_in_rows_of_an_odd_width(make):
    path = make(bytes(18), Rows=3, Columns=3, PhotometricInterpretation="YBR_FULL_422")
    with pytest.raises(DamageError, match="fewer bytes of pixels"):
        open_dicom(path).read()


def test_a_tag_of_shared_colors_on_whole_samples_is_seen_through(make, compress, picture):
    for path in (
        make(picture, PhotometricInterpretation="YBR_FULL_422"),
        make(
            make_rle(picture),
            f"{ROOT}.5",
            Rows=37,
            Columns=53,
            PhotometricInterpretation="YBR_FULL_422",
        ),
    ):
        np.testing.assert_array_equal(open_dicom(path).read(), convert_ybr(picture))


def make_rle(pixels: np.ndarray) -> list[bytes]:
    from pydicom.pixels.encoders import RLELosslessEncoder

    H, W = pixels.shape[:2]
    return [
        RLELosslessEncoder.encode(
            pixels,
            encoding_plugin="pydicom",
            rows=H,
            columns=W,
            samples_per_pixel=3,
            bits_allocated=8,
            bits_stored=8,
            pixel_representation=0,
            photometric_interpretation="RGB",
            planar_configuration=0,
            number_of_frames=1,
        )
    ]


def build_palette(bits: int, entries: int = 256, first: int = 0) -> dict[str, object]:
    rng = np.random.default_rng(bits)
    table = {}
    for color in ("Red", "Green", "Blue"):
        keyword = f"{color}PaletteColorLookupTable"
        values = rng.integers(0, 256, entries)
        words = (values * 257).astype("<u2") if bits == 16 else values.astype(np.uint8)
        table[f"{keyword}Descriptor"] = [entries % 65536, first, bits]
        table[f"{keyword}Data"] = words.tobytes()
    return {"PhotometricInterpretation": "PALETTE COLOR", **table}


@pytest.mark.parametrize("syntax", [f"{ROOT}.1", ROOT])
@pytest.mark.parametrize("bits", [8, 16])
def test_palettes_of_8_and_16_bits_are_looked_up(make, bits, syntax):
    path = make(CODES, syntax, **build_palette(bits))
    expected = apply_color_lut(CODES, dcmread(path))
    expected = expected >> 8 if bits == 16 else expected
    np.testing.assert_array_equal(open_dicom(path).read(), expected)


def test_a_palette_that_starts_late_repeats_its_ends(make):
    path = make(CODES, **build_palette(8, entries=100, first=50))
    got = open_dicom(path).read().reshape(256, 3)
    assert (got[:50] == got[50]).all()
    assert (got[149:] == got[149]).all()
    expected = apply_color_lut(CODES, dcmread(path)).reshape(256, 3)
    np.testing.assert_array_equal(got[50:150], expected[50:150])


@pytest.mark.parametrize("factor", [256, 257, 1])
def test_16_bit_palettes_written_in_either_way_give_the_same_color(make, factor):
    palette = build_palette(16)
    for color in ("Red", "Green", "Blue"):
        values = (np.arange(256) * factor).astype("<u2")
        palette[f"{color}PaletteColorLookupTableData"] = values.tobytes()
    got = open_dicom(make(CODES, **palette)).read()
    np.testing.assert_array_equal(got, np.repeat(CODES[:, :, None], 3, axis=2))


@pytest.mark.parametrize("bits", [8, 16])
def test_segmented_palettes_are_expanded_as_pydicom_does(make, bits):
    top = 255 if bits == 8 else 65535
    kind = np.uint8 if bits == 8 else np.dtype("<u2")
    # 4 discrete values, a line of 100, and the first two segments once more.
    words = [0, 4, 9, 8, 7, 6, 1, 100, top]
    words += [2, 2, 0, 0, 0, 0] if bits == 8 else [2, 2, 0, 0]
    words += [0, 1, 5]
    palette = {"PhotometricInterpretation": "PALETTE COLOR"}
    for color in ("Red", "Green", "Blue"):
        keyword = "PaletteColorLookupTable"
        palette[f"{color}{keyword}Descriptor"] = [209, 0, bits]
        data = np.array(words, kind).tobytes()
        palette[f"Segmented{color}{keyword}Data"] = data + bytes(len(data) % 2)
    path = make(CODES, **palette)
    expected = apply_color_lut(CODES, dcmread(path)).astype(int)
    expected = expected >> 8 if bits == 16 else expected
    got = open_dicom(path).read()
    assert np.abs(got - expected).max() <= 1
    assert got.max() == 255


@pytest.mark.parametrize(
    "words", [[1, 65535, 3], [2, 9, 0, 0], [0, 65535, 1], [7, 7, 7], [0, 1, 5, 2, 1, 99, 0], []]
)
def test_segments_that_make_no_sense_are_told(make, words):
    palette = build_palette(16)
    for color in ("Red", "Green", "Blue"):
        del palette[f"{color}PaletteColorLookupTableData"]
        data = np.array(words, "<u2").tobytes()
        palette[f"Segmented{color}PaletteColorLookupTableData"] = data
    with pytest.raises(DamageError, match="palette"):
        open_dicom(make(CODES, **palette)).read()


@pytest.mark.parametrize("change", ["missing", "short", "bits", "descriptor"])
def test_a_palette_that_is_missing_or_wrong_is_told(make, change):
    palette = build_palette(8)
    if change == "missing":
        del palette["GreenPaletteColorLookupTableData"]
    elif change == "short":
        palette["GreenPaletteColorLookupTableData"] = bytes(10)
    else:
        wrong = [256, 0, 12] if change == "bits" else [256, 0]
        palette["GreenPaletteColorLookupTableDescriptor"] = wrong
    with pytest.raises(DamageError, match="palette is missing or wrong") as error:
        open_dicom(make(CODES, **palette)).read()
    assert error.value.value == "GreenPaletteColorLookupTable"


def gray_of(path) -> np.ndarray:
    pixels = open_dicom(path).read()
    assert (pixels == pixels[:, :, :1]).all()
    return pixels[:, :, 0]


def test_gray_of_8_bits_stays_as_it_is(make):
    np.testing.assert_array_equal(gray_of(make(CODES)), CODES)
    inverted = make(CODES, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(gray_of(inverted), 255 - CODES)


def test_gray_without_a_window_spreads_the_stored_bits(make):
    deep = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    path = make(deep, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(gray_of(path), np.rint(deep / 4095 * 255))
    overlaid = make(deep | 0xF000, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(gray_of(overlaid), gray_of(path))
    shifted = make(deep << 4, BitsStored=12, HighBit=15)
    np.testing.assert_array_equal(gray_of(shifted), gray_of(path))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("syntax", [f"{ROOT}.1", f"{ROOT}.2"])
def test_windows_after_rescaling_are_those_of_pydicom(make, function, signed, syntax):
    deep = np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64)
    stored = deep.view(np.uint16) & 4095 if signed else (deep + 2048).astype(np.uint16)
    window = {
        "RescaleSlope": "1.5",
        "RescaleIntercept": "-100",
        "WindowCenter": "300",
        "WindowWidth": "1200",
        "VOILUTFunction": function,
    }
    data = stored.astype(">u2" if syntax.endswith(".2") else "<u2").tobytes()
    path = make(
        data,
        syntax,
        Rows=64,
        Columns=64,
        SamplesPerPixel=1,
        BitsAllocated=16,
        BitsStored=12,
        HighBit=11,
        PixelRepresentation=signed,
        **window,
    )
    dataset = dcmread(path)
    values = deep if signed else stored
    shown = apply_voi_lut(apply_rescale(values, dataset), dataset)
    dataset.PixelRepresentation = 0
    low, high = (-2048, 2047) if signed else (0, 4095)
    low, high = low * 1.5 - 100, high * 1.5 - 100
    expected = (shown - low) / (high - low) * 255
    assert np.abs(gray_of(path) - expected).max() <= 0.51


def test_the_first_of_several_windows_is_taken(make):
    one = make(CODES, WindowCenter="100", WindowWidth="50")
    two = make(CODES, WindowCenter=["100", "7"], WindowWidth=["50", "3"])
    np.testing.assert_array_equal(gray_of(one), gray_of(two))


@pytest.mark.parametrize(
    "change",
    [
        {"WindowWidth": "0"},
        {"WindowWidth": "-5"},
        {"VOILUTFunction": "CUBIC"},
        {"RescaleSlope": "1e300"},
    ],
)
def test_a_window_that_makes_no_sense_is_told(make, change):
    path = make(CODES, **{"WindowCenter": "100", "WindowWidth": "50", **change})
    with pytest.raises(DamageError):
        open_dicom(path).read()


def test_16_bit_color_becomes_8_bit(make, picture):
    path = make(picture.astype(np.uint16) * 257)
    np.testing.assert_array_equal(open_dicom(path).read(), picture)
    ten = np.rint(picture / 255 * 1023).astype(np.uint16)
    path = make(ten, BitsStored=10, HighBit=9)
    np.testing.assert_array_equal(open_dicom(path).read(), picture)
