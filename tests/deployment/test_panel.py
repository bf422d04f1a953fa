"""Who vouches for a frame, in which order, and what becomes black."""

import numpy as np
import pytest
from planting import draw_frame

from polypskd.cohort.damage import DamageError
from polypskd.deployment.deidentification.panel import Trust, plan_cleaning
from polypskd.deployment.deidentification.private import SafePrivate
from polypskd.deployment.deidentification.rules import Picture, Rule, Rules, read_rules
from polypskd.errors import ConfigError

PICTURE = Picture("dicom", 96, 128, "ZQ Optics", "ZQ-190")
BLACK = Rule({"manufacturer": "zq*"}, black=((0, 0, 40, 96),))


def plan(picture=PICTURE, rules=(), frame=None, **trust):
    frames = [draw_frame() if frame is None else frame]
    return plan_cleaning(picture, Rules(tuple(rules)), Trust(**trust), lambda: frames)


def test_a_rule_comes_before_all_else():
    made = plan(rules=[BLACK], field=True, pixels=True)
    assert made.way == "rule: black"
    masked = made.mask(draw_frame())
    assert not masked[:, :40].any()
    assert np.array_equal(masked[:, 40:], draw_frame()[:, 40:])


def test_the_first_rule_that_fits_is_the_one():
    other = Rule({"rows": 97}, clean=True)
    assert plan(rules=[other, BLACK, Rule({}, clean=True)]).way == "rule: black"
    assert (
        plan(rules=[Rule({}, keep=((50, 20, 10, 10),))]).mask(draw_frame()).any(axis=2).sum() == 100
    )


def test_a_rule_of_another_size_is_refused():
    with pytest.raises(DamageError, match="beyond the picture"):
        plan(Picture("dicom", 96, 30, "ZQ Optics"), rules=[BLACK])


def test_all_outside_the_field_is_black_and_all_inside_stays():
    made = plan(field=True)
    masked = made.mask(draw_frame())
    assert not masked[:, :40].any()
    assert np.array_equal(masked[12:84, 46:118], draw_frame()[12:84, 46:118])


def test_a_frame_without_a_mask_is_refused():
    full = np.random.default_rng(0).integers(90, 200, (96, 128, 3), np.uint8)
    with pytest.raises(DamageError, match="not found within the frame"):
        plan(frame=full, field=True)
    assert plan(frame=full, field=True, pixels=True).way == "said clean"
    assert plan(field=True, pixels=True).way == "field"


def test_nobody_vouches_for_a_video_by_the_word_for_images():
    with pytest.raises(DamageError, match="burned-in text") as told:
        plan(Picture("video", 96, 128), pixels=True, field=True)
    assert "--video-pixels-are-clean" in told.value.todo
    assert "--trust-field and --pixels-are-clean do not apply to videos" in told.value.todo
    assert plan(Picture("video", 96, 128), video=True).mask is None


def write(tmp_path, text):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    return path


def test_a_rule_file_is_read(tmp_path):
    rules = read_rules(
        write(
            tmp_path,
            """
rules:
  - match: {manufacturer: ZQ*, rows: 96}
    black: [[0, 0, 40, 96]]
  - match: {kind: video}
    clean: true
private:
  - {creator: ZQ OPTICS, group: 0x0019, element: 0x10}
""",
        )
    )
    assert rules.find(PICTURE).black == ((0, 0, 40, 96),)
    assert rules.find(Picture("video", 1, 1)).clean
    assert rules.find(Picture("image", 96, 128)) is None
    assert rules.private == (SafePrivate("ZQ OPTICS", 0x19, 0x10),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- 1", "must hold"),
        ("{rules: 3}", "must be a list"),
        ("{rules: [{black: [[0, 0, 1, 1]]}]}", "needs `match:`"),
        ("{rules: [{match: {rows: x}, clean: true}]}", "rows must be a whole number"),
        ("{rules: [{match: {color: red}, clean: true}]}", "unknown 'color'"),
        ("{rules: [{match: {kind: film}, clean: true}]}", "dicom, image, video"),
        ("{rules: [{match: {}, clean: true, black: [[0, 0, 1, 1]]}]}", "one of"),
        ("{rules: [{match: {}, black: [[0, 0, 1]]}]}", "left, top, width, height"),
        ("{rules: [{match: {}, black: [[0, 0, -1, 4]]}]}", "left, top, width, height"),
        ("{rules: [{match: {}}]}", "one of"),
        ("{private: [{creator: a, group: 0x18, element: 1}]}", "odd"),
        ("{rules: [", "not valid YAML"),
        ("!!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_a_wrong_rule_file_is_told_in_one_line(tmp_path, text, words):
    with pytest.raises(ConfigError, match=words) as told:
        read_rules(write(tmp_path, text))
    assert len(told.value.lines) == 1


def test_the_faults_of_a_rule_file_are_told_all_at_once(tmp_path):
    text = """
colors: []
rules:
  - match: {rows: x, color: red}
    clean: true
  - match: {}
private: [3]
"""
    with pytest.raises(ConfigError) as told:
        read_rules(write(tmp_path, text))
    parts = ("'colors'", "rule 1: unknown 'color'", "rule 1: rows", "rule 2 must", "private 1")
    assert len(told.value.lines) == len(parts)
    assert all(part in line for part, line in zip(parts, told.value.lines, strict=True))


def test_the_rule_that_took_a_file_is_told_with_the_files_size():
    other = Rule({"rows": 97}, clean=True)
    assert plan(rules=[other, BLACK]).took == "rule 2: 96 x 128"
    assert plan(field=True).took == ""
