"""Minimum-cost assignments by SciPy, for the test of vizoo::linear_assignment.

    python -m parity.assignment --write test/fixtures/assignment/cases.safetensors
    python -m parity.assignment --test build/release/test/unit/training/vizoo_test_training --seed 7

--write stores 1,000 cases of a fixed seed; --test makes fresh ones, prints their seed and runs the
test program on them. Run with PYTHONPATH=scripts in the reference environment.

A case is a shape and a kind of matrix; the costs come from a hash of seed, case and position, which
the test computes too, so that the file holds answers only.
"""

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from scipy.optimize import linear_sum_assignment

CASES = 1000
SEED = 20240119
KINDS = 8
# Sums of uniform costs differ by more than this unless they are the same sum in another order.
SAME = 1e-9


def hashes(seed, case, count):
    """splitmix64 of the positions 0 to count - 1, as 64-bit numbers."""
    with np.errstate(over="ignore"):
        first = np.uint64(seed) + (np.uint64(case) << np.uint64(32)) + np.uint64(1)
        state = (np.arange(count, dtype=np.uint64) + first) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return state ^ (state >> np.uint64(31))


def costs_of(seed, case, kind, rows, columns):
    """The matrix of a case; test/unit/training/linear_assignment_test.cpp makes the same."""
    if kind == 6:  # sums of a row's and a column's number: ties wherever the shape leaves a choice
        values = (hashes(seed, case, rows + columns) % np.uint64(100)).astype(np.float64)
        return values[:rows, None] + values[None, rows:]
    bits = hashes(seed, case, rows * columns).reshape(rows, columns)
    uniform = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    integers = (bits >> np.uint64(32)).astype(np.float64)
    forbidden = bits & np.uint64(1023)
    return {
        0: uniform,
        1: (uniform - 0.5) * 2000.0,
        2: integers % 5,
        3: integers % 2,
        4: np.where(forbidden < np.uint64(300), np.inf, uniform),
        5: np.where(forbidden < np.uint64(800), np.inf, integers % 7),
        7: integers % 2001 - 1000,
    }[kind]


def solve(costs):
    """(pairs, total), or (None, NaN) if every choice contains a forbidden pair."""
    try:
        pairs = linear_sum_assignment(costs)
    except ValueError as error:
        if "infeasible" not in str(error):
            raise
        return None, float("nan")
    return pairs, float(costs[pairs].sum())


def is_unique(costs, pairs, total):
    """Whether the optimum costs more as soon as any of its pairs is forbidden."""
    for row, column in zip(*pairs):
        without = costs.copy()
        without[row, column] = np.inf
        other = solve(without)[1]
        if other <= total + SAME * (1.0 + abs(total)):  # false for NaN, where there is no other
            return False
    return True


def draw_shape(generator):
    least, most = [(0, 3), (1, 1), (1, 12), (8, 48), (40, 130)][
        generator.choice(5, p=[0.04, 0.06, 0.5, 0.37, 0.03])]
    rows, columns = generator.integers(least, most + 1, 2)
    style = generator.integers(0, 4)
    if style == 0:
        columns = rows
    elif style == 1:
        columns = int(generator.integers(0, 121))
    return (int(rows), int(columns)) if generator.integers(0, 2) else (int(columns), int(rows))


def make_cases(seed, count):
    """The tensors of a file of cases."""
    generator = np.random.default_rng(seed)
    table, totals, partners = [], [], []
    for case in range(count):
        kind = case % KINDS
        rows, columns = draw_shape(generator)
        costs = costs_of(seed, case, kind, rows, columns)
        pairs, total = solve(costs)
        unique = pairs is not None and is_unique(costs, pairs, total)
        table.append([kind, rows, columns, int(pairs is not None), int(unique)])
        totals.append(total)
        if unique:  # the column of each row, or for more rows than columns the row of each column
            partners += list(pairs[1] if rows <= columns else pairs[0][np.argsort(pairs[1])])
    return {
        "seed": np.array([seed], dtype=np.int64),
        "table": np.array(table, dtype=np.int32),
        "totals": np.array(totals, dtype=np.float64),
        "partners": np.array(partners, dtype=np.int16),
    }


def write(file):
    """Stores the cases of the fixed seed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(make_cases(SEED, CASES), file)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="FILE", help="store the fixed cases here")
    action.add_argument("--test", type=Path, metavar="PROGRAM", help="vizoo_test_training")
    parser.add_argument("--seed", type=int, help="of --test; default: a fresh one, printed first")
    parser.add_argument("--cases", type=int, default=CASES)
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.write)
        return 0
    seed = secrets.randbelow(1 << 31) if arguments.seed is None else arguments.seed
    print(f"assignment: {arguments.cases} cases, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="vizoo-assignment-") as folder:
        file = Path(folder) / "cases.safetensors"
        save_file(make_cases(seed, arguments.cases), file)
        program = subprocess.run([str(arguments.test.resolve()), "[scipy]"], check=False,
                                 cwd=Path(__file__).resolve().parents[2],
                                 env={**os.environ, "VIZOO_ASSIGNMENT_CASES": str(file)})
    return 1 if program.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
