import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from polypskd.cohort.table import Cohort, Exclusion
from polypskd.config import BoxCrop
from polypskd.errors import Fault
from polypskd.reporting.contact_sheet import LIMIT, choose_rows, write_sheet

EVIL = "<script>alert(1)</script>"


def make_cohort(frames: int, *, annotators=("Dr A", "Dr B", "Dr C"), known=True) -> Cohort:
    """Give frames whose first half is of class low; every tenth divides the annotators."""
    high = np.arange(frames) >= frames // 2
    fine = np.repeat(high.astype(np.int64), 3)
    divided = np.arange(0, frames, 10)
    fine[3 * divided + 2] = 1 - fine[3 * divided + 2]
    names = np.array([f"f{i:04d}.png" for i in range(frames)])
    people = np.tile(np.arange(3), frames) if annotators else np.full(3 * frames, -1)
    return Cohort(
        frame_ids=names,
        paths=names,
        patient_ids=np.array([f"secret-{i % 5}" for i in range(frames)]),
        patients_known=known,
        classes=("low", "high"),
        fine=("low", "high"),
        fine_class=np.array([0, 1]),
        annotators=tuple(annotators),
        vote_frame=np.repeat(np.arange(frames), 3),
        vote_annotator=people,
        vote_fine=fine,
        exclusions=(Exclusion("x.png", "no votes"),),
    )


def test_the_choice_is_even_over_classes_and_agreement_and_seeded():
    cohort = make_cohort(1000)
    rows = choose_rows(cohort, seed=3)
    assert len(rows) == len(set(rows.tolist())) == LIMIT
    divided = rows % 10 == 0
    high = rows >= 500
    counts = [int((divided == a)[high == b].sum()) for a in (True, False) for b in (True, False)]
    assert counts == [50, 50, 50, 50]
    np.testing.assert_array_equal(rows, choose_rows(cohort, seed=3))
    assert not np.array_equal(rows, choose_rows(cohort, seed=4))


def test_what_an_export_held_beside_votes_is_told_and_escaped(tmp_path):
    told = f"not used: 3 × rectangle: {EVIL}"
    page = write_sheet("trial", replace(make_cohort(4), notes=(told,)), tmp_path)
    assert "<li>not used: 3 × rectangle: &lt;script&gt;" in page
    assert EVIL not in page


def test_a_small_cohort_is_shown_whole():
    assert sorted(choose_rows(make_cohort(30), seed=0).tolist()) == list(range(30))


def test_the_page_shows_the_votes_of_each_annotator_and_marks_those_that_differ(tmp_path):
    cohort = make_cohort(20)
    for name in cohort.paths:
        cv2.imwrite(str(tmp_path / name), np.full((400, 300, 3), 90, np.uint8))
    page = write_sheet("trial", cohort, tmp_path)
    assert len(re.findall('<figure class="card">', page)) == 20
    assert len(re.findall(r'<img src="data:image/jpeg;base64,[A-Za-z0-9+/=]+"', page)) == 20
    assert len(re.findall("<span>Dr B</span>", page)) == 20
    assert len(re.findall('<li class="other"><span>Dr C</span>', page)) == 2
    assert len(re.findall("2 of 3 agree", page)) == 2
    assert len(re.findall("all 3 agree", page)) == 18
    assert "patient 5" in page
    assert "secret" not in page
    assert "Research use only" in page


def test_counts_are_shown_where_nobody_is_named():
    page = write_sheet("trial", make_cohort(10, annotators=(), known=False), None)
    assert "<span>low</span> <b>3</b>" in page
    assert 'class="other"' not in page
    assert "no picture" in page


def test_frames_are_drawn_as_the_networks_see_them(tmp_path):
    import base64

    cohort = make_cohort(10)
    for name in cohort.paths:
        cv2.imwrite(str(tmp_path / name), np.zeros((100, 200, 3), np.uint8))
    page = write_sheet("trial", cohort, tmp_path, crop=BoxCrop(left=0, top=0, width=50, height=80))
    data = re.search(r"base64,([^\"]+)", page)[1]
    drawn = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == (80, 50, 3)


def test_faults_stand_on_top_and_every_text_is_escaped():
    cohort = make_cohort(10, annotators=(EVIL, "B", "C"))
    faults = [Fault(f"votes.csv row {i}", "unknown class", EVIL) for i in range(130)]
    page = write_sheet(EVIL, cohort, None, faults=faults)
    assert EVIL not in page
    assert "<script" not in page
    assert "130 faults to mend" in page
    assert "and 30 more" in page
    assert page.index("votes.csv row 5") < page.index("f0000.png")


def test_faults_are_told_where_nothing_is_left_to_show():
    page = write_sheet("trial", None, None, faults=[Fault("votes.csv", "file not found")])
    assert "1 fault to mend" in page
    assert "<figure" not in page


def test_the_page_asks_for_nothing_but_itself(tmp_path):
    page = write_sheet("trial", make_cohort(10), tmp_path)
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert "default-src 'none'" in page


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_cohort_gives_the_same_bytes(seed):
    pages = {write_sheet("trial", make_cohort(400), None, seed=seed) for _ in range(2)}
    assert len(pages) == 1


def test_large_numbers_are_written_with_thousands_separators():
    left = tuple(Exclusion(f"x{i}.png", "no votes") for i in range(1234))
    page = write_sheet("trial", replace(make_cohort(1868), exclusions=left), None)
    assert "200 of 1,868 frames, chosen evenly" in page
    assert "1,234 frames, and why" in page
    assert "<li>1,234: no votes</li>" in page
    faults = [Fault("votes.csv", "bad")] * 2100
    page = write_sheet("trial", None, None, faults=faults)
    assert "2,100 faults to mend" in page
    assert "and 2,000 more" in page
