"""Training (paper §3.1): SGD with momentum, weight decay, dropout and a plateau schedule."""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

from .checkpoints import load_checkpoint, save_checkpoint
from .command import Progress
from .convnets import ConvNet
from .devices import autocast, to_input
from .dropout import seek_dropout
from .files import InputError
from .loader import TrainingImages
from .schedule import Plateau

BIAS_RULES = ("as-weights", "caffe")
TRAINABLE = ("all", "fc")
CHECK_EVERY = 50  # iterations between looks at the loss; a look makes a GPU wait

STOPPED = 75  # exit status of an interrupted training that can go on: EX_TEMPFAIL


@dataclass(frozen=True)
class Optimisation:
    """How a net is optimised; defaults are the paper's (§3.1).

    iterations: the most that are done. validation_interval: iterations between validations.
    latest_drops: shares of the iterations by which the rate is divided by 10, once each, if no
        plateau has done it before.
    trainable: "all", or "fc" for the fully-connected layers only.
    biases: "as-weights", or "caffe": twice the learning rate and no weight decay.
    input_scale: the inputs are divided by this, which is undone in the saved first layer.
    """

    learning_rate: float = 1e-2
    batch_size: int = 256
    momentum: float = 0.9
    weight_decay: float = 5e-4
    dropout: float = 0.5
    iterations: int = 370_000
    validation_interval: int = 5_000
    latest_drops: tuple[float, ...] = (0.7, 0.85, 0.95)
    patience: int = 3
    margin: float = 0.0
    trainable: str = "all"
    biases: str = "as-weights"
    precision: str = "auto"
    input_scale: float = 1.0


class Interrupted(Exception):
    """Training was asked to stop; its checkpoint is written."""


def sgd(net: ConvNet, settings: Optimisation) -> torch.optim.SGD:
    """The optimiser over the trainable parameters; the others are frozen."""
    net.features.requires_grad_(settings.trainable == "all")
    weights, biases = [], []
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            (biases if name.endswith("bias") else weights).append(parameter)
    caffe = settings.biases == "caffe"
    return torch.optim.SGD(
        [
            {"params": weights, "rate_factor": 1.0},
            {
                "params": biases,
                "rate_factor": 2.0 if caffe else 1.0,
                "weight_decay": 0.0 if caffe else settings.weight_decay,
            },
        ],
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def train(
    net: ConvNet,
    images: TrainingImages,
    validate: Callable[[ConvNet], tuple[float, float]],
    settings: Optimisation,
    *,
    mean: list[float],
    seed: int,
    checkpoints: Path,
    fingerprint: str,
    checkpoint_seconds: float = 600.0,
    workers: int = 0,
) -> list[dict]:
    """Train `net` in place, going on from the newest checkpoint if there is one.

    net: initialised, on its device. validate: gives top-1 and top-5 error in percent.
    fingerprint: of everything that decides the result; checkpoints of another are not used.
    Returns the history: one entry a validation.
    Raises InputError on a non-finite loss and Interrupted after SIGTERM, SIGINT or SIGUSR1.
    """
    device = next(net.parameters()).device
    net.to(memory_format=torch.channels_last)
    net.train()
    optimizer = sgd(net, settings)
    latest_drops = [round(share * settings.iterations) for share in settings.latest_drops]
    plateau = Plateau(latest_drops, settings.patience, settings.margin)
    history: list[dict] = []
    iteration = 0
    loss_sum, losses = torch.zeros((), dtype=torch.float64, device=device), 0

    if (state := load_checkpoint(checkpoints, fingerprint)) is not None:
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        plateau = Plateau(**state["plateau"])
        history, iteration = state["history"], state["iteration"]
        loss_sum, losses = state["loss_sum"].to(device), state["losses"]
        logging.info("going on from iteration %d", iteration)

    def checkpoint() -> None:
        state = {
            "settings": fingerprint,
            "net": net.state_dict(),
            "optimizer": optimizer.state_dict(),
            "plateau": plateau.state(),
            "history": history,
            "iteration": iteration,
            "loss_sum": loss_sum,
            "losses": losses,
        }
        save_checkpoint(checkpoints, iteration, state)

    mean_rgb = torch.tensor(mean, dtype=torch.float32, device=device)
    progress = Progress(
        settings.iterations * images.batch_size, "images", done=iteration * images.batch_size
    )
    last_checkpoint = last_validation = time.monotonic()
    validated = iteration
    with _Signals() as signals:
        batches = images.batches(iteration, settings.iterations, workers, device.type == "cuda")
        for batch in batches:
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * plateau.factor * group["rate_factor"]
            seek_dropout(net, seed, iteration, images.rows, images.batch_size)
            inputs = to_input(
                batch.images.to(device, non_blocking=True),
                mean_rgb,
                settings.input_scale,
                batch.shifts.to(device, non_blocking=True),
            )
            labels = batch.labels.to(device, non_blocking=True)
            with autocast(device, settings.precision):
                scores = net(inputs)
            loss = F.cross_entropy(scores.float(), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            iteration += 1
            loss_sum += loss.detach()
            losses += 1

            at_validation = (
                iteration % settings.validation_interval == 0 or iteration == settings.iterations
            )
            due = time.monotonic() - last_checkpoint >= checkpoint_seconds
            if at_validation or due or signals.received or iteration % CHECK_EVERY == 0:
                _check_finite(loss_sum, iteration, optimizer.param_groups[0]["lr"])
            progress.update(
                images.batch_size,
                f"iteration {iteration}, rate {settings.learning_rate * plateau.factor:g}",
            )
            if at_validation:
                now = time.monotonic()
                top1, top5 = validate(net)
                history.append(
                    {
                        "iteration": iteration,
                        "epoch": images.epochs_done(iteration),
                        "learning_rate": settings.learning_rate * plateau.factor,
                        "train_loss": loss_sum.item() / losses,
                        "val_top1_error": top1,
                        "val_top5_error": top5,
                        "images_per_second": (iteration - validated)
                        * images.batch_size
                        / (now - last_validation),
                    }
                )
                logging.info(
                    "iteration %d: loss %.3f, validation error %.2f%% top-1, %.2f%% top-5",
                    *(iteration, loss_sum.item() / losses, top1, top5),
                )
                plateau.observe(iteration, top1)
                loss_sum, losses, validated = torch.zeros_like(loss_sum), 0, iteration
                last_validation = time.monotonic()
            if plateau.finished or iteration == settings.iterations:
                break
            if due or signals.received:
                checkpoint()
                last_checkpoint = time.monotonic()
            if signals.received:
                raise Interrupted(f"stopped at iteration {iteration} on {signals.received}")
    return history


def _check_finite(loss_sum: torch.Tensor, iteration: int, rate: float) -> None:
    if not math.isfinite(loss_sum.item()):
        raise InputError(
            f"the training loss is not finite at iteration {iteration}, learning rate {rate:g}; "
            "lower the model's learning_rate or choose another initialisation"
        )


class _Signals:
    """Notes SIGTERM, SIGINT or SIGUSR1 instead of dying, so that an iteration can be finished."""

    received: str | None = None

    def __enter__(self) -> _Signals:
        watched = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
        self.previous = {number: signal.signal(number, self._note) for number in watched}
        return self

    def _note(self, number: int, frame: object) -> None:
        self.received = signal.Signals(number).name

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
