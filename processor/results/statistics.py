"""How sure an accuracy is, and whether two models differ: Wilson's interval, McNemar's test, Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

Z = 1.959963984540054  # 95 % of a normal distribution lie within so many standard deviations


def wilson(correct: float, total: int) -> tuple[float, float]:
    """The 95 % interval of a share `correct / total`; (0, 1) where nothing was counted.

    Source: Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 1927. Unlike the
    normal interval it stays within 0 and 1, and is right for few samples and for shares near 0 or 1.
    """
    if not total:
        return 0.0, 1.0
    share, z2 = correct / total, Z * Z
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z / (1 + z2 / total) * sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return (0.0 if correct == 0 else middle - half), (1.0 if correct == total else middle + half)


def mcnemar(first_only: int, second_only: int) -> float:
    """The two-sided exact p-value of McNemar's test.

    Source: McNemar, *Note on the sampling error of the difference between correlated proportions*, Psychometrika 1947;
    exact, by the binomial distribution, so that few samples are no problem.

    Args:
        first_only: samples that the first model alone has right.
        second_only: samples that the second model alone has right.
    """
    total, fewer = first_only + second_only, min(first_only, second_only)
    term = cumulated = 1  # of the binomial coefficients, as whole numbers of any size
    for k in range(fewer):
        term = term * (total - k) // (k + 1)
        cumulated += term
    return min(1.0, 2 * cumulated / 2**total)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several tests, corrected so that below 0.05 the chance of any false finding is 5 % at most.

    Source: Holm, *A simple sequentially rejective multiple test procedure*, Scandinavian Journal of Statistics 1979.
    """
    corrected, largest = list(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected
