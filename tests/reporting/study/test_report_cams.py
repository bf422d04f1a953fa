import base64

import numpy as np

from polypskd.reporting.study.cams import read_cams, tell_cams
from polypskd.study.cams import paint_heat


def test_maps_that_are_there_are_read_and_others_left_out(tmp_path):
    folder = tmp_path / "cams"
    folder.mkdir()
    picture = paint_heat(np.eye(3, dtype=np.float32))
    (folder / "2.png").write_bytes(picture)
    (folder / "3.png").write_text("not a picture")
    (folder / "9.png").write_bytes(picture)
    found = read_cams({"rows": [2, 3, 4]}, tmp_path)
    assert list(found) == [2]
    assert base64.b64decode(found[2].partition("base64,")[2]) == picture
    assert read_cams({"not_assessable": "a frame has gone"}, tmp_path) == {}


def test_the_words_name_the_method_and_its_limits():
    (told,) = tell_cams({"rows": [2], "method": "Grad-CAM", "layer": "layer4"})
    assert "(Grad-CAM, stage layer4)" in told
    assert "not why" in told
