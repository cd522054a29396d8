"""The configuration of a run: schema, reading, checking, published names."""
