"""TensorBoard's event files of a training, by PyTorch's own writer; needs `tensorboard`.

They hold each step once, however often the training was interrupted: each attempt writes them anew
from the beginning, since its checkpoint has all iterations and validations until then.
"""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from .history import Iteration, Validation
from .watching import Observed

SECONDS = 10  # until what is told is in the file
TAGS = {  # of a validation's columns
    "train_loss": "loss/since_last_validation",
    "val_top1_error": "error/top-1",
    "val_top5_error": "error/top-5",
    "val_gtloc_error": "error/localisation",
    "images_per_second": "images_per_second",
    "epoch": "epoch",
}


class EventFiles:
    """An observer of a training that writes event files into a folder."""

    def __init__(self, folder: str | Path, observed: Observed):
        # Emptied, not deleted: a TensorBoard that is open would wait for one that is gone. As it is
        # it goes on to the next, and forgets what it knows from `purge_step` on.
        for old in Path(folder).glob("events.out.tfevents.*"):
            os.truncate(old, 0)
        self.writer = SummaryWriter(str(folder), purge_step=0, flush_secs=SECONDS)
        settings = json.dumps(dict(observed.settings), indent=4, default=str)
        self.writer.add_text("settings", f"```\n{settings}\n```", 0)
        for done in observed.done:
            self.iteration(done)
        times = {done.iteration: done.time for done in observed.done}
        for line in observed.history:
            self.validation(line, times.get(line.iteration))

    def iteration(self, done: Iteration) -> None:
        self.writer.add_scalar("loss/train", done.loss, done.iteration, done.time)
        self.writer.add_scalar("learning_rate", done.learning_rate, done.iteration, done.time)

    def validation(self, line: Validation, when: float | None = None) -> None:
        when = time.time() if when is None else when
        for column, tag in TAGS.items():
            if math.isfinite(value := getattr(line, column)):
                self.writer.add_scalar(tag, value, line.iteration, when)

    def end(self, outcome: str) -> None:
        self.writer.close()
