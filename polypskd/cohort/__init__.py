"""What we were given: frames, votes, patients, splits."""
