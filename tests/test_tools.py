from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tools import require_tool


def test_a_tool_that_is_there_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert require_tool(Path(sys.executable).name, "") == sys.executable


@pytest.mark.parametrize(("required", "outcome"), [("1", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_tool_fails_only_where_tools_are_required(
    required: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NRL_EDGE_REQUIRE_TOOLS", required)
    with pytest.raises(outcome, match="no-such-tool is not installed: ask somebody"):
        require_tool("no-such-tool", "ask somebody")
