"""Tools for a model: info, benchmark."""
