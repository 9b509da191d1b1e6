"""Writes the committed corpus, what a host says to every agent: `python tests/fuzz/make_corpus.py`."""

from __future__ import annotations

import numpy as np
from fuzzing import AGENTS, CORPUS

from nrl_edge.agent import EntropySettings
from nrl_edge.fixedpoint.agents import reference_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.link.frames import HEADER_BYTES, encode_frame
from nrl_host.link.messages import MESSAGES, Codec

TWICE = 1
SESSION = 0x1234
CHUNK = 48


def conversations(configuration: AgentConfiguration) -> dict[str, list[tuple[str, tuple[object, ...], int]]]:
    """Requests by name, fields and how they are sent."""
    zeros = tuple([0] * configuration.inputs)
    begin = ("BEGIN", (0, (1, 2, 3, 4)), 0)
    first, second = ("STEP", (zeros, 0, 0), TWICE), ("STEP", (tuple(v + 500 for v in zeros), 300, 0), 0)
    last = ("STEP", (zeros, 500, 1), TWICE)
    agent = reference_agent(configuration, EntropySettings(seed=5))
    agent.step(np.zeros(configuration.inputs, np.int16), 0, False, False)
    agent.step(np.zeros(configuration.inputs, np.int16), 200, True, False)
    snapshot = agent.snapshot()
    restore = [("RESTORE_BEGIN", (len(snapshot),), 0)]
    restore += [("RESTORE_WRITE", (at, snapshot[at : at + CHUNK]), 0) for at in range(0, len(snapshot), CHUNK)]
    noise = bytes((37 * i) % 256 for i in range(400))
    supply = [("NOISE_WRITE", (at, noise[at : at + CHUNK]), 0) for at in range(0, 3 * CHUNK, CHUNK)]
    return {
        "episodes": [begin, *[first, second, second, last] * 5, ("STATUS", (), 0), ("LINK_STATUS", (), 0)],
        "restore": [*restore, ("RESTORE_COMMIT", (), TWICE), first, last, ("SNAPSHOT_READ", (0, 60), 0)],
        "store": [begin, first, last, ("STORE_SAVE", (), TWICE), ("STORE_STATUS", (), 0), ("STORE_CLEAR", (), TWICE)],
        "replay": [*supply, ("BEGIN", (3, (0, 0, 0, 0)), 0), first, second, last],
        "raw": [("BEGIN", (1, (0, 0, 0, 0)), 0), first, last, ("NOISE_READ", (0,), 0), ("RAW_READ", (40,), 0)],
        "expanded": [("BEGIN", (2, (0, 0, 0, 0)), 0), first, second, last, ("NOISE_READ", (5,), 0)],
        "key": [("CHALLENGE", (), 0), ("AUTHORIZE", (1, bytes(16)), 0), begin, first],
    }


def main() -> None:
    """Write all files anew."""
    for kind in ("line", "messages"):
        (CORPUS / kind).mkdir(parents=True, exist_ok=True)
        for old in (CORPUS / kind).iterdir():
            old.unlink()
    for name, (configuration, _) in AGENTS.items():
        codec = Codec(configuration.inputs)
        for title, requests in conversations(configuration).items():
            data = bytearray()
            for request, values, how in requests:
                content = codec.by_name[request].pack(0, 0, MESSAGES[request](*values))
                payload = content[HEADER_BYTES:]
                data += bytes([content[0], how, len(payload)]) + payload
            (CORPUS / "messages" / f"{name}_{title}").write_bytes(data)
        line = bytearray([7])
        greeting = codec.by_name["HELLO"].pack(1, 0, MESSAGES["HELLO"](1, 1, 0))
        line += encode_frame(greeting)
        for sequence, (request, values, _) in enumerate(conversations(configuration)["episodes"][:4], 2):
            line += encode_frame(codec.by_name[request].pack(sequence, SESSION, MESSAGES[request](*values)))
        (CORPUS / "line" / name).write_bytes(line)


if __name__ == "__main__":
    main()
