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
now = {"validating": False, "sent": False}
step, cross_entropy, save = state.Training.step, state.F.cross_entropy, checkpoints.torch.save


def send():
    if not now["sent"]:
        now["sent"] = True
        os.kill(os.getpid(), signal.Signals[name])


def watched_step(self, *arguments):
    now["iteration"], now["dropped"] = self.iteration + 1, self.plateau.dropped
    return step(self, *arguments)


def watched_loss(*arguments, **options):
    if (moment == "iteration" and now["iteration"] == at) or (
        moment == "drop" and now["dropped"] == at
    ):
        send()
    return cross_entropy(*arguments, **options)


def watched_evaluation(net, images, *arguments, stop, **options):
    asked = []

    def watched_stop():
        asked.append(None)
        if moment == "validation" and now["iteration"] >= at and len(asked) == 2:
            send()
        return stop()

    # Batches of four, so that there are several.
    return evaluate(net, replace(images, batch_size=4), *arguments, stop=watched_stop, **options)


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


evaluate = train.evaluate
train.evaluate = functools.wraps(evaluate)(watched_evaluation)
state.Training.step = watched_step
state.F.cross_entropy = watched_loss
checkpoints.torch.save = watched_save
command.run(lambda _: train.main(sys.argv[4:]))
