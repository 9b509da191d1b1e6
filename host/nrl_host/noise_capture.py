"""Raw bits of a device's generator, as it gives them: for looking at, not for learning from."""

from __future__ import annotations

from collections.abc import Callable

from nrl_edge.errors import DeviceError
from nrl_host.device import noise_health_text
from nrl_host.link import Link, RequestRefusedError
from nrl_host.link.messages import MESSAGES


def capture_noise(link: Link, length: int, progress: Callable[[int], None] = lambda done: None) -> bytes:
    """Read `length` raw bytes from the device's generator; `progress` is called with the bytes so far.

    They pass no health test, so that a sick generator can be captured too, and they are not those of the agent, whose
    run is not disturbed. Raises DeviceError where the generator gives none.
    """
    captured = bytearray()
    codec = link.codec_of("RAW_DATA")
    trailing = codec.message.trailing
    assert trailing is not None
    largest = max(1, min(link.hello.largest_frame + 2 - codec.coded_bytes, trailing.maximum))
    while len(captured) < length:
        wanted = min(largest, length - len(captured))
        try:
            reply = link.request(MESSAGES["RAW_READ"](wanted), wanted)
        except RequestRefusedError as error:
            if error.code_name == "ENTROPY":
                raise DeviceError(
                    f"{link.url}: {link.hello.board} gives no raw noise: {noise_health_text(error.detail)}; "
                    f"{len(captured)} bytes had come. `nrl-edge boards {link.hello.board}` tells what it has"
                ) from error
            raise
        if len(reply.data) != wanted:
            # One that gives none would be asked for ever.
            raise DeviceError(
                f"{link.url}: asked for {wanted} raw bytes, got {len(reply.data)}: whatever is there does not run "
                "nrl_edge firmware"
            )
        captured += reply.data
        progress(len(captured))
    return bytes(captured)
