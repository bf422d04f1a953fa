"""What leaves a hospital, and what runs in it."""
