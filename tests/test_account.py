import pytest

from polypskd import account
from polypskd.artifacts import RunLog, write_json
from polypskd.config import Config
from polypskd.runs import LABELS, NUMBERS, STUDENT, Run
from polypskd.study import frames, opening, sections

AWAY = {"not_assessable": "a frame has gone or cannot be read; `polypskd check CONFIG` tells which"}


@pytest.fixture
def make_run(tmp_path, monkeypatch):
    """Give a run whose study is told and not made: its frames are there, or away."""

    def make(kind, told):
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        for name in (*LABELS, *NUMBERS[:2], NUMBERS[3], STUDENT[0]):
            (folder / name).write_text("x")
        given = {"kind": kind} | ({"root": str(tmp_path)} if kind == "image_folder" else {})
        page = {
            "name": "x",
            "cohort": {
                "frames": given,
                "votes": {"kind": "long", "path": "votes.csv"},
                "classes": ["low", "high"],
            },
        }
        monkeypatch.setattr(opening, "open_study", lambda folder, config: None)
        monkeypatch.setattr(sections, "describe_study", lambda data, progress: {"classes": []})
        both = {"robustness": told, "cams": told}
        monkeypatch.setattr(frames, "describe_frames", lambda run, data: both)
        return Run(folder, Config.model_validate(page), RunLog(folder / "log.jsonl"))

    return make


def test_a_study_made_while_frames_were_away_is_made_again(make_run):
    assert account.study(make_run("image_folder", AWAY))
    assert account.study(make_run("image_folder", AWAY))
    back = make_run("image_folder", {"rows": []})
    assert account.study(back)
    assert not account.study(back)


def test_a_fresh_study_stays_while_frames_are_away(make_run):
    account.study(make_run("image_folder", {"rows": []}))
    assert not account.study(make_run("image_folder", AWAY))


def test_votes_without_frames_are_studied_once(make_run):
    assert account.study(make_run("none", AWAY))
    assert not account.study(make_run("none", AWAY))


def test_a_study_changed_since_it_was_made_is_made_again(make_run):
    run = make_run("none", AWAY)
    account.study(run)
    write_json(run.folder / "study.json", {"cams": {}})
    assert account.study(run)
