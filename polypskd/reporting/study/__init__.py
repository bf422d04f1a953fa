"""The parts of a report that tell of a study: sentences, tables and figures of its sections."""
