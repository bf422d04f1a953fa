"""The box of what mattered lies where it lies in the frame, whatever was cut and resized."""

import numpy as np
import pytest
from drawn_study import answer, draw_blob, draw_file, make_bundle
from hypothesis import given, settings
from hypothesis import strategies as st

from polypskd.cohort.damage import DamageError
from polypskd.cohort.field import find_field
from polypskd.cohort.preparation import crop_frame, prepare_frame
from polypskd.config.preparation import BoxCrop, FieldCrop, NoCrop
from polypskd.deployment.bundle import open_bundle
from polypskd.deployment.dicom_objects.regions import (
    Box,
    Finder,
    carry_back,
    find_piece,
    place_crop,
    read_regions,
)
from polypskd.deployment.prediction import shots
from polypskd.deployment.prediction.judging import Judge
from polypskd.deployment.prediction.shots import Shot
from polypskd.errors import ArtifactError

RED = "hyperplastic"  # the class whose map is the red of the small bundle
GREEN = "adenoma"


def finder(folder, **limits):
    return Finder(open_bundle(make_bundle(folder, **limits)))


def near(box, wanted, slack):
    found = (box.left, box.top, box.right, box.bottom)
    return all(abs(one - other) <= slack for one, other in zip(found, wanted, strict=True))


CROPS = [
    {"kind": "none"},
    {"kind": "box", "left": 30, "top": 10, "width": 120, "height": 80},
]


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize(("width", "height"), [(200, 100), (160, 260), (190, 190)])
@pytest.mark.parametrize("box", [(40, 20, 80, 60), (90, 30, 130, 85)])
def test_the_box_of_a_bright_blob_is_found_where_it_was_drawn(tmp_path, crop, width, height, box):
    frame = draw_blob(height, width, box)
    found = finder(tmp_path, crop=crop).find(frame, RED)
    size = 32  # of the network's input: a pixel of it is so many of the frame
    wide = max(crop.get("width", width), crop.get("height", height)) / size
    assert near(found, box, np.ceil(wide))


def test_of_a_frame_on_a_mask_the_box_is_found_in_the_whole_frame(tmp_path):
    rng = np.random.default_rng(1)
    frame = np.zeros((200, 300, 3), np.uint8)
    frame[20:180, 100:260] = rng.integers(30, 60, (160, 160, 3))
    frame[60:100, 180:220] = (250, 20, 20)
    crop = {"kind": "field", "margin": 0.01, "blank": True}
    assert near(finder(tmp_path, crop=crop).find(frame, RED), (180, 60, 220, 100), 6)


@pytest.mark.parametrize(
    "crop", [*CROPS, {"kind": "field", "margin": 0.02, "blank": True}], ids=lambda one: one["kind"]
)
def test_a_frame_is_prepared_as_it_was_when_it_was_judged(tmp_path, crop):
    frame = np.zeros((130, 220, 3), np.uint8)
    frame[10:120, 50:200] = np.random.default_rng(2).integers(20, 250, (110, 150, 3))
    own = finder(tmp_path, crop=crop)
    prepared, place = own.prepare(frame)
    assert np.array_equal(prepared, Judge(own.bundle).prepare(frame)[0])
    assert (place.right - place.left, place.bottom - place.top) != (0, 0)


def test_where_the_bundle_tells_the_layout_a_dark_frame_is_cropped_by_it(tmp_path):
    picture = {"left": 40, "top": 20, "width": 120, "height": 100, "shape": "rectangle"}
    picture |= {"share": 0.42, "reach": [2.0, 2.0]}
    layouts = [{"width": 220, "height": 130, "pictures": [picture]}]
    crop = {"kind": "field", "margin": 0.0, "blank": True}
    own = finder(tmp_path, crop=crop, layouts=layouts)
    frame = np.zeros((130, 220, 3), np.uint8)
    frame[60:80, 100:120] = (250, 0, 0)
    prepared, place = own.prepare(frame)
    assert np.array_equal(prepared, Judge(own.bundle).prepare(frame)[0])
    assert place == Box(40, 20, 160, 120)
    assert near(own.find(frame, RED), (100, 60, 120, 80), 5)


def test_each_class_has_its_own_region_and_no_class_has_none(tmp_path):
    frame = draw_blob(100, 200, (20, 20, 60, 60))
    frame[40:80, 140:180] = (10, 220, 10)
    own = finder(tmp_path)
    assert near(own.find(frame, RED), (20, 20, 60, 60), 7)
    assert near(own.find(frame, GREEN), (140, 40, 180, 80), 7)
    assert own.find(frame, "") is None
    assert own.find(np.zeros((50, 50, 3), np.uint8), RED) is None


def test_a_bundle_without_a_map_says_so(tmp_path):
    from small_bundle import write_bundle

    with pytest.raises(ArtifactError, match="evidence"):
        Finder(open_bundle(write_bundle(tmp_path))).find(draw_blob(), RED)


def spread(evidence, size):
    """Enlarge bilinearly, place by place, by the formula alone."""
    height, width = evidence.shape
    large = np.empty((size, size))
    for row in range(size):
        y = min(max((row + 0.5) * height / size - 0.5, 0), height - 1)
        for column in range(size):
            x = min(max((column + 0.5) * width / size - 0.5, 0), width - 1)
            top, left = int(y), int(x)
            low, right = min(top + 1, height - 1), min(left + 1, width - 1)
            a, b = y - top, x - left
            large[row, column] = (
                (1 - a) * (1 - b) * evidence[top, left]
                + (1 - a) * b * evidence[top, right]
                + a * (1 - b) * evidence[low, left]
                + a * b * evidence[low, right]
            )
    return large


@settings(max_examples=25, deadline=None)
@given(places=st.lists(st.lists(st.integers(0, 4), min_size=4, max_size=4), min_size=3, max_size=3))
def test_the_piece_is_found_as_a_flood_from_the_maximum_finds_it(places):
    evidence = np.array(places, np.float32) / 4 + np.linspace(0, 0.011, 12).reshape(3, 4)
    evidence = evidence.astype(np.float32)
    size = 24
    large = spread(evidence.astype(np.float64), size)
    # A value at the very threshold may fall to either side by its last bit.
    if np.abs(large - 0.5 * large.max()).min() < 1e-5:
        return
    start = np.unravel_index(large.argmax(), large.shape)
    seen, waiting = {start}, [start]
    while waiting:
        row, column = waiting.pop()
        for place in (
            (row + 1, column),
            (row - 1, column),
            (row, column + 1),
            (row, column - 1),
        ):
            inside = 0 <= place[0] < size and 0 <= place[1] < size
            if inside and place not in seen and large[place] >= 0.5 * large.max():
                seen.add(place)
                waiting.append(place)
    rows, columns = zip(*seen, strict=True)
    wanted = Box(min(columns), min(rows), max(columns) + 1, max(rows) + 1)
    assert find_piece(evidence, size) == wanted


@settings(max_examples=60, deadline=None)
@given(data=st.data(), width=st.integers(1, 300), height=st.integers(1, 300))
def test_no_box_leaves_what_was_looked_at_and_the_whole_gives_the_whole(data, width, height):
    size = data.draw(st.integers(4, 64))
    left, top = data.draw(st.integers(0, 50)), data.draw(st.integers(0, 50))
    cropped = Box(left, top, left + width, top + height)
    assert carry_back(Box(0, 0, size, size), cropped, size) == cropped
    x, y = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size - 1))
    right, bottom = data.draw(st.integers(x + 1, size)), data.draw(st.integers(y + 1, size))
    found = carry_back(Box(x, y, right, bottom), cropped, size)
    if found is not None:
        assert left <= found.left < found.right <= left + width
        assert top <= found.top < found.bottom <= top + height


@settings(max_examples=30, deadline=None)
@given(data=st.data(), width=st.integers(40, 200), height=st.integers(40, 200))
def test_a_box_carried_back_holds_the_pixels_that_it_was_made_of(data, width, height):
    """A white box, prepared, is found by its own pixels; carried back it holds what it was."""
    left = data.draw(st.integers(0, width - 20))
    top = data.draw(st.integers(0, height - 20))
    right, bottom = (
        data.draw(st.integers(left + 15, width)),
        data.draw(st.integers(top + 15, height)),
    )
    frame = np.zeros((height, width, 3), np.uint8)
    frame[top:bottom, left:right] = 255
    small = prepare_frame(frame, 32)[..., 0]
    rows, columns = np.nonzero(small >= 128)
    piece = Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    found = carry_back(piece, Box(0, 0, width, height), 32)
    step = np.ceil(max(width, height) / 32) + 1
    assert near(found, (left, top, right, bottom), step)


@pytest.mark.parametrize(
    "crop",
    [
        NoCrop(),
        BoxCrop(kind="box", left=3, top=5, width=40, height=30),
        FieldCrop(kind="field", margin=0.02),
        FieldCrop(kind="field", margin=0.0),
        FieldCrop(kind="field", margin=0.25),
    ],
)
def test_the_place_of_a_crop_is_that_of_its_pixels(crop):
    frame = np.zeros((120, 200, 3), np.uint8)
    frame[15:110, 60:190] = 90
    # Every pixel has a color of its own, by which it is known again.
    frame[15:110, 60:190, 1] = np.arange(95)[:, np.newaxis] + 100
    frame[15:110, 60:190, 2] = np.arange(130)[np.newaxis] + 100
    cut = crop_frame(frame, crop)
    field = find_field(frame) if crop.kind == "field" else None
    place = place_crop(200, 120, crop, field)
    assert np.array_equal(cut, frame[place.top : place.bottom, place.left : place.right])
    assert find_field(frame).shape == "rectangle"


def test_frames_of_a_file_are_read_again_with_their_own_boxes(tmp_path):
    path = draw_file(tmp_path / "a.dcm", frames=4, frame=draw_blob(60, 90, (20, 10, 40, 30)))
    answers = [answer("a.dcm", 1, RED), answer("a.dcm", 4, RED, abstained="unsure: risk")]
    first, last = read_regions(finder(tmp_path / "bundle"), path, answers)
    assert first.answer.frame == 1
    assert near(first.box, (20, 10, 40, 30), 3)
    assert (last.answer.frame, last.box) == (4, None)
    assert (last.pixels.astype(int) - first.pixels == 3).all()


@pytest.mark.parametrize("numbers", [(4, 10), (4,), (1, 4, 10), (3, 5, 8)])
def test_no_frame_of_a_video_is_missed_whatever_frames_before_it_were_damaged(
    tmp_path, monkeypatch, numbers
):
    def read(path, stride, most):
        for number in range(1, 13, stride):
            yield Shot(number, draw_blob())

    monkeypatch.setattr(shots, "read_dicom", read)
    answers = [answer("a.dcm", number) for number in numbers]
    found = read_regions(finder(tmp_path / "bundle"), tmp_path / "a.dcm", answers)
    assert [region.answer.frame for region in found] == list(numbers)


@pytest.mark.parametrize("pixels", [None, draw_blob()])
def test_a_frame_that_is_gone_is_told_of(tmp_path, monkeypatch, pixels):
    number = 2 if pixels is None else 1
    monkeypatch.setattr(shots, "read_dicom", lambda *_: iter([Shot(number, pixels)]))
    with pytest.raises(DamageError, match="cannot be read again"):
        list(read_regions(finder(tmp_path / "bundle"), tmp_path / "a.dcm", [answer("a.dcm", 2)]))
