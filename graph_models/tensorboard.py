"""A training run for TensorBoard: losses, validation metrics and seconds of every epoch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graph_models.curve import Epoch

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class EpochLog:
    """Writes each epoch as it ends. A resumed run goes on in the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: SummaryWriter | None = None

    def __call__(self, epoch: Epoch) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes a second: only where it is asked for

        if self._writer is None:
            self._writer = SummaryWriter(str(self.folder), purge_step=epoch.epoch)
        for group, values in (("loss", epoch.loss), ("valid", epoch.valid or {}), ("time", {"seconds": epoch.seconds})):
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, epoch.epoch)
        self._writer.flush()
