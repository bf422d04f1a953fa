import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polypskd.cohort.field import find_field
from polypskd.cohort.outline import halve_pixels
from polypskd.cohort.preparation import prepare_frame
from polypskd.cohort.quality import measure_quality
from polypskd.deployment.prediction.halving import Halver


def draw(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(1, 90), st.integers(1, 90)),
    st.integers(2, 50),
)
def test_what_is_remembered_has_the_bits_of_what_is_halved_anew(shape, part, below):
    whole = draw(*shape)
    top, left, height, width = part
    piece = whole[top : top + height, left : left + width]
    halve = Halver()
    halve.start(whole)
    for pixels in (whole, piece, whole):
        if pixels.size:
            found, halvings = halve(pixels, below)
            expected, count = halve_pixels(pixels, below)
            assert halvings == count
            np.testing.assert_array_equal(found, expected)


def test_one_memory_serves_frames_of_all_sizes():
    halve = Halver()
    for turn, side in enumerate((64, 200, 17, 64)):
        whole = draw(side, side + 3, turn)
        halve.start(whole)
        np.testing.assert_array_equal(halve(whole, 20)[0], halve_pixels(whole, 20)[0])


def test_a_picture_that_is_no_part_of_the_frame_is_halved_for_itself():
    halve = Halver()
    other = draw(40, 60, 1)
    np.testing.assert_array_equal(halve(other, 20)[0], halve_pixels(other, 20)[0])
    halve.start(draw(40, 60))
    for pixels in (other, other[::-1], np.ascontiguousarray(other.transpose(1, 0, 2))):
        np.testing.assert_array_equal(halve(pixels, 20)[0], halve_pixels(pixels, 20)[0])


def test_threads_do_not_share_what_is_remembered():
    halve, found = Halver(), []
    whole = draw(64, 64)
    halve.start(whole)
    mine = halve(whole, 20)[0]

    def work():
        other = draw(64, 64, 1)
        halve.start(other)
        found.append(halve(other, 20)[0].copy())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    np.testing.assert_array_equal(mine, halve_pixels(whole, 20)[0])
    np.testing.assert_array_equal(found[0], halve_pixels(draw(64, 64, 1), 20)[0])


def test_field_quality_and_preparation_are_the_same_with_it():
    whole = np.zeros((700, 900, 3), np.uint8)
    whole[40:660, 96:800] = draw(620, 704) // 3 + np.array([110, 50, 40], np.uint8)
    halve = Halver()
    halve.start(whole)
    assert find_field(whole, halve) == find_field(whole)
    assert measure_quality(whole, halve=halve) == measure_quality(whole)
    np.testing.assert_array_equal(prepare_frame(whole, 224, halve=halve), prepare_frame(whole, 224))
