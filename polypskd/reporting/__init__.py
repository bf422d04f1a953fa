"""For people: figures and the report."""
