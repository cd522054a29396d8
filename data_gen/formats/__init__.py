"""Readers, one module a file format: only the reader of a format knows how its files are written."""
