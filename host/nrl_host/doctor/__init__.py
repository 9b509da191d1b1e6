"""What this machine has and lacks for nrl-edge, and the command that mends each lack."""

from nrl_host.doctor.check import Check, Machine, Status
from nrl_host.doctor.diagnose import diagnose

__all__ = ["Check", "Machine", "Status", "diagnose"]
