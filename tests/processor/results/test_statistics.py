"""Intervals and tests against figures of the literature, and against the sums that define them."""

from __future__ import annotations

from math import comb

import pytest

from processor.results.statistics import Z, holm, mcnemar, wilson


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [  # Newcombe, Statistics in Medicine 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_the_interval_is_that_of_newcombe(correct: int, total: int, low: float, high: float) -> None:
    assert wilson(correct, total) == pytest.approx((low, high), abs=5e-5)


def test_the_ends_of_the_interval_solve_its_equation() -> None:
    for share in wilson(13, 37):
        assert abs(13 / 37 - share) == pytest.approx(Z * (share * (1 - share) / 37) ** 0.5)


def test_the_interval_of_nothing_is_everything_and_stays_within_0_and_1() -> None:
    assert wilson(0, 0) == (0, 1)
    assert wilson(0, 3)[0] == 0
    assert wilson(3, 3)[1] == 1


def test_mcnemar_is_the_binomial_sum() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(0, 5) == 2 / 32
    assert mcnemar(5, 0) == 2 / 32
    assert mcnemar(4, 4) == 1
    assert mcnemar(3, 11) == 2 * (1 + 14 + 91 + 364) / 2**14
    assert mcnemar(400, 600) == pytest.approx(2 * sum(comb(1000, k) for k in range(401)) / 2**1000)
    assert 0 <= mcnemar(2000, 9000) < 1e-300  # beyond the range of a float, and no error


def test_several_tests_are_corrected_in_steps() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1, 1]
    assert holm([]) == []
