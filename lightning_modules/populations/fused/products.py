"""Compiled products and sums of matrices, as loops: numba takes long to compile what assigns arrays to arrays."""

import numpy as np

from lightning_modules.populations.fused.kernel_arguments import Floats
from lightning_modules.utilities.compiled import compiled_inline, compiled_part


@compiled_inline
def add_product(result: Floats, left: Floats, right: Floats) -> None:
    """Add ``left @ right``, of [rows, terms] and [terms, columns]; rows of result and right are contiguous."""
    # With a step, a matrix in any order is of one type, for which the kernel is compiled once.
    _add_product(result, left[::1], right)


@compiled_part
def _add_product(result: Floats, left: Floats, right: Floats) -> None:
    """Add a product, in blocks of rows and terms that keep their factors in registers."""
    rows, terms = left.shape
    whole_rows, whole_terms = rows - rows % 4, terms - terms % 4
    for row in range(0, whole_rows, 4):
        for term in range(0, whole_terms, 4):
            _add_block(result, left, right, row, term)
        for term in range(whole_terms, terms):
            for each in range(row, row + 4):
                _add_multiple(result, left, right, each, term)
    for row in range(whole_rows, rows):
        for term in range(terms):
            _add_multiple(result, left, right, row, term)


@compiled_inline
def _add_multiple(result: Floats, left: Floats, right: Floats, row: int, term: int) -> None:
    """Add one term to one row."""
    factor = left[row, term]
    for column in range(right.shape[1]):
        result[row, column] += factor * right[term, column]


@compiled_inline
def _add_block(result: Floats, left: Floats, right: Floats, row: int, term: int) -> None:
    """Add four terms to four rows, so that a number that is loaded takes part in four products."""
    row_2, row_3, row_4 = row + 1, row + 2, row + 3
    term_2, term_3, term_4 = term + 1, term + 2, term + 3
    a, a_2, a_3, a_4 = left[row, term], left[row, term_2], left[row, term_3], left[row, term_4]
    b, b_2, b_3, b_4 = left[row_2, term], left[row_2, term_2], left[row_2, term_3], left[row_2, term_4]
    c, c_2, c_3, c_4 = left[row_3, term], left[row_3, term_2], left[row_3, term_3], left[row_3, term_4]
    d, d_2, d_3, d_4 = left[row_4, term], left[row_4, term_2], left[row_4, term_3], left[row_4, term_4]
    for column in range(right.shape[1]):
        x, x_2, x_3, x_4 = right[term, column], right[term_2, column], right[term_3, column], right[term_4, column]
        result[row, column] += a * x + a_2 * x_2 + a_3 * x_3 + a_4 * x_4
        result[row_2, column] += b * x + b_2 * x_2 + b_3 * x_3 + b_4 * x_4
        result[row_3, column] += c * x + c_2 * x_2 + c_3 * x_3 + c_4 * x_4
        result[row_4, column] += d * x + d_2 * x_2 + d_3 * x_3 + d_4 * x_4


@compiled_part
def transpose(matrix: Floats, result: Floats) -> None:
    """Write a matrix with rows and columns exchanged."""
    for row in range(len(matrix)):
        for column in range(matrix.shape[1]):
            result[column, row] = matrix[row, column]


@compiled_part
def fill(matrix: Floats, value: float) -> None:
    """Set all elements to a number."""
    for row in range(len(matrix)):
        for column in range(matrix.shape[1]):
            matrix[row, column] = np.float32(value)


@compiled_part
def fill_rows(matrix: Floats, values: Floats) -> None:
    """Set every row to the first values."""
    for row in range(len(matrix)):
        for column in range(matrix.shape[1]):
            matrix[row, column] = values[column]


@compiled_inline
def add_row(matrix: Floats, row: int, other: Floats, other_row: int) -> None:
    """Add a row of another matrix to a row."""
    for column in range(matrix.shape[1]):
        matrix[row, column] += other[other_row, column]


@compiled_part
def column_sums(matrix: Floats, result: Floats) -> None:
    """Write the sum of each column."""
    for column in range(matrix.shape[1]):
        result[column] = np.float32(0.0)
    for row in range(len(matrix)):
        for column in range(matrix.shape[1]):
            result[column] += matrix[row, column]
