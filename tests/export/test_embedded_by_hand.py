"""What docs/embed.md says to take out of generated firmware is all that an agent needs, on every kind of core."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tools import COMPILER_PACKAGES, require_tool

from nrl_edge.experiment import parse_experiment
from nrl_host.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "embed.md"
STRICT = "-std=c99 -Os -Wall -Wextra -Wconversion -Werror -pedantic -ffreestanding"
FORMATS = "formats = { observation_frac_bits = 10, weight_frac_bits = %d, trace_frac_bits = %d, reward_frac_bits = 8 }"
AGENTS = {
    "edge": "[arithmetic]\n" + FORMATS % (12, 5) + "\n",
    "actor-critic": '[learning]\npreset = "actor-critic"\n[arithmetic]\n' + FORMATS % (12, 8) + "\n",
    "tiny": '[arithmetic]\nkind = "tiny"\n' + FORMATS % (5, 0) + "\n",
}
COMPILERS = {
    "this computer": ("desktop", "gcc"),
    "Cortex-M0": ("desktop", "arm-none-eabi-gcc -mthumb -mcpu=cortex-m0"),
    "Cortex-M4": ("desktop", "arm-none-eabi-gcc -mthumb -mcpu=cortex-m4"),
    "RISC-V": ("desktop", "riscv64-unknown-elf-gcc -march=rv32imac -mabi=ilp32"),
    "AVR": ("uno", "avr-gcc -mmcu=atmega328p"),
}


def headers_of_the_page(online: bool, avr: bool) -> list[str]:
    """Names and patterns of the headers that the page tells to take."""
    named = re.search(
        r"of `include` these headers:\n(.*?)\. `nrl_config\.h`", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert named is not None
    always, critic, rom = re.findall(r"`(nrl_[^`]*)`", named[1])
    assert (critic, rom) == ("nrl_critic.h", "nrl_port_rom.h")
    return always.split() + [critic] * online + [rom] * avr


@pytest.mark.parametrize("core", COMPILERS)
@pytest.mark.parametrize("kind", AGENTS)
def test_the_files_that_the_page_names_compile(kind: str, core: str, tmp_path: Path) -> None:
    board, compiler = COMPILERS[core]
    program = compiler.split()[0]
    require_tool(program, f"apt-get install {COMPILER_PACKAGES.get(program.removesuffix('-gcc'), program)}")
    text = (
        '[task]\nid = "CartPole-v1"\nobservation_scale = [1, 1, 8, 1]\n[network]\nhidden = [64, 65]\n'
        f'{AGENTS[kind]}[board]\nid = "{board}"\n'
    )
    (tmp_path / "experiment.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as ended, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["nrl-edge", "generate", str(tmp_path / "experiment.toml")])
        main()
    assert ended.value.code == 0
    own = tmp_path / "own"
    own.mkdir()
    online = parse_experiment(text).learning.preset == "actor-critic"
    for pattern in headers_of_the_page(online, core == "AVR"):
        taken = list((tmp_path / "firmware" / "include").glob(pattern))
        assert taken, f"there is no {pattern}"
        for path in taken:
            shutil.copy(path, own)
    sources = sorted((tmp_path / "firmware" / "src" / "core").glob("*.c"))
    assert len(sources) >= 7
    subprocess.run([*compiler.split(), *STRICT.split(), "-c", *map(str, sources), "-I", str(own)], cwd=own, check=True)
