from polypskd.reporting.study.cams import tell_cams


def test_the_words_name_the_method_and_its_limits():
    (told,) = tell_cams({"rows": [2], "method": "Grad-CAM", "layer": "layer4"})
    assert "(Grad-CAM, stage layer4)" in told
    assert "not why" in told
