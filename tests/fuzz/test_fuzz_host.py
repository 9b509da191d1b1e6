"""The host against anything: what comes over the line, and what is in the files that it reads.

Whatever is wrong is one of the documented errors, never another exception, and never a wrong success.
"""

from __future__ import annotations

import shutil
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import nrl_host.link.link
from nrl_edge.boards import parse_board
from nrl_edge.errors import ConfigurationError, DeviceError, NrlError
from nrl_edge.experiment import parse_experiment
from nrl_edge.noise import analyse, read_capture
from nrl_edge.record import read_record
from nrl_edge.replay import replay
from nrl_edge.resources import boards_folder
from nrl_edge.runs import RunFolder, snapshot_info
from nrl_edge.runs.difference import compare_snapshots
from nrl_edge.simulation import simulate
from nrl_edge.study.definition import parse_study
from nrl_host.link import Link
from nrl_host.link.frames import FrameDecoder, LinkCounters, encode_frame
from nrl_host.link.messages import MESSAGE_NAMES, MESSAGES, Codec

ROOT = Path(__file__).resolve().parents[2]
CODEC = Codec(3)
REPEATED = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
FEWER = settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


# The line


@REPEATED
@given(st.lists(st.binary(max_size=600), max_size=8))
def test_noise_gives_frames_only_by_their_crc(pieces: list[bytes]) -> None:
    decoder = FrameDecoder(LinkCounters())
    for piece in pieces:
        for content in decoder.feed(piece):
            # What passes is what would be sent: there is no second way to write a frame.
            assert encode_frame(content) in b"".join(pieces)
        assert len(decoder.half_frame) <= 300


@REPEATED
@given(st.sampled_from(sorted(MESSAGE_NAMES)), st.binary(max_size=260))
def test_any_content_is_a_message_that_packs_to_itself_or_is_refused(kind: int, payload: bytes) -> None:
    codec = CODEC.by_id[kind]
    content = bytes([kind, 7, 0x34, 0x12]) + payload
    try:
        message = codec.unpack(content)
    except ValueError:
        return
    packed = codec.pack(7, 0x1234, message)
    # Text is shown without what follows its first zeros, and without what is no ASCII; all else is the same.
    if not any(item.element == "char" for item in codec.message.fields):
        assert packed == content


class Line:
    """A port that gives what it is told, and then nothing."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = list(pieces)

    def write(self, data: bytes) -> int:
        return len(data)

    def read(self, size: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    def close(self) -> None:
        pass

    in_waiting = 0


def hello_reply(**changed: Any) -> bytes:
    codec = CODEC.by_name["HELLO_REPLY"]
    names = [item.name for item in codec.message.fields]
    values: dict[str, Any] = dict.fromkeys(names, 0)
    values |= {"protocol_min": 1, "protocol_max": 1, "build_id": bytes(8), "board": "desktop", "layers": 3}
    values |= {"layer_sizes": bytes([3, 5, 2, 0, 0]), "parameter_bits": 16, "largest_frame": 254}
    from nrl_host.link.messages import TABLE

    values["table_hash"] = TABLE.table_hash
    return codec.pack(1, 0x1234, MESSAGES["HELLO_REPLY"](**(values | changed)))


@FEWER
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=80),
            st.builds(
                lambda kind, payload: encode_frame(bytes([kind, 2, 0x34, 0x12]) + payload),
                st.integers(0, 255),
                st.binary(max_size=100),
            ),
        ),
        max_size=6,
    ),
    st.binary(min_size=5, max_size=5),
)
@example([encode_frame(bytes([0xFF, 2, 0x34, 0x12]))], bytes(5))  # an ERROR that is cut short
def test_a_device_that_says_anything_ends_in_a_device_error_at_worst(pieces: list[bytes], sizes: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        greeting = encode_frame(hello_reply(layer_sizes=sizes, board="\x7f" * 3))
        patch.setattr(nrl_host.link.link, "open_port", lambda *arguments, **options: Line([greeting, *pieces]))
        try:
            link = Link("fake://", timeout=0.0005, attempts=2, open_timeout=0.001)
            for message in (MESSAGES["STATUS"](), MESSAGES["SNAPSHOT_READ"](0, 10), MESSAGES["NOISE_READ"](0)):
                link.request(message)
        except (DeviceError, ValueError) as error:
            assert isinstance(error, DeviceError), error


# Files


@cache
def sample(name: str) -> str:
    if name == "board":
        return (boards_folder() / "microbit.toml").read_text(encoding="utf-8")
    if name == "study":
        return (ROOT / "studies" / "parity.toml").read_text(encoding="utf-8")
    from nrl_edge.experiment.new import experiment_text

    return experiment_text("cartpole")


@st.composite
def spoilt_text(draw: st.DrawFn, name: str) -> str:
    """A good file with some lines changed, doubled, removed, or with values that nobody expects."""
    lines = sample(name).splitlines()
    values = st.sampled_from(
        [
            "-1",
            "1e400",
            "nan",
            "inf",
            "0",
            "2.5",
            '""',
            "'\\u0000'",
            "[]",
            "[[1]]",
            "{}",
            "true",
            "99999999999999999999",
            "1979-05-27",
            '"../../etc"',
            "[1, 'a']",
            "{ a = 1 }",
            '"\\ud83d"',
            "0x10",
            "1_000",
            '"*/ #error"',
        ]
    )
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        what = draw(st.integers(0, 4))
        if what == 0 and "=" in lines[at]:
            lines[at] = lines[at].split("=")[0] + "= " + draw(values)
        elif what == 1:
            lines[at] = draw(st.text(max_size=30))
        elif what == 2:
            lines.insert(at, lines[at])
        elif what == 3 and len(lines) > 1:
            del lines[at]
        else:
            lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
    return "\n".join(lines)


@REPEATED
@given(spoilt_text("experiment"))
def test_an_experiment_file_is_read_or_refused(text: str) -> None:
    try:
        experiment = parse_experiment(text)
    except ConfigurationError as error:
        assert str(error)
        return
    assert parse_experiment(experiment.to_toml()) == experiment


@REPEATED
@given(spoilt_text("board"))
def test_a_board_file_is_read_or_refused(text: str) -> None:
    try:
        parse_board(text, "microbit.toml")
    except ConfigurationError as error:
        assert str(error)


@pytest.mark.slow
@REPEATED
@given(spoilt_text("study"))
def test_a_study_file_is_read_or_refused(text: str) -> None:
    try:
        parse_study(text)
    except ConfigurationError as error:
        assert str(error)


@REPEATED
@given(st.binary(max_size=400))
def test_bytes_that_are_no_snapshot_are_refused(data: bytes) -> None:
    with pytest.raises(ConfigurationError):
        snapshot_info(data)
    with pytest.raises(ConfigurationError):
        compare_snapshots(data, data)
    # Sound by its CRC, and nonsense: read or refused.
    sealed = b"NRLS" + data
    sealed += zlib.crc32(sealed).to_bytes(4, "little")
    try:
        snapshot_info(sealed)
        assert compare_snapshots(sealed, sealed).equal
    except ConfigurationError as error:
        assert str(error)


@FEWER
@given(st.binary(max_size=3000))
def test_a_capture_is_judged_or_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "capture.bin"
    file.write_bytes(data)
    try:
        analyse(read_capture(file))
    except ConfigurationError as error:
        assert str(error)


@FEWER
@given(st.binary(max_size=300), st.booleans())
def test_a_record_is_read_or_refused(tmp_path: Path, data: bytes, with_header: bool) -> None:
    file = tmp_path / "record.nrlr"
    if with_header:
        head = b"NRLR" + (1).to_bytes(2, "little") + data[:22].ljust(22, b"\0")
        data = head[:28] + zlib.crc32(head[:28]).to_bytes(4, "little") + data
    file.write_bytes(data)
    try:
        assert read_record(file).dtype.itemsize > 0
    except ConfigurationError as error:
        assert str(error)


@pytest.fixture(scope="module")
def good_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    experiment = parse_experiment(
        '[task]\nid = "CartPole-v1"\nobservation_scale = [1, 1, 8, 1]\n[network]\nhidden = [4]\n'
        '[learning]\nepisodes = 4\n[entropy]\nmode = "raw"\n[run]\ncheckpoint_every = 2\n'
    )
    simulate(experiment, "native", run=folder)
    return folder


FILES = ("run.json", "experiment.toml", "progress.csv", "record.nrlr", "final.nrls", "weights.npz", "result.json")
FILES += ("noise.bin", "noise.csv", "checkpoints/episode_000002.nrls")


@pytest.mark.slow
@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FILES), st.integers(0, 1 << 30), st.sampled_from(["flip", "cut", "add", "empty", "remove"]))
def test_a_damaged_run_folder_is_read_or_refused_and_never_proved(
    good_run: Path, tmp_path: Path, name: str, place: int, how: str
) -> None:
    folder = tmp_path / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good_run, folder)
    file = folder / name
    if not file.exists():
        return
    data = bytearray(file.read_bytes())
    if how == "remove":
        file.unlink()
    elif data:
        at = place % len(data)
        if how == "flip":
            data[at] ^= 1 << (place % 8)
        elif how == "cut":
            del data[at:]
        elif how == "add":
            data[at:at] = bytes([place % 256])
        else:
            data.clear()
        file.write_bytes(data)
    try:
        run = RunFolder.open(folder)
        for read in (run.progress, run.result, run.weights, run.final_snapshot, run.noise):
            try:
                read()
            except NrlError as error:
                assert str(error)
        verdict = replay(run)
    except NrlError as error:
        assert str(error)
        return
    # Of what a proof rests on nothing may be changed; the rest does not matter to it.
    proof = ("record.nrlr", "noise.bin", "final.nrls", "checkpoints/episode_000002.nrls")
    if how == "flip" and name in proof[:3] and verdict.match:
        original = np.frombuffer((good_run / name).read_bytes(), np.uint8)
        changed = np.frombuffer(file.read_bytes(), np.uint8)
        # A flipped bit that changes neither an answer nor a weight is no lie: the run it tells of computes the same.
        assert name != "final.nrls" and (original != changed).sum() == 1
