from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrl_edge.errors import ConfigurationError
from nrl_edge.record import (
    HEADER_BYTES,
    NO_ACTION,
    RecordWriter,
    entry_dtype,
    read_record,
    read_record_header,
    truncate_record,
)

WHO = {"inputs": 3, "identity": 0xDEADBEEF, "seed": 2**64 - 1}


def write_episodes(writer: RecordWriter, lengths: list[int], first: int = 0) -> None:
    for number, length in enumerate(lengths, first):
        for step in range(length):
            writer.append(np.array([number, step, -step], np.int16), -(step << 8), 0, step % 2)
        writer.append(np.array([number, length, -32768], np.int16), 2**22 - 1, 1 + number % 2, -1)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "record.nrlr"
    with RecordWriter.create(path, **WHO) as writer:
        write_episodes(writer, [2, 0, 5])
    header = read_record_header(path)
    assert (header.inputs, header.identity, header.seed) == (3, 0xDEADBEEF, 2**64 - 1)
    entries = read_record(path)
    assert len(entries) == 10
    assert entries["observation"][2].tolist() == [0, 2, -32768]
    assert entries["reward"].tolist()[:3] == [0, -256, 2**22 - 1]
    assert entries["flags"].tolist() == [0, 0, 1, 2, 0, 0, 0, 0, 0, 1]
    assert entries["action"][2] == NO_ACTION and entries["action"][1] == 1
    assert path.stat().st_size == HEADER_BYTES + 10 * entry_dtype(3).itemsize == HEADER_BYTES + 10 * 12


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.data())
def test_a_killed_record_goes_on_without_a_seam(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("record")
    whole, killed = folder / "whole", folder / "killed"
    for path in (whole, killed):
        with RecordWriter.create(path, **WHO) as writer:
            write_episodes(writer, lengths)
    kept = data.draw(st.integers(0, len(lengths)))
    least = HEADER_BYTES + 12 * sum(length + 1 for length in lengths[:kept])
    cut = data.draw(st.integers(least, whole.stat().st_size))
    killed.write_bytes(killed.read_bytes()[:cut])
    assert len(read_record(killed)) == (cut - HEADER_BYTES) // 12
    with RecordWriter.resume(killed, **WHO, episodes=kept) as writer:
        write_episodes(writer, lengths[kept:], kept)
    assert killed.read_bytes() == whole.read_bytes()


def test_damaged_and_foreign_records(tmp_path: Path) -> None:
    path = tmp_path / "record.nrlr"
    with RecordWriter.create(path, **WHO) as writer:
        write_episodes(writer, [1])
    with pytest.raises(ConfigurationError, match="cannot begin"):
        RecordWriter.create(path, **WHO)
    with pytest.raises(ConfigurationError, match="another run"):
        RecordWriter.resume(path, inputs=3, identity=1, seed=2, episodes=0)
    with pytest.raises(ConfigurationError, match="fewer than 2 episodes"):
        truncate_record(path, 2)
    good = path.read_bytes()
    for position in range(HEADER_BYTES):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        with pytest.raises(ConfigurationError, match="no record"):
            read_record(path)
    path.write_bytes(good[:10])
    with pytest.raises(ConfigurationError, match="no record"):
        read_record(path)
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_record(tmp_path / "absent")


def test_an_observation_of_the_wrong_shape_is_a_programming_error(tmp_path: Path) -> None:
    with RecordWriter.create(tmp_path / "r", **WHO) as writer, pytest.raises(ValueError, match="3 inputs"):
        writer.append(np.zeros(2, np.int16), 0, 0, 0)
