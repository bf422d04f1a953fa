"""Frames too dark to tell where the picture lies are cropped as the others of their device."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hospital_files import draw_frame

from polypskd.cohort.address import order_address
from polypskd.cohort.agreed_fields import SAMPLE, Fields, agree_on_fields, find_layouts
from polypskd.cohort.cropping import place_field, read_cropped
from polypskd.cohort.field import Field
from polypskd.config import BoxCrop, FieldCrop, NoCrop
from polypskd.data.store import Reading, open_store

CROP = FieldCrop(margin=0.0)
WIDTH, HEIGHT, LEFT = 160, 96, 60
PICTURE = Field(LEFT, 8, 96, 80, "rectangle", 0.5)


def draw_scene(number: int, *, dark: bool = False, left: int = LEFT) -> np.ndarray:
    """A picture on a black mask, beside a panel with letters; of a dark one the panel alone."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    if not dark:
        pixels[8:88, left : left + 96] = np.resize(draw_frame(number, 96), (80, 96, 3))
    beside = 6 if left == LEFT else 110
    cv2.putText(pixels, "NAME", (beside, 40), cv2.FONT_HERSHEY_PLAIN, 1, (255, 255, 255), 1)
    return pixels


@pytest.fixture
def frames(tmp_path):
    """Six lit frames and two dark ones."""
    root = tmp_path / "f"
    root.mkdir()
    names = [f"{number}.png" for number in range(8)]
    for number, name in enumerate(names):
        pixels = draw_scene(number, dark=number in (2, 5))
        assert cv2.imwrite(str(root / name), pixels[:, :, ::-1])
    return root, names


def test_a_dark_frame_loses_its_panel_as_the_others_do(frames):
    root, names = frames
    fields = agree_on_fields(root, names)
    alone = read_cropped(root, "2.png", CROP)
    assert alone.max() == 255, "if the panel were found by itself, nothing would be tested"
    for name in names:
        cropped = read_cropped(root, name, CROP, fields=fields)
        assert cropped.shape == (80, 96, 3)
    assert read_cropped(root, "2.png", CROP, fields=fields).max() == 0


def test_the_fields_hang_on_the_frames_and_not_on_their_order(frames):
    root, names = frames
    told = [agree_on_fields(root, order).describe() for order in (names, names[::-1], names * 2)]
    assert told[0] == told[1] == told[2]


def test_what_was_found_is_read_again_from_the_cache(frames, tmp_path, monkeypatch):
    root, names = frames
    first = agree_on_fields(root, names, cache=tmp_path / "c")
    (kept,) = (tmp_path / "c").iterdir()
    monkeypatch.setattr("polypskd.cohort.agreed_fields.read_frame", None)
    assert agree_on_fields(root, names, cache=tmp_path / "c") == first
    monkeypatch.undo()
    kept.write_text(json.dumps([["", "x"]]))
    assert agree_on_fields(root, names, cache=tmp_path / "c") == first
    cv2.imwrite(str(root / "0.png"), draw_scene(0, dark=True))
    agree_on_fields(root, names, cache=tmp_path / "c")
    assert len(list((tmp_path / "c").iterdir())) == 2


def test_the_store_crops_dark_frames_as_the_others_and_its_key_tells_the_fields(frames, tmp_path):
    root, names = frames
    reading = Reading(crop=CROP)
    store = open_store(root, names, size=32, folder=tmp_path / "s", reading=reading)
    assert store.pixels[:][2].max() == 0
    assert store.pixels[:][3].max() > 0
    few = open_store(root, ["2.png"], size=32, folder=tmp_path / "s", reading=reading)
    assert few.pixels[:].max() > 0, "a frame that stands alone agrees with none"
    assert few.key != store.key


def test_layouts_of_two_devices_are_kept_apart_where_the_devices_are_known(tmp_path):
    names, devices = [], []
    for number in range(12):
        left = LEFT if number % 2 else 4
        names.append(f"{number:02d}.png")
        devices.append(f"scope {number % 2}")
        pixels = draw_scene(number, dark=number >= 10, left=left)
        cv2.imwrite(str(tmp_path / names[-1]), pixels[:, :, ::-1])
    known = agree_on_fields(tmp_path, names, devices)
    assert read_cropped(tmp_path, names[10], CROP, fields=known).max() == 0
    assert read_cropped(tmp_path, names[11], CROP, fields=known).max() == 0
    unknown = agree_on_fields(tmp_path, names)
    (layouts,) = unknown.layouts.values()
    assert len(layouts.fields) == 2
    assert not layouts.sure, "which of two layouts a dark frame has is not guessed"


def test_a_second_layout_of_one_device_keeps_its_own_field():
    other = Field(10, 10, 40, 40, "rectangle", 0.1)
    dark = Field(0, 0, WIDTH, HEIGHT, "full", 1.0)
    layouts = find_layouts([PICTURE] * 20 + [other] * 5 + [dark] * 20)
    assert layouts.choose(other) == other
    assert layouts.choose(dark) == PICTURE
    assert layouts.choose(Field(6, 28, 40, 14, "rectangle", 0.1)) == PICTURE


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_fields_agree_on_nothing(count):
    assert find_layouts([PICTURE] * count).fields == ()


def test_a_large_cohort_is_judged_by_a_sample(monkeypatch):
    looked: list[Path] = []

    def read(path, *, max_megapixels):
        looked.append(path)
        return np.zeros((20, 20, 3), np.uint8)

    monkeypatch.setattr("polypskd.cohort.agreed_fields.read_frame", read)
    names = [f"v.mp4#{number}" for number in range(100_000)]
    fields = agree_on_fields(Path("root"), names)
    assert len(looked) == SAMPLE
    assert fields.describe() == [["", 20, 20, False, []]]
    order = [order_address(path.name) for path in looked]
    assert order == sorted(order)


def test_the_field_of_a_box_is_the_box_and_of_a_whole_frame_its_own():
    pixels = draw_scene(1)
    box = BoxCrop(left=4, top=5, width=60, height=70)
    placed = place_field("a", pixels, box, None)
    assert (placed.left, placed.top, placed.width, placed.height) == (4, 5, 60, 70)
    assert place_field("a", pixels, NoCrop(), None) is None
    assert place_field("a", pixels, CROP, Fields()) == Field(LEFT, 8, 96, 80, "rectangle", 0.5)
