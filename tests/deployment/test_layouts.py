"""A frame that does not show its outline is cropped as the cohort's frames were."""

import numpy as np
import pytest
from small_bundle import write_bundle
from test_export import calm, made, source  # noqa: F401

from polypskd.cohort.agreed_fields import Fields, Layouts
from polypskd.cohort.field import Field
from polypskd.cohort.preparation import crop_frame, prepare_frame
from polypskd.config import FieldCrop
from polypskd.deployment.bundle import open_bundle
from polypskd.deployment.export import material
from polypskd.deployment.export.assembly import Wish, export_bundle
from polypskd.deployment.export.frames import FrameSet
from polypskd.deployment.layouts import read_layouts, write_layouts
from polypskd.deployment.prediction.judging import Judge
from polypskd.errors import ArtifactError

PLACE = Field(100, 20, 150, 150, "rectangle", 150 * 150 / (260 * 190))
CROP = FieldCrop(margin=0.0)
PAGE = {"kind": "field", "margin": 0.0, "blank": True}


def tell(place=PLACE, width=260, height=190):
    layouts = write_layouts({(width, height): Layouts((place,), sure=True)})
    return [one.model_dump(mode="json") for one in layouts]


def draw(light, place=PLACE):
    frame = np.zeros((190, 260, 3), np.uint8)
    random = np.random.default_rng(1)
    inside = (place.height, place.width, 3)
    frame[place.top : place.bottom, place.left : place.right] = light * random.random(inside)
    frame[8:16, 4:60] = 230  # text beside the picture
    return frame


def prepare(tmp_path, frame, **limits):
    judge = Judge(open_bundle(write_bundle(tmp_path / "bundle", crop=PAGE, **limits)))
    return judge.prepare(frame)[0]


def test_a_dark_frame_is_cropped_to_where_the_cohorts_picture_lies(tmp_path):
    dark = draw(9)
    expected = prepare_frame(crop_frame(dark, CROP, PLACE), 32)
    np.testing.assert_array_equal(prepare(tmp_path, dark, layouts=tell()), expected)
    alone = prepare(tmp_path / "old", dark)
    np.testing.assert_array_equal(alone, prepare_frame(dark, 32, CROP))
    assert np.abs(alone.astype(int) - expected).max() > 50  # the text stays without it


def test_a_frame_that_shows_its_field_or_has_another_size_keeps_its_own(tmp_path):
    other = Field(90, 60, 100, 120, "rectangle", 0.2)
    dark = draw(9)
    expected = prepare_frame(dark, 32, CROP)
    told = tell(width=261)
    np.testing.assert_array_equal(prepare(tmp_path / "a", dark, layouts=told), expected)
    bright = draw(200)
    expected = prepare_frame(bright, 32, CROP)
    np.testing.assert_array_equal(prepare(tmp_path / "b", bright, layouts=tell()), expected)
    elsewhere = draw(200, other)
    expected = prepare_frame(crop_frame(elsewhere, CROP, PLACE), 32)
    np.testing.assert_array_equal(prepare(tmp_path / "c", elsewhere, layouts=tell()), expected)


def test_layouts_come_back_as_they_were_told(tmp_path):
    octagon = Field(3, 4, 90, 70, "octagon", 0.3, (1.25, 1.5))
    found = {(260, 190): Layouts((PLACE, octagon), sure=True)}
    assert read_layouts(write_layouts(found)) == found
    page = [one.model_dump(mode="json") for one in write_layouts(found)]
    limits = open_bundle(write_bundle(tmp_path / "b", layouts=page)).limits
    assert read_layouts(limits.layouts) == found
    assert limits.to_page()["layouts"] == page
    assert "layouts" not in open_bundle(write_bundle(tmp_path / "c")).limits.to_page()


@pytest.mark.parametrize("change", [{"left": 200}, {"share": 2.0}, {"shape": "star"}])
def test_a_layout_that_leaves_its_frame_or_is_none_is_refused(tmp_path, change):
    page = tell()
    page[0]["pictures"][0] |= change
    with pytest.raises(ArtifactError, match=r"limits\.json: layouts"):
        open_bundle(write_bundle(tmp_path / "b", layouts=page))


def test_an_export_tells_what_the_runs_frames_agree_on(made, tmp_path, monkeypatch):  # noqa: F811
    calm(monkeypatch)
    seen = []

    def agree(root, frames, devices, *, max_megapixels):
        seen.append((sorted(frames), devices))
        return Fields({("", 48, 48): Layouts((Field(4, 4, 40, 40, "circle", 0.7),), sure=True)})

    monkeypatch.setattr(material, "agree_on_fields", agree)
    given = source(made)
    cohort = given.config.cohort.model_copy(update={"crop": CROP})
    given = type(given)(given.run, given.config.model_copy(update={"cohort": cohort}), given.frames)
    limits = export_bundle(given, tmp_path / "bundle", Wish()).bundle.limits
    assert read_layouts(limits.layouts)[48, 48].fields[0].shape == "circle"
    assert len(seen[0][0]) == 48


def test_frames_of_an_export_are_cropped_as_predict_does(tmp_path, monkeypatch):
    layouts = {(260, 190): Layouts((PLACE,), sure=True)}
    monkeypatch.setattr(FrameSet, "_read", lambda self, name: draw(9))

    class Config:
        crop = CROP

    frames = FrameSet(tmp_path, ("a.png",), Config(), 32, "drawn", layouts)
    np.testing.assert_array_equal(frames[:][0], prepare_frame(crop_frame(draw(9), CROP, PLACE), 32))
    assert frames.pick(1).layouts == layouts
