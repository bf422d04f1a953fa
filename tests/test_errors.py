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
