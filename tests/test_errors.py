from polypskd.errors import CohortError, Fault


def test_a_fault_is_one_line_with_where_what_value_and_what_to_do():
    fault = Fault("a.csv row 3", "unknown class", "x\ny", "use one of: a, b")
    assert str(fault) == "a.csv row 3: unknown class 'x\\ny'; use one of: a, b"


def test_at_most_twenty_faults_are_shown_and_the_rest_counted():
    text = str(CohortError([Fault(f"row {n}", "bad") for n in range(57)]))
    assert len(text.splitlines()) == 21
    assert text.endswith("... and 37 more faults")


def test_the_way_round_faults_is_told_where_all_belong_to_frames():
    of_frames = [Fault(f"row {n}", "bad", frame=f"f{n}") for n in range(30)]
    error = CohortError(of_frames)
    assert error.count == 30
    assert error.lines[-1] == (
        "frames with faults can be left out and listed: cohort.drop_faulty: true"
    )
    assert len(error.lines) == 22
    mixed = CohortError([*of_frames[:2], Fault("votes.csv", "no column", "vote")])
    assert len(mixed.lines) == mixed.count == 3


def test_a_value_that_is_wrong_in_many_rows_is_one_line_with_a_count_and_three_places():
    typed = [Fault(f"v.csv row {n}", "unknown class", "adenom", "use adenoma") for n in range(150)]
    other = [Fault(f"v.csv row {n}", "unknown class", "polip", "use polyp") for n in range(3)]
    error = CohortError([*typed[:5], *other, *typed[5:]])
    assert error.lines == (
        "150 times, first in v.csv row 0, v.csv row 1, v.csv row 2: unknown class 'adenom'; "
        "use adenoma",
        *(f"v.csv row {n}: unknown class 'polip'; use polyp" for n in range(3)),
    )
    assert error.count == 153
