"""`workflow_scripts.train`, sending itself a signal at an exact moment of the training.

    python -m tests.helpers.killed_training MOMENT AT SIGNAL <arguments of train>

The moment is one of

    iteration    in the forward pass of iteration AT
    validation   in the second batch of the validation after iteration AT or later
    checkpoint   with half of the checkpoint of iteration AT or later written
    drop         in the first iteration after the learning rate's AT-th drop

The rest is the real program: real signals, real files, a process of its own.
"""

import functools
import io
import os
import signal
import sys
from dataclasses import replace

from workflow_scripts import train
from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.training import checkpoints, state

moment, at, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
now = {"sent": False}
step, save = state.Training.step, checkpoints.torch.save


def send():
    if not now["sent"]:
        now["sent"] = True
        os.kill(os.getpid(), signal.Signals[name])


def watched_step(self, *arguments):
    now["iteration"], now["dropped"] = self.iteration + 1, self.plateau.dropped
    if "loss" not in now:
        now["loss"], self.loss = self.loss, watched_loss
    return step(self, *arguments)


def watched_loss(*arguments):
    if (moment == "iteration" and now["iteration"] == at) or (
        moment == "drop" and now["dropped"] == at
    ):
        send()
    return now["loss"](*arguments)


def watched(evaluation):
    """An evaluation of a validation, of classes or of boxes, that may be hit."""

    @functools.wraps(evaluation)
    def evaluate(net, images, *arguments, stop, **options):
        asked = []

        def watched_stop():
            asked.append(None)
            if moment == "validation" and now["iteration"] >= at and len(asked) == 2:
                send()
            return stop()

        # Batches of four, so that there are several.
        images = replace(images, batch_size=4)
        return evaluation(net, images, *arguments, stop=watched_stop, **options)

    return evaluate


def watched_save(content, file):
    if moment == "checkpoint" and content["iteration"] >= at:
        buffer = io.BytesIO()
        save(content, buffer)
        file.write(buffer.getvalue()[: len(buffer.getvalue()) // 2])
        file.flush()
        send()
        file.seek(0)
        file.truncate()
    save(content, file)


train.evaluate, train.central_boxes = watched(train.evaluate), watched(train.central_boxes)
state.Training.step = watched_step
checkpoints.torch.save = watched_save
command.run(lambda _: train.main(sys.argv[4:]))
