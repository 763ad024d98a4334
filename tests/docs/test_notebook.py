"""The notebook runs from its first cell to its last, and what its cells end with can be shown."""

import json
from pathlib import Path
from typing import Any

from tests.docs.pages import DOCS, Block, Reader, checkout

NOTEBOOK: dict[str, Any] = json.loads((DOCS / "notebook.ipynb").read_text(encoding="utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
#: Runs cells as a kernel does: in one namespace, and what a cell ends with is shown. Printed is what is shown of all.
KERNEL = """
import ast
for cell in {cells!r}:
    tree = ast.parse(cell)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), globals())
    if last is not None:
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), globals())
        show = getattr(value, "_repr_png_", None) or getattr(value, "_repr_html_", value.__repr__)
        assert show(), cell
        print("shown:", type(value).__name__)
print("rewards:", [each.table()["reward"].notna().any() for each in (study, own_table, own_module)])
"""


def test_nothing_is_stored_that_was_computed() -> None:
    assert [cell["outputs"] for cell in CODE] == [[]] * len(CODE)
    assert {cell["execution_count"] for cell in CODE} == {None}


def test_all_cells_run(tmp_path: Path) -> None:
    reader = Reader(checkout(tmp_path / "checkout"))
    reader.follow(Block("python", KERNEL.format(cells=["".join(cell["source"]) for cell in CODE]), ""))
    shown = [line.removeprefix("shown: ") for line in reader.output.splitlines() if line.startswith("shown: ")]
    assert shown == ["SearchStudy", *["DataFrame"] * 2, "Tensor", *["DataFrame"] * 4]
    assert "rewards: [True, True, True]" in reader.output.replace("np.True_", "True")
