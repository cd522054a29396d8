"""The last features of some samples in a plane, by t-SNE."""

from __future__ import annotations

import numpy as np

FEWEST = 5  # samples that make a picture


def embed(features: np.ndarray) -> tuple[np.ndarray, str]:
    """(n, D) -> (n, 2) from 0 to 1, and the name of the method: t-SNE, or without scikit-learn principal components.

    Source: van der Maaten and Hinton, *Visualizing data using t-SNE*, JMLR 2008. The same features give the same plane.
    `n` is `FEWEST` at least.
    """
    n = len(features)
    centred = np.asarray(features, np.float64) - features.mean(axis=0, dtype=np.float64)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    components, by = u * s, "principal components; install scikit-learn for t-SNE"
    plane = np.zeros((n, 2))
    plane[:, : components.shape[1]] = components[:, :2]
    if np.ptp(plane):  # t-SNE cannot tell equal samples apart
        try:
            from sklearn.manifold import TSNE  # takes a second
        except ImportError:
            pass
        else:
            perplexity = min(30.0, (n - 1) / 3)
            small = components[:, :50]  # as its authors do, for speed
            plane = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(small).astype(np.float64)
            by = f"t-SNE, perplexity {perplexity:.0f}"
    low, size = plane.min(axis=0), np.ptp(plane, axis=0)
    return (plane - low) / np.where(size > 0, size, 1), by
