from polypskd.errors import CohortError, Fault


def test_a_fault_is_one_line_with_where_what_value_and_what_to_do():
    fault = Fault("a.csv row 3", "unknown class", "x\ny", "use one of: a, b")
    assert str(fault) == "a.csv row 3: unknown class 'x\\ny'; use one of: a, b"


def test_at_most_twenty_faults_are_shown_and_the_rest_counted():
    text = str(CohortError([Fault(f"row {n}", "bad") for n in range(57)]))
    assert len(text.splitlines()) == 21
    assert text.endswith("... and 37 more faults")
