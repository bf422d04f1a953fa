"""Answering the archive (PACS): studies in, results out, each exactly once."""
