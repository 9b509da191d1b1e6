"""The committed table of counts: read, compared, explained, and the page that is made of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.counts import table as tables
from benchmarks.counts.cores import CORES, Core, find_core
from benchmarks.counts.floor import FLOORS
from benchmarks.counts.naive import NAIVE_KINDS
from benchmarks.counts.networks import NETWORKS, find_network
from benchmarks.counts.page import PAGE, PLOT, page_text
from benchmarks.counts.table import COUNTED, count_rows, gains, growth, is_comparable, read_table, table_text
from nrl_edge.errors import ConfigurationError, RunError
from tests.tools import require_board

TABLE = read_table()


@pytest.fixture
def same_compilers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is installed here is what the table was counted with."""
    monkeypatch.setattr(tables, "is_comparable", lambda table, core_id: True)


def test_the_table_has_every_agent_on_every_core_once() -> None:
    keys = [row.key for row in TABLE.rows]
    wanted = {(core.id, network, kind) for core in CORES for network, kind in COUNTED}
    wanted |= {(core.id, network.name, kind) for core in CORES for network in NETWORKS for kind in NAIVE_KINDS}
    assert len(keys) == len(set(keys)) and set(keys) == wanted
    assert set(TABLE.compilers) == {core.id for core in CORES}
    assert TABLE.reasons and all(reason.why for reason in TABLE.reasons)


def test_the_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "table.toml"
    tables.write_table(TABLE, path)
    assert read_table(path) == TABLE and path.read_text(encoding="utf-8") == table_text(TABLE)
    assert tables.TABLE.read_text(encoding="utf-8") == table_text(TABLE)
    with pytest.raises(RunError, match="--update"):
        read_table(tmp_path / "none.toml")


def test_nothing_costs_less_than_its_floor() -> None:
    for network in NETWORKS:
        for core in CORES:
            assert TABLE.row(core.id, network.name, "int16").step > FLOORS[core.id].of(network)


def test_the_floor_is_that_of_the_docs() -> None:
    acrobot = find_network("6-128-3")
    assert {core: floor.of(find_network("4-64-2")) for core, floor in FLOORS.items()} == {
        "m0plus": 3456, "m3": 2624, "m4": 1664, "m7": 1664, "m33": 1664, "rv32": 3008, "avr": 14912,
    }  # fmt: skip
    assert [FLOORS[core].of(acrobot) for core in ("m0plus", "m4", "rv32", "avr")] == [9280, 4352, 8000, 42368]


def test_the_page_is_made_of_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page_text(TABLE), "run: python -m benchmarks.counts --write"
    assert PLOT.is_file()
    text = PAGE.read_text(encoding="utf-8")
    for network in NETWORKS:
        assert f"### {network.name} " in text
    for core in CORES:
        assert text.count(f"| {core.name} |") >= len(NETWORKS)


@pytest.mark.usefixtures("same_compilers")
def test_growth_beyond_two_percent_is_told_and_no_other() -> None:
    row = TABLE.row("m4", "4-64-2", "int16")
    slower = replace(row, step=round(row.step * 1.03))
    assert growth(TABLE, [slower], {}) == [f"m4 4-64-2 int16: step {row.step} -> {slower.step}"]
    assert growth(TABLE, [replace(row, step=int(row.step * 1.019))], {}) == []
    assert growth(TABLE, [replace(row, text=row.text * 2, agent=row.agent + 500)], {})[0].startswith(
        "m4 4-64-2 int16: text"
    )
    assert growth(TABLE, [replace(row, step=row.step // 2)], {}) == []
    assert len(gains(TABLE, [replace(row, step=row.step // 2)])) == 1
    board, size = next(iter(TABLE.firmware_text.items()))
    assert growth(TABLE, [], {board: round(size * 1.1)}) == [f"firmware of {board}: text {size} -> {round(size * 1.1)}"]


def test_counts_of_another_compiler_are_not_compared() -> None:
    require_board("mps2_an386")
    other = replace(TABLE, compilers={**TABLE.compilers, "m4": "some other compiler 1.0"})
    assert not is_comparable(other, "m4")
    row = TABLE.row("m4", "4-64-2", "int16")
    assert growth(other, [replace(row, step=row.step * 2)], {}) == []


def test_a_new_table_needs_a_reason() -> None:
    with pytest.raises(ConfigurationError, match="--why"):
        tables.renewed(TABLE, "  ", lambda row: None)


def comparable_cores(ids: tuple[str, ...]) -> list[Core]:
    pytest.importorskip("unicorn", reason="unicorn is not installed: pip install unicorn")
    pytest.importorskip("capstone", reason="capstone is not installed: pip install capstone")
    cores = []
    for core_id in ids:
        core = find_core(core_id)
        require_board(core.board_id)
        if is_comparable(TABLE, core_id):
            cores.append(core)
    if not cores:
        pytest.skip(f"compilers here are not those of the table: {TABLE.compilers}")
    return cores


@pytest.mark.slow
def test_the_core_costs_what_the_table_says() -> None:
    cores = comparable_cores(("m0plus", "m4", "rv32", "avr"))
    rows = list(count_rows(cores, [("4-64-2", "int16")]))
    rows += count_rows(cores[:1], [("4-64-2", "tiny"), ("4-64-2", "online")])
    grown = growth(TABLE, rows, {})
    assert not grown, (
        "the core became dearer or larger; where that is worth it, say why: "
        f'python -m benchmarks.counts --update --why "..."\n{chr(10).join(grown)}'
    )


@pytest.mark.slow
def test_a_slower_core_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    (core,) = comparable_cores(("rv32",))
    flags = core.flags
    monkeypatch.setattr(Core, "flags", property(lambda self: (*flags, "-fno-tree-ter", "-O0")))
    grown = growth(TABLE, count_rows([core], [("4-8-2", "int16")]), {})
    assert any("step" in line for line in grown) and any("update" in line for line in grown)
