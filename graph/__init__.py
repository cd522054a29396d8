"""Skeletons and their graphs: one module a skeleton, `graph.tools` for what they share."""
