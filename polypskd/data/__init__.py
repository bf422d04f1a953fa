"""What the network sees: stored pixels and seeded views."""
