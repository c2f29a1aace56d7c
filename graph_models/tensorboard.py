"""A training run for TensorBoard: losses, validation metrics and seconds of every epoch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graph_models.curve import Epoch, Progress, Step

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def telling(progress: Progress | None, folder: Path | None) -> Progress | None:
    """Who hears of a training: whoever was given, and a log in `folder`, if there is one."""
    if folder is None:
        return progress
    log = EpochLog(folder)

    def tell(event: Epoch | Step) -> None:
        if isinstance(event, Epoch):
            log(event)
        if progress:
            progress(event)

    return tell


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
