"""The report's sections: each a function of a run's record, listed in `registry`."""
