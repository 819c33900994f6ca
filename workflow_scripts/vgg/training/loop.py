"""Training (paper §3.1): SGD with momentum, weight decay, dropout and a plateau schedule."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from .checkpoints import KEPT, CheckpointWriter, load_checkpoint, newest_checkpoint
from ..core.command import Progress
from ..nets.compiling import compile_features
from ..nets.convnets import ConvNet
from ..nets.devices import explained_memory, to_input
from ..nets.dropout import seek_dropout
from ..evaluation.methods import Stopped
from ..core.files import InputError
from .guards import CHECK_EVERY, FiniteGuard, chance_loss, check_flat_line, gradient_norm
from ..data.loader import TrainingBatch, TrainingImages, on_device
from ..nets.precision import at_least_float32, computing, gradient_scaler, parameter_type, resolved
from .distributed import Processes
from .schedule import Plateau
from ..core.signals import StopSignals

BIAS_RULES = ("as-weights", "caffe")
TRAINABLE = ("all", "fc")

STOPPED = 75  # exit status of an interrupted training that can go on: EX_TEMPFAIL


@dataclass(frozen=True)
class Optimisation:
    """How a net is optimised; defaults are the paper's (§3.1).

    iterations: the most that are done. validation_interval: iterations between validations.
    latest_drops: shares of the iterations by which the rate is divided by 10, once each, if no
        plateau has done it before.
    trainable: "all", or "fc" for the fully-connected layers only.
    biases: "as-weights", or "caffe": twice the learning rate and no weight decay.
    compile: conv layers run as torch.compile makes them.
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
    compile: bool = False
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


def _begin_momentum(optimizer: torch.optim.SGD) -> None:
    """Set momentum to zero, which is what it is before the first step.

    PyTorch leaves that to the first step, and if that is left out because gradients overflow, its
    fused SGD goes on from memory that was never set.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


@dataclass(frozen=True)
class Running:
    """How a training runs; none of it changes the result by more than rounding.

    checkpoints: folder. checkpoint_seconds: between checkpoints; one is also written at the end of
        each epoch.
    workers: loader processes of each process.
    micro_batch: most samples in memory at once; None for the process's whole part of a batch.
    flat_line_iterations: as in `check_flat_line`.
    """

    checkpoints: Path
    checkpoint_seconds: float = 600.0
    workers: int = 0
    micro_batch: int | None = None
    flat_line_iterations: int | None = None
    processes: Processes = field(default_factory=Processes)


class Training:
    """A net in training: everything that a checkpoint holds.

    images: with the rows of this process. fingerprint: of all that decides the result.
    """

    def __init__(
        self, net: ConvNet, images: TrainingImages, settings: Optimisation, fingerprint: str
    ):
        self.net, self.images, self.settings = net, images, settings
        self.fingerprint = fingerprint
        net.to(dtype=parameter_type(settings.precision), memory_format=torch.channels_last)
        net.train()
        self.device = next(net.parameters()).device
        self.precision = resolved(settings.precision, self.device)
        self.scaler = gradient_scaler(self.device, self.precision)
        self.optimizer = sgd(net, settings)
        if self.scaler.is_enabled():
            _begin_momentum(self.optimizer)
        latest_drops = [round(share * settings.iterations) for share in settings.latest_drops]
        self.plateau = Plateau(latest_drops, settings.patience, settings.margin)
        self.history: list[dict] = []
        self.iteration = 0
        self.losses = torch.zeros((), dtype=torch.float64, device=self.device)  # since validation
        self.attempts, self.earlier_seconds = 1, 0.0
        self.started = self.last_validation = time.monotonic()

    @property
    def rate(self) -> float:
        """The learning rate that holds now."""
        return self.settings.learning_rate * self.plateau.factor

    @property
    def validated(self) -> int:
        """The iteration of the last validation, 0 if there was none."""
        return self.history[-1]["iteration"] if self.history else 0

    @property
    def ends_epoch(self) -> bool:
        """True if the last iteration finished an epoch."""
        done = self.images.epochs_done
        return int(done(self.iteration)) > int(done(self.iteration - 1))

    @property
    def awaits_validation(self) -> bool:
        """True if a validation follows the last iteration and has not been done."""
        at = (
            self.iteration % self.settings.validation_interval == 0
            or self.iteration == self.settings.iterations
        )
        return at and self.validated < self.iteration

    @property
    def finished(self) -> bool:
        """True if nothing is left to do."""
        return not self.awaits_validation and (
            self.plateau.finished or self.iteration == self.settings.iterations
        )

    def save(self, running: Running, writer: CheckpointWriter) -> None:
        """Begin to write a checkpoint; every process must call this.

        That of a finished training is kept alone. It writes the weights again if Snakemake deletes
        them, as it does where Slurm calls a job failed that was not.
        """
        losses = running.processes.gather(self.losses.cpu())
        if running.processes.rank:
            return
        state = {
            "settings": self.fingerprint,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "precision": self.precision,
            "plateau": self.plateau.state(),
            "history": self.history,
            "iteration": self.iteration,
            "losses": torch.stack(losses),
            "seconds": self.earlier_seconds + time.monotonic() - self.started,
            "unvalidated_seconds": time.monotonic() - self.last_validation,
            "attempts": self.attempts,
        }
        writer.write(self.iteration, state, 1 if self.finished else KEPT)

    def resume(self, running: Running) -> None:
        """Go on from the newest checkpoint if there is one; every process must call this."""
        processes = running.processes
        found = None
        if processes.rank == 0:
            found = newest_checkpoint(running.checkpoints, self.fingerprint)
        path = processes.gather(found)[0]
        if path is None:
            return
        state = load_checkpoint(path)
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        before = state.get("precision", self.precision)
        if before != self.precision:
            logging.warning(
                "WARNING: the training began in %s and goes on in %s, as this device has it; name "
                "a train.precision to keep to one",
                *(before, self.precision),
            )
        elif self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        self.plateau = Plateau(**state["plateau"])
        self.history, self.iteration = state["history"], state["iteration"]
        self.attempts = state["attempts"] + 1
        self.earlier_seconds = state["seconds"]
        self.last_validation = time.monotonic() - state["unvalidated_seconds"]
        losses = state["losses"]
        if len(losses) == processes.count:
            self.losses = losses[processes.rank].to(self.device)
        else:
            logging.warning(
                "the checkpoint is of %d processes: from here on equal up to rounding only",
                len(losses),
            )
            self.losses = losses.sum().to(self.device) * (processes.rank == 0)
        logging.info("going on from iteration %d", self.iteration)

    def settle(self, model: nn.Module) -> None:
        """One backward pass whose gradients are thrown away, so that all iterations are alike.

        Gradients travel in buckets, and for three processes or more the place in a bucket decides
        the order of the sum. PyTorch rearranges the buckets after its first backward pass, which
        would make the first iteration after a restart differ in the last bit.
        """
        if model is self.net:
            return
        crop = self.images.crop
        seek_dropout(self.net, 0, 0, slice(1), 1)
        model(next(self.net.parameters()).new_zeros(1, 3, crop, crop)).sum().backward()
        self.optimizer.zero_grad(set_to_none=True)

    def step(
        self,
        model: nn.Module,
        batch: TrainingBatch,
        mean: torch.Tensor,
        seed: int,
        running: Running,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One iteration of SGD: the loss's mean over the whole batch of all processes (§3.1).

        model: the net, or what `Processes.wrap` made of it. batch: this process's rows.
        mean: float [3], RGB. Gives the losses float [rows] and the gradient's norm float [].
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * group["rate_factor"]
        self.optimizer.zero_grad(set_to_none=True)
        batch = batch.to(self.device)
        pixels, shifts, labels = batch.images, batch.shifts, batch.labels
        first_row, batch_size = self.images.own_rows.start, self.settings.batch_size
        most = running.micro_batch or len(labels)
        losses = []
        for first in range(0, len(labels), most):
            part = slice(first, min(first + most, len(labels)))
            place = slice(first_row + part.start, first_row + part.stop)
            seek_dropout(self.net, seed, self.iteration, place, batch_size)
            inputs = to_input(pixels[part], mean, self.settings.input_scale, shifts[part])
            alone = running.processes.count == 1
            last = part.stop == len(labels)  # gradients travel once, when all are summed
            with nullcontext() if alone or last else model.no_sync():
                with computing(self.device, self.precision):
                    scores = model(inputs)
                scores = at_least_float32(scores)
                losses.append(F.cross_entropy(scores, labels[part], reduction="none"))
                # The processes' gradients are averaged, hence the factor.
                loss = losses[-1].sum() * (running.processes.count / batch_size)
                self.scaler.scale(loss).backward()
        losses = torch.cat(losses).detach()
        norm = self._update()
        self.iteration += 1
        self.losses += losses.sum(dtype=torch.float64)
        return losses, norm

    def _update(self) -> torch.Tensor:
        """The optimiser's step. Gives the gradient's norm float [], which is not finite if a
        gradient is not.

        Where losses are scaled, and gradients overflow that the scale can be lowered for, the step
        is left out and the norm is 0.
        """
        scale = self.scaler.scale(torch.ones((), device=self.device))
        self.scaler.unscale_(self.optimizer)
        norm = gradient_norm(self.net)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return torch.where((scale > 1) & ~norm.isfinite(), 0.0, norm)

    def observe(
        self, wrong: list[int], validation_images: int, seconds: float, processes: Processes
    ) -> None:
        """Take in a validation; every process must call this.

        wrong: how many of the images are wrong in top-1 and in top-5. seconds: from the last
        validation to the beginning of this one.
        """
        iterations = self.iteration - self.validated
        loss = sum(part.item() for part in processes.gather(self.losses.cpu()))
        top1, top5 = (100 * (number / validation_images) for number in wrong)
        self.history.append(
            {
                "iteration": self.iteration,
                "epoch": self.images.epochs_done(self.iteration),
                "learning_rate": self.rate,
                "train_loss": loss / (iterations * self.settings.batch_size),
                "val_top1_error": top1,
                "val_top5_error": top5,
                "images_per_second": iterations * self.settings.batch_size / seconds,
            }
        )
        logging.info(
            "iteration %d: loss %.3f, validation error %.2f%% top-1, %.2f%% top-5",
            *(self.iteration, self.history[-1]["train_loss"], top1, top5),
        )
        self.plateau.observe(self.iteration, top1)
        self.losses = torch.zeros_like(self.losses)
        self.last_validation = time.monotonic()


def train(
    net: ConvNet,
    images: TrainingImages,
    validate: Callable[[ConvNet, Callable[[], bool]], tuple[int, int]],
    validation_images: int,
    settings: Optimisation,
    running: Running,
    *,
    mean: list[float],
    seed: int,
    fingerprint: str,
) -> Training:
    """Train `net` in place, going on from the newest checkpoint if there is one.

    net: initialised, on its device. images: with this process's rows.
    validate: gives how many of this process's validation images are wrong in top-1 and in top-5;
        it may raise Stopped when the function that it is given says so.
    validation_images: of all processes.
    fingerprint: of everything that decides the result; checkpoints of another are not used.
    Returns the finished training; its history has one entry a validation.
    Raises InputError on what `guards` finds, Interrupted after SIGTERM, SIGINT or SIGUSR1 in any
    process, when a checkpoint is written.
    """
    training = Training(net, images, settings, fingerprint)
    training.resume(running)
    if settings.compile:
        compile_features(net)
    processes, device = running.processes, training.device
    model = processes.wrap(net)
    training.settle(model)
    guard = FiniteGuard(images, processes)
    chance = chance_loss(images.labels)
    mean_rgb = torch.tensor(mean, dtype=parameter_type(settings.precision), device=device)
    progress = Progress(
        settings.iterations * settings.batch_size,
        "images",
        done=training.iteration * settings.batch_size,
    )
    own = images.own_rows
    samples = min(running.micro_batch or settings.batch_size, own.stop - own.start)
    load = (
        f"{samples} samples at once (train.batch_size {settings.batch_size}, "
        f"train.processes {processes.count})"
    )
    cure = (
        f"set train.micro_batch to {max(1, samples // 2)} or less, or use more processes; the "
        "result is the same"
    )
    last_checkpoint = time.monotonic()
    batches = images.batches(
        training.iteration, settings.iterations, running.workers, device.type == "cuda"
    )
    ready = on_device(batches, device)
    with (
        StopSignals() as signals,
        closing(batches),
        CheckpointWriter(running.checkpoints) as writer,
    ):

        def checkpoint() -> None:
            nonlocal last_checkpoint
            guard.look()
            training.save(running, writer)
            last_checkpoint = time.monotonic()

        def stop_if_asked(number: int) -> None:
            if number:
                checkpoint()
                name = signal.Signals(number).name
                raise Interrupted(f"stopped at iteration {training.iteration} on {name}")

        while True:
            if training.awaits_validation:
                guard.look()
                seconds = time.monotonic() - training.last_validation
                logging.info("validating after iteration %d", training.iteration)
                wrong = (0, 0)
                with suppress(Stopped):
                    wrong = validate(net, lambda: signals.received > 0)
                stop_if_asked(*processes.highest(signals.received))
                training.observe(processes.total(*wrong), validation_images, seconds, processes)
            try:
                check_flat_line(training.history, chance, running.flat_line_iterations)
            except InputError:
                checkpoint()
                raise
            if training.finished:
                checkpoint()
                return training
            rate = training.rate
            batch = next(ready)
            with explained_memory(load, cure):
                losses, norm = training.step(model, batch, mean_rgb, seed, running)
            guard.keep(training.iteration, rate, losses, norm)
            progress.update(settings.batch_size, f"iteration {training.iteration}, rate {rate:g}")
            if training.iteration % CHECK_EVERY == 0:
                guard.look()
            due = time.monotonic() - last_checkpoint >= running.checkpoint_seconds
            received, due = processes.highest(signals.received, due or training.ends_epoch)
            stop_if_asked(received)
            if due:
                checkpoint()
