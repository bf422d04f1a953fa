"""From a run to a bundle: the one part of the deployment that needs torch."""
