"""`init` and `check` as a new user meets them."""

import pytest
from hospital_files import write_image, write_table
from typer.testing import CliRunner

from polypskd.cli import app

PAGE = """\
name: trial
cohort:
  frames: {{kind: image_folder, root: frames}}
  votes: {{kind: wide, path: votes.csv, annotators: [A, B]}}
  classes: [low, high]
{more}
"""


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def page(tmp_path):
    rows = []
    for number in range(24):
        write_image(tmp_path / f"frames/{number}.png", number)
        vote = "low" if number % 2 else "high"
        rows.append(f"{number}.png,{vote},{vote}")
    write_table(tmp_path / "votes.csv", "frame,A,B", rows)

    def write(more=""):
        path = tmp_path / "trial.yaml"
        path.write_text(PAGE.format(more=more))
        return path

    return write


def test_a_check_that_stops_writes_the_page_with_its_faults_and_says_so(page, tmp_path):
    (tmp_path / "frames/3.png").write_bytes(b"no image")
    done = call("check", page(), "--html", tmp_path / "sheet.html")
    assert done.exit_code == 1
    assert f"Wrote {tmp_path / 'sheet.html'}, with the faults on top" in done.stderr
    text = (tmp_path / "sheet.html").read_text()
    assert text.index("3.png: not a readable image") < text.index('alt="Frame 4.png"')


def test_a_check_that_stops_at_the_config_writes_the_page_too(page, tmp_path):
    config = page("student: {method: {kind: skd}}")
    done = call("check", config, "--html", tmp_path / "sheet.html")
    assert done.exit_code == 1
    assert "Wrote" in done.stderr
    text = (tmp_path / "sheet.html").read_text()
    assert "config: student.method: skd needs a class with more than one subclass" in text
    assert 'alt="Frame 4.png"' in text


def test_a_config_that_cannot_be_read_is_said_to_give_no_page(page, tmp_path):
    done = call("check", page("typo: 3"), "--html", tmp_path / "sheet.html")
    assert done.exit_code == 1
    assert "no page was made" in done.stderr
    assert not (tmp_path / "sheet.html").exists()
