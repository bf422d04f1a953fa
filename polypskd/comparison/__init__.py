"""Methods × seeds, and what they say together."""
