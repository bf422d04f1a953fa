import base64

from polypskd.reporting.figures import style
from polypskd.reporting.study.soft_labels import (
    draw_soft_labels,
    tabulate_soft_labels,
    tell_soft_labels,
)

NAMES = (
    *("cross_entropy", "kl", "brier", "brier_debiased"),
    *("total_variation", "ece", "ece_classwise"),
)


def scores(value, frames=90):
    one = {"value": value, "low": value - 0.05, "high": value + 0.05}
    return {**dict.fromkeys(NAMES, one), "n_frames": frames, "n_patients": 20}


def make_section(*, after=0.3, left_out=0):
    section = {
        **{"confidence": 0.9, "left_out": left_out, "unanimous": 0.25, "entropy": 0.321},
        **{"vote_noise": 0.012, "least_frames": 30, "least_patients": 10},
        "votes_per_frame": {"min": 3, "mean": 4.5, "max": 5},
        "before": scores(0.4),
        "levels": {
            "easy": {"n_frames": 50, "n_patients": 18, "before": scores(0.2)},
            "<i>hard": {"n_frames": 35, "n_patients": 15, "before": scores(0.6)},
            "few": {"n_frames": 5, "n_patients": 4, "not_assessable": "few"},
        },
    }
    if after is not None:
        section["after"] = scores(after)
        for level in ("easy", "<i>hard"):
            section["levels"][level]["after"] = scores(after)
    return section


def find(table, heading):
    (row,) = (row for row in table.rows if row[0] == heading)
    return dict(zip(table.head, row, strict=True))


def test_scores_stand_before_and_after_with_what_votes_allow():
    table = tabulate_soft_labels(make_section())[0]
    row = find(table, "KL divergence, nats")
    assert row["As it is"] == "0.400 (0.350 to 0.450)"
    assert row["After temperature scaling"] == "0.300 (0.250 to 0.350)"
    assert "at least 0.321" in table.caption
    assert "add 0.012" in table.caption
    assert len(table.rows) == len(NAMES)


def test_levels_have_numbers_where_they_are_large_enough():
    table = tabulate_soft_labels(make_section())[1]
    assert find(table, "easy")["Total variation, as it is"] == "0.200 (0.150 to 0.250)"
    assert find(table, "easy")["ECE, after"] == "0.300 (0.250 to 0.350)"
    row = find(table, "few")
    assert (row["Frames"], row["KL, as it is"]) == ("5", "–")


def test_without_scaling_there_is_one_column():
    tables = tabulate_soft_labels(make_section(after=None))
    assert tables[0].head == ("", "As it is")
    assert tables[1].head[3:] == ("KL, as it is", "Total variation, as it is", "ECE, as it is")


def test_sentences_say_how_far_and_whether_scaling_helps():
    told = tell_soft_labels(make_section(left_out=7))
    assert "90 frames with 3 to 5 votes each, 25% of them unanimous" in told[0]
    assert "lie 0.400 (0.350 to 0.450) from" in told[0]
    assert "nearer to the votes: KL divergence 0.400 before and 0.300 after" in told[1]
    assert told[2].startswith("7 frames of fewer than two votes")
    assert "no nearer" in tell_soft_labels(make_section(after=0.5))[1]
    same = make_section(after=None) | {"votes_per_frame": {"min": 5, "mean": 5.0, "max": 5}}
    (one,) = tell_soft_labels(same)
    assert "90 frames with 5 votes each" in one


def test_the_figure_says_in_words_what_it_shows():
    with style():
        (picture,) = draw_soft_labels(make_section())
    assert "as it is easy 0.200, <i>hard 0.600; after temperature scaling easy 0.300" in picture.alt
    svg = base64.b64decode(picture.source.split(",")[1]).decode()
    assert "&lt;i&gt;hard" in svg
    assert "few" not in svg


def test_one_level_is_no_figure():
    section = make_section()
    section["levels"].pop("easy")
    assert draw_soft_labels(section) == []


def test_a_section_that_is_not_assessable_has_a_reason_and_nothing_else():
    section = {"not_assessable": "no test frame has two votes"}
    assert tabulate_soft_labels(section) == draw_soft_labels(section) == []
    assert "no test frame has two votes" in tell_soft_labels(section)[0]
