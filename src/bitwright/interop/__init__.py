"""A graph as a neighbour's format, one neighbour a file."""
