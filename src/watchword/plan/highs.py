"""Solve programmes of yes-or-no columns by HiGHS (MIT), on one thread and to the very optimum.

Imported late: the solver and numpy take longer to load than most plans to solve.
"""

from collections.abc import Sequence
from typing import Final

from watchword.extras import needs

with needs("plan"):
    import highspy
    import numpy as np


_FEASIBLE: Final = highspy.SolutionStatus.kSolutionStatusFeasible


def solve(
    objective: Sequence[float],
    rows: Sequence[tuple[list[tuple[int, int]], float, float]],
    nodes: int,
) -> tuple[list[float] | None, bool]:
    """Minimise an objective over columns that are 0 or 1.

    :param rows: (coefficients by column, least, most).
    :param nodes: most that it may look into.
    :returns: the columns' values (None where none were found by then), and whether they are proven best;
        where there are none, whether it is proven that there can't be.
    """
    model = highspy.HighsLp()
    count = len(objective)
    model.num_col_ = count
    model.num_row_ = len(rows)
    model.col_cost_ = np.array(objective, dtype=np.double)
    model.col_lower_ = np.zeros(count)
    model.col_upper_ = np.ones(count)
    model.integrality_ = [highspy.HighsVarType.kInteger] * count
    model.row_lower_ = np.array([low for _, low, _ in rows], dtype=np.double)
    model.row_upper_ = np.array([high for _, _, high in rows], dtype=np.double)
    flat = [entry for row, _, _ in rows for entry in row]
    starts = np.cumsum([0, *(len(row) for row, _, _ in rows)])
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = starts.astype(np.int32)
    model.a_matrix_.index_ = np.array([column for column, _ in flat], dtype=np.int32)
    model.a_matrix_.value_ = np.array([weight for _, weight in flat], dtype=np.double)
    solver = _Silent()
    solver.setOptionValue("mip_max_nodes", nodes)
    solver.passModel(model)
    solver.run()
    status = solver.getModelStatus()
    if solver.getInfo().primal_solution_status != _FEASIBLE:
        return None, status == highspy.HighsModelStatus.kInfeasible
    values = list(solver.getSolution().col_value)
    return values, status == highspy.HighsModelStatus.kOptimal


class _Silent(highspy.Highs):
    """Be a solver that never writes to the terminal: the usual one prints a banner when it is made."""

    def __init__(self) -> None:
        # One up from Highs itself, which would switch callbacks on that we don't use, and print.
        super(highspy.Highs, self).__init__()
        for option, value in _OPTIONS.items():
            self.setOptionValue(option, value)


_OPTIONS: Final[dict[str, bool | int | float]] = {
    "output_flag": False,
    "threads": 1,
    "random_seed": 0,
    "mip_rel_gap": 0.0,
    "mip_abs_gap": 0.5,
}
"""All objectives are whole numbers, so that a gap below 1 is none."""
