"""What goes back into the archive, object by object."""
