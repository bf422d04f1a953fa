"""Networks, stored and run."""
