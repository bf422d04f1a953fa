"""The audit log: lines, chain, seals, files, and what is found in them."""
