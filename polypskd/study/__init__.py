"""A validation study of one run: what the student is asked beyond accuracy and calibration."""
