"""DICOM files, images and videos without their patients: rules, values, pixels."""
