import numpy as np
import pytest

from polypskd.config import Augment
from polypskd.data.augment import build_transform, draw_view, open_views, view_seed
from polypskd.data.store import PixelStore

ROWS = np.arange(6)


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3), dtype=np.uint8)


def test_a_view_depends_on_frame_view_and_seed_but_not_on_order(frames, tmp_path):
    ids = [f"f{n}" for n in range(6)]
    config = Augment(size=32, views=3)
    store = PixelStore(frames, "a" * 64, tmp_path)
    turned = PixelStore(frames[::-1].copy(), "b" * 64, tmp_path)
    forward = open_views(store, ROWS, ids, 1, config=config, seed=5)
    backward = open_views(turned, ROWS, ids[::-1], 1, config=config, seed=5)
    np.testing.assert_array_equal(forward, backward[::-1])
    assert not np.array_equal(forward, open_views(store, ROWS, ids, 2, config=config, seed=5))
    assert not np.array_equal(forward, open_views(store, ROWS, ids, 1, config=config, seed=6))


def test_a_view_drawn_again_is_the_same_to_the_byte(frames):
    config = Augment(size=32)
    seed = view_seed("f0", 3, 17)
    first = draw_view(build_transform(config), frames[0], seed)
    used = build_transform(config)
    draw_view(used, frames[1], 99)
    np.testing.assert_array_equal(first, draw_view(used, frames[0], seed))


def test_all_strengths_at_zero_leave_the_frame_alone(frames):
    config = Augment(size=32, color=0, flip="none", rotate=0, scale=0, blur=0, cutout=0)
    np.testing.assert_array_equal(draw_view(build_transform(config), frames[0], 1), frames[0])


def test_views_are_drawn_once(frames, tmp_path):
    store = PixelStore(frames, "a" * 64, tmp_path)
    ids = [f"f{n}" for n in range(6)]
    open_views(store, ROWS, ids, 0, config=Augment(size=32), seed=1)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    open_views(store, ROWS, ids, 0, config=Augment(size=32), seed=1)
    assert file.stat().st_mtime_ns == written


def test_a_view_of_some_frames_is_that_of_their_rows(frames, tmp_path):
    config = Augment(size=32)
    store = PixelStore(frames, "a" * 64, tmp_path)
    ids = [f"f{n}" for n in range(6)]
    every = open_views(store, ROWS, ids, 0, config=config, seed=5)
    some = open_views(store, np.array([4, 1]), [ids[4], ids[1]], 0, config=config, seed=5)
    np.testing.assert_array_equal(some, every[[4, 1]])
