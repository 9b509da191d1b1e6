"""The run folder: what a run keeps, the same for training, reference, desktop firmware and boards."""

from nrl_edge.runs.folder import Checkpoint, Progress, RunFolder, RunInfo, RunStatus
from nrl_edge.runs.snapshot import SnapshotInfo, snapshot_info, snapshot_weights

__all__ = [
    "Checkpoint",
    "Progress",
    "RunFolder",
    "RunInfo",
    "RunStatus",
    "SnapshotInfo",
    "snapshot_info",
    "snapshot_weights",
]
