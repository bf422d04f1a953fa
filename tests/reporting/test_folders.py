import pytest

from polypskd.errors import OutputError
from polypskd.reporting import folders


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    place = tmp_path / "tables"
    folders.replace_folder(place, {"a.csv": b"1", "b.csv": b"2"})
    folders.replace_folder(place, {"b.csv": b"3"})
    assert [path.name for path in sorted(place.glob("[!.]*"))] == ["b.csv"]
    assert (place / "b.csv").read_bytes() == b"3"
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("marker", ["absent", "damaged", "of another shape"])
def test_a_folder_of_somebody_else_is_refused_and_kept(tmp_path, marker):
    place = tmp_path / "tables"
    place.mkdir()
    (place / "mine.csv").write_text("mine")
    text = {"damaged": "{", "of another shape": "[]"}.get(marker)
    if text:
        (place / folders.MARKER).write_text(text)
    with pytest.raises(OutputError, match=r"mine\.csv: not made by polypskd; move it away"):
        folders.replace_folder(place, {"a.csv": b"1"})
    assert (place / "mine.csv").read_text() == "mine"
    assert not (place / "a.csv").exists()


def test_a_file_put_beside_ours_is_refused_and_what_a_file_browser_leaves_is_not(tmp_path):
    place = tmp_path / "paper"
    folders.replace_folder(place, {"methods.md": b"1"})
    (place / ".DS_Store").write_text("")
    folders.replace_folder(place, {"methods.md": b"2"})
    (place / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"notes\.txt: not made"):
        folders.refuse_foreign(place)
    folders.remove_folder(place)
    assert (place / "notes.txt").exists()


def test_a_file_of_ours_that_was_changed_by_hand_is_refused_and_kept(tmp_path):
    place = tmp_path / "paper"
    folders.replace_folder(place, {"methods.md": b"1"})
    (place / "methods.md").write_text("better words")
    with pytest.raises(OutputError, match=r"methods\.md: changed by hand"):
        folders.replace_folder(place, {"methods.md": b"2"})
    assert (place / "methods.md").read_text() == "better words"


def test_a_link_in_the_place_of_a_folder_is_refused_and_its_target_kept(tmp_path):
    target = tmp_path / "elsewhere"
    folders.replace_folder(target, {"a.csv": b"1"})
    (tmp_path / "tables").symlink_to(target)
    with pytest.raises(OutputError, match="not a folder"):
        folders.replace_folder(tmp_path / "tables", {"a.csv": b"2"})
    assert (target / "a.csv").read_bytes() == b"1"


def test_a_text_that_is_not_sealed_is_refused(tmp_path):
    card = tmp_path / "model_card.md"
    folders.refuse_unsealed(card)
    card.write_text(folders.seal("ours"))
    folders.refuse_unsealed(card)
    card.write_text(card.read_text() + "and a word of mine")
    with pytest.raises(OutputError, match="changed by hand"):
        folders.refuse_unsealed(card)


def test_removing_a_report_leaves_what_is_not_ours(tmp_path):
    folders.replace_folder(tmp_path / "tables", {"a.csv": b"1"})
    folders.replace_folder(tmp_path / "paper", {"methods.md": b"1"})
    (tmp_path / "paper" / "methods.md").write_text("mine")
    (tmp_path / "model_card.md").write_text("mine")
    (tmp_path / "data_sheet.md").write_text(folders.seal("ours"))
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.4 printed from a browser")
    (tmp_path / "report.html").write_text("ours")
    folders.remove_report(tmp_path, ("report.html",))
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("[!.]*")}
    assert left == {"paper", "paper/methods.md", "model_card.md", "report.pdf"}
