"""Private attributes: only numbers, only those a rule names, only under their creator."""

import pydicom
from planting import draw_dataset, plant_private

from polypskd.deployment.deidentification.attributes import Cleaning, Patient, clean_attributes
from polypskd.deployment.deidentification.private import SafePrivate

KEY, PATIENT = b"k" * 32, Patient("p", -1)


def clean(*safe):
    dataset = draw_dataset()
    plant_private(dataset)
    return clean_attributes(dataset, Cleaning(KEY, private=safe), PATIENT)


def test_no_private_attribute_stays_unasked():
    assert not [one for one in clean() if one.tag.is_private]


def test_a_number_that_a_rule_calls_safe_stays_with_its_creator():
    kept = [one for one in clean(SafePrivate("ZQ CREATOR B", 0x0019, 0x04)) if one.tag.is_private]
    assert [(one.tag, one.value) for one in kept] == [
        (0x00190011, "ZQ CREATOR B"),
        (0x00191104, 0x515A),
    ]


def test_text_stays_out_whatever_a_rule_says():
    for element in (0x01, 0x02, 0x03):
        assert not [
            one for one in clean(SafePrivate("ZQ CREATOR A", 0x0019, element)) if one.tag.is_private
        ]


def test_another_creators_block_stays_out():
    assert not [one for one in clean(SafePrivate("OTHER", 0x0019, 0x04)) if one.tag.is_private]


def test_the_creator_is_written_as_the_rule_says_it(tmp_path):
    dataset = pydicom.Dataset()
    block = dataset.private_block(0x0019, "SAFE ", create=True)
    block.add_new(0x01, "US", 5)
    made = clean_attributes(
        dataset, Cleaning(KEY, private=(SafePrivate("SAFE", 0x19, 1),)), PATIENT
    )
    assert made[0x00190010].value == "SAFE"
