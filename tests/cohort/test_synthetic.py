import csv
import json
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm, spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from polypskd.cohort.annotators import MISSING, Annotator, cast_votes, invite_annotators
from polypskd.cohort.drawing import draw_frame, draw_look
from polypskd.cohort.surface import HISTOLOGIES
from polypskd.cohort.synthetic import draw_cohort, name_histologies, plan_frames
from polypskd.config import SyntheticFrames
from polypskd.errors import ConfigError, OutputError
from polypskd.metrics.clinical.endpoints import band_sizes

CLASSES = ("hyperplastic", "adenoma")
SMALL = SyntheticFrames(patients=6, frames_per_patient=2, size=48, annotators=3)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def look_at(image: NDArray[np.uint8]) -> list[float]:
    """Color of the middle against the rest, and how rough it is at four scales."""
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    low, high = int(len(lab) * 0.33), int(len(lab) * 0.67)
    middle = lab[low:high, low:high]
    seen = lab.reshape(-1, 3)[lab[..., 0].ravel() > 15]
    values = [*middle.mean((0, 1)), *(middle.mean((0, 1)) - np.median(seen, 0))]
    for channel in (middle[..., 0], middle[..., 1]):
        last = channel
        for sigma in (1.0, 1.6, 2.6, 4.2):
            smooth = cv2.GaussianBlur(channel, (0, 0), sigma)
            band = last - smooth
            values += [np.log(np.median(np.abs(band)) + 0.01), (band**3).mean() / band.std() ** 3]
            last = smooth
    return values


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "cohort"
    draw_cohort(SyntheticFrames(patients=44, size=64), CLASSES, seed=5, folder=folder)
    return folder


# --- frames -------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(
    histology=st.sampled_from(HISTOLOGIES),
    difficulty=st.floats(0, 1),
    size=st.integers(16, 260),
    seed=st.integers(0, 2**32),
)
def test_every_frame_is_a_lit_scene_in_a_dark_border(
    histology: str, difficulty: float, size: int, seed: int
) -> None:
    def draw() -> NDArray[np.uint8]:
        rng = np.random.default_rng(seed)
        look = draw_look(rng)
        return draw_frame(rng, histology=histology, difficulty=difficulty, size=size, look=look)

    frame = draw()
    assert frame.shape == (size, size, 3)
    assert frame.dtype == np.uint8
    assert np.array_equal(frame, draw())
    assert frame[0, 0].max() < 40
    red, green, blue = frame[size // 4 : -size // 4, size // 4 : -size // 4].mean((0, 1))
    assert red > green > 0.6 * blue
    assert 60 < red < 250


def test_a_hard_frame_is_smoother_than_an_easy_one() -> None:
    def detail(difficulty: float) -> float:
        values = []
        for seed in range(12):
            rng = np.random.default_rng(seed)
            look = draw_look(rng)
            frame = draw_frame(rng, histology="adenoma", difficulty=difficulty, size=128, look=look)
            middle = cv2.GaussianBlur(frame[32:96, 32:96, 1].astype(np.float32), (0, 0), 1.5)
            values.append(np.median(np.abs(cv2.Laplacian(middle, cv2.CV_32F))))
        return float(np.mean(values))

    assert detail(0.0) > 1.5 * detail(1.0)


def test_frames_of_one_patient_share_their_border_and_color(cohort: Path) -> None:
    colors, borders = defaultdict(list), defaultdict(set)
    for row in read(cohort / "frames.csv"):
        image = cv2.imread(str(cohort / "frames" / row["frame"])).astype(np.float64)
        lit = image[image.max(-1) > 60]
        colors[row["patient"]].append(np.log(lit[:, 2].mean() / lit[:, 0].mean()))
        borders[row["patient"]].add(bool(image[2, 20].max() > 40))
    within = np.mean([np.var(values) for values in colors.values()])
    between = np.var([np.mean(values) for values in colors.values()])
    assert between > 4 * within
    assert np.mean([len(kinds) == 1 for kinds in borders.values()]) > 0.6


@pytest.mark.parametrize(
    ("histology", "difficulty", "size"),
    [("lipoma", 0.5, 64), ("adenoma", 1.5, 64), ("adenoma", -0.1, 64), ("adenoma", 0.5, 8)],
)
def test_a_frame_out_of_range_is_refused(histology: str, difficulty: float, size: int) -> None:
    rng = np.random.default_rng(0)
    look = draw_look(rng)
    with pytest.raises(ValueError, match=r"histology|out of range"):
        draw_frame(rng, histology=histology, difficulty=difficulty, size=size, look=look)


# --- what can be learnt from them ----------------------------------------------------------------


def test_simple_features_tell_easy_frames_apart_and_hard_ones_less(cohort: Path) -> None:
    rows = read(cohort / "frames.csv")
    images = [cv2.imread(str(cohort / "frames" / row["frame"]))[..., ::-1] for row in rows]
    labels = np.array([row["true_class"] for row in rows])
    difficulty = np.array([float(row["true_difficulty"]) for row in rows])
    patients = np.array([row["patient"] for row in rows])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000))

    def judge(features: NDArray[np.float64], chosen: NDArray[np.bool_]) -> float:
        guesses = cross_val_predict(model, features, labels, groups=patients, cv=GroupKFold(5))
        return float(f1_score(labels[chosen], guesses[chosen], average="macro"))

    everyone = np.ones(len(rows), bool)
    detailed = np.array([look_at(image) for image in images])
    mean_color = np.array([image.mean((0, 1)) for image in images])
    easy, hard = judge(detailed, difficulty < 0.4), judge(detailed, difficulty > 0.7)
    assert easy > 0.8
    assert hard < easy - 0.1
    assert judge(detailed, everyone) < 0.95
    assert judge(mean_color, everyone) < 0.65


# --- the plan -----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    patients=st.integers(6, 40),
    frames=st.integers(1, 9),
    difficulty=st.floats(0, 1),
    classes=st.sampled_from([CLASSES, ("a", "b", "c")]),
    seed=st.integers(0, 2**40),
)
def test_a_plan_covers_all_classes_and_keeps_lesions_within_patients(
    patients: int, frames: int, difficulty: float, classes: tuple[str, ...], seed: int
) -> None:
    config = SyntheticFrames(patients=patients, frames_per_patient=frames, difficulty=difficulty)
    plan = plan_frames(config, classes, seed=seed)
    assert len({row.frame for row in plan}) == len(plan) == patients * frames
    assert {row.true_class for row in plan} == set(classes)
    assert all(0 <= row.true_difficulty <= 1 for row in plan)
    owners, kinds = defaultdict(set), defaultdict(set)
    for row in plan:
        assert row.frame.startswith(f"{row.patient}/")
        owners[row.lesion].add(row.patient)
        kinds[row.lesion].add(row.true_class)
    assert all(len(owner) == 1 for owner in owners.values())
    assert all(len(kind) == 1 for kind in kinds.values())
    assert len(owners) <= 2 * patients


def test_the_configured_difficulty_is_the_mean_difficulty() -> None:
    for difficulty in (0.1, 0.5, 0.9):
        config = SyntheticFrames(patients=900, frames_per_patient=3, difficulty=difficulty)
        drawn = [row.true_difficulty for row in plan_frames(config, CLASSES, seed=1)]
        assert np.mean(drawn) == pytest.approx(0.08 + 0.84 * difficulty, abs=0.03)


def test_frames_of_one_lesion_are_alike_in_difficulty() -> None:
    groups = defaultdict(list)
    for row in plan_frames(SyntheticFrames(patients=200), CLASSES, seed=2):
        groups[row.lesion].append(row.true_difficulty)
    assert np.mean([np.std(group) for group in groups.values()]) < 0.1
    assert np.std([np.mean(group) for group in groups.values()]) > 0.2


def test_classes_are_drawn_in_order_of_risk() -> None:
    assert list(name_histologies(["HP", "AD"]).items()) == [
        ("HP", "hyperplastic"),
        ("AD", "adenoma"),
    ]
    assert list(name_histologies("xyz").values()) == ["hyperplastic", "serrated", "adenoma"]


# --- annotators ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("skill", "bias", "difficulty"), [(3, 0, 0.4), (2, 0.6, 0.7), (4, 1, 1.0)])
def test_two_class_votes_follow_the_normal_law(
    skill: float, bias: float, difficulty: float
) -> None:
    rng = np.random.default_rng(8)
    crowd = [Annotator("x", skill, bias)] * 40_000
    for true_class, sign in ((1, 1), (0, -1)):
        votes = cast_votes(rng, crowd, true_class=true_class, n_classes=2, difficulty=difficulty)
        given_votes = votes[votes >= 0]
        expected = norm.cdf((bias + sign * skill * (1 - difficulty)) / np.sqrt(2))
        assert np.mean(given_votes == 1) == pytest.approx(expected, abs=0.012)
        assert np.mean(votes == -1) == pytest.approx(MISSING, abs=0.006)


def test_a_frame_is_never_left_without_votes() -> None:
    lone = [Annotator("annotator_1", 1.0, 0.0)]
    rng = np.random.default_rng(0)
    for _ in range(300):
        votes = cast_votes(rng, lone, true_class=0, n_classes=3, difficulty=1.0)
        assert 0 <= votes[0] <= 2


def test_the_skilled_are_right_more_often_and_agreement_falls_with_difficulty() -> None:
    people = invite_annotators(7, seed=4)
    plan = plan_frames(SyntheticFrames(patients=150), CLASSES, seed=4)
    rng = np.random.default_rng(4)
    right, agreement = [], []
    for row in plan:
        truth = CLASSES.index(row.true_class)
        votes = cast_votes(
            rng, people, true_class=truth, n_classes=2, difficulty=row.true_difficulty
        )
        right.append(np.where(votes < 0, np.nan, votes == truth))
        agreement.append(np.bincount(votes[votes >= 0]).max() / (votes >= 0).sum())
    accuracy = np.nanmean(right, axis=0)
    skill = [person.skill for person in people]
    assert spearmanr(skill, accuracy).statistic > 0.85
    assert accuracy[0] > accuracy[-1] + 0.1
    assert spearmanr(agreement, [row.true_difficulty for row in plan]).statistic < -0.4


def test_an_over_caller_votes_for_the_risky_class_more_often() -> None:
    rng = np.random.default_rng(1)
    pair = [Annotator("calm", 2.0, 0.0), Annotator("anxious", 2.0, 1.0)]
    votes = np.array(
        [cast_votes(rng, pair, true_class=0, n_classes=3, difficulty=0.5) for _ in range(2000)]
    )
    assert (votes[:, 1] == 2).mean() > (votes[:, 0] == 2).mean() + 0.1


# --- the folder ---------------------------------------------------------------------------------


def test_the_tables_and_the_frames_fit_together(cohort: Path) -> None:
    rows, votes = read(cohort / "frames.csv"), read(cohort / "votes.csv")
    place = ["frame", "patient", "lesion", "size_mm", "segment", "histology", "endoscope"]
    assert list(rows[0]) == [*place, "true_class", "true_difficulty"]
    assert list(votes[0]) == ["frame", "annotator", "vote"]
    on_disk = {path.relative_to(cohort / "frames").as_posix() for path in cohort.rglob("*.png")}
    assert {row["frame"] for row in rows} == {row["frame"] for row in votes} == on_disk
    assert {row["annotator"] for row in votes} == {f"annotator_{n}" for n in range(1, 8)}
    assert {row["vote"] for row in votes} == set(CLASSES)
    assert len({(row["frame"], row["annotator"]) for row in votes}) == len(votes)
    assert 1 - len(votes) / (7 * len(rows)) == pytest.approx(MISSING, abs=0.02)
    assert cv2.imread(str(cohort / "frames" / "p001" / "f001.png")).shape == (64, 64, 3)


def test_what_is_told_of_a_lesion_is_the_same_on_all_its_frames(cohort: Path) -> None:
    rows = read(cohort / "frames.csv")
    told = {}
    for row in rows:
        lesion = tuple(row[name] for name in ("patient", "size_mm", "segment", "true_class"))
        assert told.setdefault(row["lesion"], lesion) == lesion
        assert told.setdefault(row["patient"], row["endoscope"]) == row["endoscope"]
        called = {"hyperplastic": "hyperplastic", "adenoma": "tubular"}
        assert row["histology"] == called[row["true_class"]]
    sizes = np.array([float(row["size_mm"]) for row in rows])
    assert sizes.min() >= 1
    assert {"diminutive", "small"} <= set(band_sizes(sizes).tolist())
    assert len({row["segment"] for row in rows}) > 3
    assert len({row["endoscope"] for row in rows}) == 2


def test_equal_seeds_give_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        draw_cohort(SMALL, CLASSES, seed=seed, folder=tmp_path / "deep" / name)
    first, same, other = (contents(tmp_path / "deep" / name) for name in "abc")
    assert first == same
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first if name.endswith(".png"))
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["a", "b", "c"]


def test_a_larger_cohort_begins_with_the_smaller_one(tmp_path: Path) -> None:
    more = SMALL.model_copy(update={"patients": 8})
    draw_cohort(SMALL, CLASSES, seed=1, folder=tmp_path / "few")
    draw_cohort(more, CLASSES, seed=1, folder=tmp_path / "many")
    few, many = contents(tmp_path / "few" / "frames"), contents(tmp_path / "many" / "frames")
    assert len(few) < len(many)
    assert few.items() <= many.items()
    for table in ("frames.csv", "votes.csv"):
        assert (
            (tmp_path / "many" / table)
            .read_bytes()
            .startswith((tmp_path / "few" / table).read_bytes())
        )


def test_a_finished_folder_is_left_alone_until_its_settings_change(tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    draw_cohort(SMALL, CLASSES, seed=1, folder=folder)
    first = contents(folder)
    marker = folder / "frames" / "p001" / "f001.png"
    before = marker.stat().st_mtime_ns
    draw_cohort(SMALL, CLASSES, seed=1, folder=folder)
    assert marker.stat().st_mtime_ns == before
    marker.unlink()
    draw_cohort(SMALL, CLASSES, seed=1, folder=folder)
    assert contents(folder) == first
    draw_cohort(SMALL, CLASSES, seed=2, folder=folder)
    assert json.loads((folder / "settings.json").read_text())["seed"] == 2
    assert contents(folder).keys() == first.keys()
    assert [path.name for path in tmp_path.iterdir()] == ["cohort"]


def test_a_folder_of_the_users_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"drawn_by": "me"}')
    with pytest.raises(OutputError, match="not drawn by polypskd"):
        draw_cohort(SMALL, CLASSES, seed=1, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OutputError, match="not drawn by polypskd"):
        draw_cohort(SMALL, CLASSES, seed=1, folder=file)


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    draw_cohort(SMALL, ("low", "middle", "high"), seed=1, folder=tmp_path)
    assert {row["true_class"] for row in read(tmp_path / "frames.csv")} == {"low", "middle", "high"}


def test_a_parent_that_is_a_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written") as caught:
        draw_cohort(SMALL, CLASSES, seed=1, folder=tmp_path / "file" / "cohort")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("classes", [("a",), ("a", "b", "c", "d")])
def test_more_than_three_classes_cannot_be_drawn(tmp_path: Path, classes: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="synthetic frames"):
        draw_cohort(SMALL, classes, seed=1, folder=tmp_path / "cohort")
    assert not any(tmp_path.iterdir())
