"""The page on a solver of one's own: its script runs as it is printed, and learns."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own_solver.md"


def test_the_script_runs_and_learns_to_decide(capsys):
    (script,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    exec(script, names)
    assert names["after"] < 0.7 * names["before"]
    assert capsys.readouterr().out.startswith("BlackBox(pack, (10,)): regret ")


def test_every_name_of_the_library_that_it_maps_to_is_there():
    from structgrad import layers, losses, polytopes, pool

    table = PAGE.read_text(encoding="utf-8").split("| PyEPO | here |")[1]
    cells = [row.rpartition(" | ")[2] for row in table.splitlines() if row]
    ours = {name for cell in cells for name in re.findall(r"[A-Z]\w+", cell)} - {"True"}
    assert len(ours) >= 8
    for name in ours:
        assert any(hasattr(room, name) for room in (layers, losses, polytopes, pool)), name
