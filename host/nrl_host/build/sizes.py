"""What the firmware of one experiment takes of each board: the table of docs/boards.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nrl_edge.boards import Board, load_boards
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import Experiment, resolve_agent
from nrl_host.build.board_build import BoardBuild, DoesNotFitError, build_for_board

TITLES = ("board", "core", "flash", "of", "RAM", "of", "evidence")
"""Of the columns of `BoardSizes.row`; bytes."""


@dataclass(frozen=True)
class BoardSizes:
    """One board, and the image that was built for it."""

    board: Board
    built: BoardBuild | None
    """None where the image does not fit."""
    refusal: str | None = None
    """Why it does not."""

    @property
    def row(self) -> tuple[str, ...]:
        """What stands under TITLES."""
        memory = self.board.memory
        limits = (f"{memory.flash_bytes:,}", f"{memory.ram_bytes:,}") if memory is not None else ("", "")
        taken = ("does not fit", "does not fit")
        if self.built is not None:
            taken = (f"{self.built.flash_bytes:,}", f"{self.built.ram_bytes:,}")
        return self.board.id, self.board.core, taken[0], limits[0], taken[1], limits[1], self.board.evidence

    def as_dict(self) -> dict[str, object]:
        """The board and its sizes in bytes, or why they do not fit, as one JSON object."""
        record: dict[str, object] = {"board": self.board.id, "fits": self.built is not None}
        record["evidence"] = self.board.evidence
        return record | (self.built.as_dict() if self.built is not None else {"reason": self.refusal})


def sizes_on_boards(experiment: Experiment, boards: Sequence[Board] | None = None) -> Iterator[BoardSizes]:
    """Build the firmware of an experiment for each board; for all that are built here where none are named.

    Boards without limits, such as the desktop, are left out. Raises what builds raise, but not that a board is too
    small, which is a row like any other; ConfigurationError where no board is left.
    """
    configuration = resolve_agent(experiment)
    chosen = [
        board
        for board in (boards if boards is not None else load_boards())
        if board.memory is not None and (boards is not None or board.is_built_here)
    ]
    if not chosen:
        raise ConfigurationError(
            "there is no image to be measured: a board without limits of flash and RAM is this computer itself"
        )
    for board in chosen:
        try:
            built = build_for_board(configuration, board, seed=experiment.entropy.seed, entropy_mode="seeded")
        except DoesNotFitError as error:
            yield BoardSizes(board, None, str(error))
        else:
            yield BoardSizes(board, built)


def sizes_markdown(sizes: Iterable[BoardSizes]) -> str:
    """The table in Markdown."""
    lines = [TITLES, *(each.row for each in sizes)]
    texts = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([texts[0], f"|{'---|' * len(TITLES)}", *texts[1:]])
