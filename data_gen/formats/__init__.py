"""One module a file format: a file becomes coordinates, and nothing else knows how it was written."""
