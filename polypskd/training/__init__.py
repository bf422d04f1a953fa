"""Teacher, targets, student."""
