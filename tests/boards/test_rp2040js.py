"""The Raspberry Pi Pico's image in a second emulator, by other people: rp2040js, whose ring oscillator is stuck."""

from __future__ import annotations

from pathlib import Path

import pytest
from board_helpers import cartpole, run_on
from tools import require_board, require_npm, require_tool

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import DeviceError
from nrl_edge.experiment import resolve_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.simulation import simulate
from nrl_host.build.uf2 import write_uf2
from nrl_host.device import LinkAgent, noise_health_text
from nrl_host.link import Link
from nrl_host.targets.emulated import EmulatedTarget

HARNESS = Path(__file__).parent / "harness" / "rp2040js_pico.mjs"
FAMILY = 0xE48BFF56
REPETITION = 6

pytestmark = pytest.mark.slow


class Rp2040jsTarget(EmulatedTarget):
    """The very UF2 file under Node. `oscillator_seed` None: its random bit is what rp2040js gives, always one."""

    oscillator_seed: int | None = None

    def _launch(self, program: Path) -> str:
        uf2 = write_uf2(program, FAMILY)
        seed = [] if self.oscillator_seed is None else [str(self.oscillator_seed)]
        package = require_npm("rp2040js") / "dist" / "esm" / "index.js"
        self._spawn(["node", str(HARNESS), str(package), str(uf2), *seed], dies_with_us=True)
        return f"socket://{self._announced_place()}"


def pico(configuration: AgentConfiguration, mode: str = "seeded", seed: int = 0) -> Rp2040jsTarget:
    require_board("pico")
    require_tool("node", "apt-get install nodejs npm")
    require_npm("rp2040js")
    return Rp2040jsTarget(configuration, "pico", mode, seed=seed)  # type: ignore[arg-type]


def test_two_emulators_of_the_pico_agree_with_the_reference() -> None:
    experiment = cartpole(episodes=5)
    with pico(resolve_agent(experiment), seed=experiment.entropy.seed) as target:
        summary = run_on(target, experiment)
    reference = simulate(experiment, "reference")
    assert (summary.weights_crc32, summary.counters, summary.steps) == (
        reference.weights_crc32,
        reference.counters,
        reference.steps,
    )


def test_its_stuck_oscillator_is_found_and_never_drawn_from() -> None:
    configuration = resolve_agent(cartpole())
    with pico(configuration, "raw") as target, Link(target.url) as link:
        assert (link.hello.entropy_health, link.hello.agent_state) == (REPETITION, 0)
        assert "one bit too often in a row" in noise_health_text(link.hello.entropy_health)
        with pytest.raises(DeviceError, match="the entropy source failed"):
            LinkAgent(link, configuration, EntropySettings("raw"))
        # The link lives on, and so does an agent that begins with what there is.
        assert LinkAgent(link, configuration, EntropySettings("seeded", seed=3)).weights_crc32()


def test_with_a_random_bit_its_noise_is_healthy() -> None:
    configuration = resolve_agent(cartpole())
    target = pico(configuration, "raw")
    target.oscillator_seed = 5
    with target, Link(target.url) as link:
        assert link.hello.entropy_health == 0
        assert LinkAgent(link, configuration, EntropySettings("raw")).weights_crc32()
