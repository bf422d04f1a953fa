"""What the votes mean: agreement, consensus, subclasses, curriculum."""
