"""A net in training: one step of SGD, and all that a checkpoint holds (paper §3.1)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict

import torch
from torch import nn

from ..data.loader import TrainingBatch, TrainingImages
from ..nets.batch_normalisation import check_micro_batch
from ..nets.compiling import compile_features
from ..nets.convnets import ConvNet
from ..nets.devices import to_input
from ..nets.dropout import seek_dropout
from ..nets.precision import at_least_float32, computing, gradient_scaler, parameter_type, resolved
from .distributed import Processes
from .guards import gradient_norm
from .history import Iteration, Validation
from .losses import logistic_loss
from .optimisation import Optimisation, begin_momentum, sgd
from .schedule import Plateau

NAMES = {"top1": "top-1", "top5": "top-5", "gtloc": "localisation"}  # of validation errors


class Training:
    """A net in training, in one of the processes that share its batches.

    net: on its device; trained in place.
    images: with the rows of this process.
    settings: how the net is optimised.
    mean: RGB 0–255, subtracted from pixels.
    micro_batch: most samples in memory at once; None for the process's whole part of a batch.
    loss: what is minimised: of outputs float [rows, …] and their batch, float [rows].

    Raises InputError if the net normalises over more than `micro_batch` samples.
    """

    def __init__(
        self,
        net: ConvNet,
        images: TrainingImages,
        settings: Optimisation,
        mean: Sequence[float],
        processes: Processes | None = None,
        micro_batch: int | None = None,
        loss: Callable[[torch.Tensor, TrainingBatch], torch.Tensor] = logistic_loss,
    ):
        self.net, self.images, self.settings = net, images, settings
        self.processes, self.micro_batch = processes or Processes(), micro_batch
        check_micro_batch(net, images.own_rows.stop - images.own_rows.start, micro_batch)
        self.loss = loss
        dtype = parameter_type(settings.precision)
        net.to(dtype=dtype).to(memory_format=torch.channels_last)
        net.train()
        self.model: nn.Module = net  # what runs: the net, or what shares its gradients
        self.device = next(net.parameters()).device
        self.mean = torch.tensor(mean, dtype=dtype, device=self.device)
        self.precision = resolved(settings.precision, self.device)
        self.scaler = gradient_scaler(self.device, self.precision)
        self.optimizer = sgd(net, settings)
        if self.scaler.is_enabled():
            begin_momentum(self.optimizer)
        latest_drops = [round(share * settings.iterations) for share in settings.latest_drops]
        self.plateau = Plateau(latest_drops, settings.patience, settings.margin)
        self.history: list[Validation] = []
        self.iterations: list[Iteration] = []  # as `FiniteGuard.look` has given them
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
        return self.history[-1].iteration if self.history else 0

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

    def state(self, fingerprint: str) -> dict:
        """The content of a checkpoint; every process must call this.

        fingerprint: of all that decides the result.
        """
        losses = self.processes.gather(self.losses.cpu())
        return {
            "settings": fingerprint,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "precision": self.precision,
            "plateau": self.plateau.state(),
            "history": [asdict(line) for line in self.history],
            "iterations": torch.tensor(self.iterations, dtype=torch.float64),
            "iteration": self.iteration,
            "losses": torch.stack(losses),
            "seconds": self.earlier_seconds + time.monotonic() - self.started,
            "unvalidated_seconds": time.monotonic() - self.last_validation,
            "attempts": self.attempts,
        }

    def resume(self, state: dict) -> None:
        """Go on from what `state` gave, perhaps in another number of processes."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        before = state.get("precision", self.precision)
        if before != self.precision:
            logging.warning(
                "WARNING: the training began in %s and goes on in %s, as this device has it; name "
                "a train.precision to keep to one",
                before,
                self.precision,
            )
        elif self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        self.plateau = Plateau(**state["plateau"])
        self.history = [Validation(**line) for line in state["history"]]
        known = state.get("iterations", torch.empty(0))  # older checkpoints have none
        self.iterations = [Iteration(int(number), *rest) for number, *rest in known.tolist()]
        self.iteration = state["iteration"]
        self.attempts = state["attempts"] + 1
        self.earlier_seconds = state["seconds"]
        self.last_validation = time.monotonic() - state["unvalidated_seconds"]
        losses = state["losses"]
        if len(losses) == self.processes.count:
            self.losses = losses[self.processes.rank].to(self.device)
        else:
            logging.warning(
                "the checkpoint is of %d processes: from here on equal up to rounding only",
                len(losses),
            )
            self.losses = losses.sum().to(self.device) * (self.processes.rank == 0)
        logging.info("going on from iteration %d", self.iteration)

    def prepare(self) -> None:
        """Make the net ready to run, once its weights are there: compiled, and shared."""
        if self.settings.compile:
            compile_features(self.net)
        self.model = self.processes.wrap(self.net)
        if self.model is not self.net:
            self.settle()

    def settle(self) -> None:
        """One backward pass whose gradients are thrown away, so that all iterations are alike.

        Gradients travel between processes in buckets, and for three processes or more the place in
        a bucket decides the order of the sum. PyTorch rearranges the buckets after its first
        backward pass, which would make the first iteration after a restart differ in the last bit.
        """
        crop = self.images.crop
        self.net.eval()  # no dropout, and no sample for batch normalisation
        self.model(next(self.net.parameters()).new_zeros(1, 3, crop, crop)).sum().backward()
        self.net.train()
        self.optimizer.zero_grad(set_to_none=True)

    def step(self, batch: TrainingBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """One iteration of SGD: the loss's mean over the whole batch of all processes (§3.1).

        batch: this process's rows. Gives the losses float [rows] and the gradient's norm float [].
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * group["rate_factor"]
        self.optimizer.zero_grad(set_to_none=True)
        batch = batch.to(self.device)
        rows = len(batch.labels)
        first_row, batch_size = self.images.own_rows.start, self.settings.batch_size
        most = self.micro_batch or rows
        parts = []
        for first in range(0, rows, most):
            part = slice(first, min(first + most, rows))
            place = slice(first_row + part.start, first_row + part.stop)
            seek_dropout(self.net, self.images.seed, self.iteration, place, batch_size)
            own = batch.rows(part)
            inputs = to_input(own.images, self.mean, self.settings.input_scale, own.shifts)
            last = part.stop == rows  # gradients travel once, when all are summed
            with nullcontext() if last else self.processes.without_sharing(self.model):
                with computing(self.device, self.precision):
                    outputs = self.model(inputs)
                parts.append(self.loss(at_least_float32(outputs), own))
                # The processes' gradients are averaged, hence the factor.
                loss = parts[-1].sum() * (self.processes.count / batch_size)
                self.scaler.scale(loss).backward()
        losses = torch.cat(parts).detach()
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

    def observe(self, wrong: Mapping[str, int], validation_images: int, seconds: float) -> None:
        """Take in a validation; every process must call this.

        wrong: how many of the images are wrong by each error, such as {"top1": 9, "top5": 2}, in
            all processes together; plateaus are seen in the first.
        seconds: from the last validation to the beginning of this one.
        """
        samples = (self.iteration - self.validated) * self.settings.batch_size
        loss = sum(part.item() for part in self.processes.gather(self.losses.cpu()))
        errors = {name: 100 * (number / validation_images) for name, number in wrong.items()}
        line = Validation(
            iteration=self.iteration,
            epoch=self.images.epochs_done(self.iteration),
            learning_rate=self.rate,
            train_loss=loss / samples,
            images_per_second=samples / seconds,
            **{f"val_{name}_error": error for name, error in errors.items()},
        )
        self.history.append(line)
        logging.info(
            "iteration %d: loss %.4g, validation error %s",
            self.iteration,
            line.train_loss,
            ", ".join(f"{error:.2f}% {NAMES[name]}" for name, error in errors.items()),
        )
        self.plateau.observe(self.iteration, next(iter(errors.values())))
        self.losses = torch.zeros_like(self.losses)
        self.last_validation = time.monotonic()
