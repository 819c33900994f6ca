"""Those who watch a training: TensorBoard, a user's own observer, and signs for `status`.

Observers are told each iteration and each validation once and in order, in rank 0 alone. An
attempt that goes on from a checkpoint begins new ones, which are given all that was before: so
nothing that an earlier attempt told beyond the checkpoint counts twice, and nothing that it did not
is lost. docs/watching.md has examples.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..core.files import InputError
from ..core.signals import STOPPED as STATUS_OF_STOPPED
from .guards import CHECK_EVERY
from .history import Iteration, Validation
from .signs import FAILED, FINISHED, STARTING, STOPPED, Signs

if TYPE_CHECKING:
    from .state import Training

TOLD = ("iteration", "validation", "end")  # methods of an observer
OF_OBSERVERS = (Exception, SystemExit)  # what fails one: none may end a training by sys.exit


@dataclass(frozen=True)
class Observed:
    """A training as an observer is shown it, when it begins or goes on.

    model, net: their names in models.yaml.
    results: folder of the experiment's results, or of another seed's in it.
    settings: all that decides what comes out, by the names of the command's options.
    iteration: that it goes on from, 0 at the beginning. iterations: the most that it has.
    done: the iterations until then. Those that a checkpoint of an older version left out are
        missing at their beginning.
    history: the validations until then.
    """

    model: str
    net: str
    seed: int
    results: Path
    settings: Mapping[str, Any]
    iteration: int
    iterations: int
    done: Sequence[Iteration]
    history: Sequence[Validation]


class Observer(Protocol):
    """What observes a training; `train.observer` names a function of `Observed` that makes one."""

    def iteration(self, done: Iteration) -> None:
        """An iteration is done. Losses come from the GPU 50 iterations at a time."""

    def validation(self, line: Validation) -> None:
        """A validation is done, of the iteration that was told last."""

    def end(self, outcome: str) -> None:
        """This attempt is over: "finished", "stopped" or "failed"; a killed one does not say."""


Maker = Callable[[Observed], Observer]


class Watch:
    """Tells all who watch a training; its block is the training, and how that ends is told too.

    folder: of checkpoints, for the signs; None for a process that is not to tell.
    makers: of the observers, by what a message calls them.

    An observer that fails is left out from there on, with a warning. One that fails to begin at
    iteration 0 raises InputError, since nothing is lost yet.
    """

    def __init__(self, folder: str | Path | None, makers: Mapping[str, Maker]):
        self.signs = Signs(folder) if folder is not None else None
        self.makers = makers if folder is not None else {}
        self.observers: dict[str, Observer] = {}

    def __enter__(self) -> Watch:
        self.sign(STARTING)
        return self

    def begin(self, observed: Observed, facts: Callable[[], dict]) -> None:
        """Begin the observers. facts: as `Signs.begin` takes them."""
        if self.signs:
            self.signs.begin(observed.iteration, facts)
        if self.makers and len(observed.done) < observed.iteration:
            logging.warning(
                "the checkpoint is of an older version and has no losses of %d iterations",
                observed.iteration - len(observed.done),
            )
        for name, make in self.makers.items():
            try:
                observer = make(observed)
                if lacking := [told for told in TOLD if not hasattr(observer, told)]:
                    raise TypeError(f"it made {observer!r}, which has no {', '.join(lacking)}")
            except OF_OBSERVERS as error:
                if observed.iteration == 0:
                    raise InputError(
                        f"{name} cannot begin: {last_line(error)}; mend that, or go without it"
                    ) from error
                self._leave_out(name, error)
            else:
                self.observers[name] = observer

    def iterations(self, done: Sequence[Iteration]) -> None:
        """Tell of iterations that are done."""
        for one in done:
            self._tell("iteration", one)

    def validation(self, line: Validation) -> None:
        """Tell of a validation."""
        self._tell("validation", line)

    def sign(self, state: str, message: str | None = None) -> None:
        """Leave a sign of the training's state, if one is due; called as often as there is one."""
        if self.signs:
            self.signs.give(state, message)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        outcome, message = FINISHED, None
        if isinstance(error, KeyboardInterrupt) or (
            isinstance(error, SystemExit) and error.code == STATUS_OF_STOPPED
        ):
            outcome = STOPPED
        elif error is not None:
            outcome = FAILED
            message = str(error) if isinstance(error, InputError) else last_line(error)
        self._tell("end", outcome)
        self.sign(outcome, message)

    def _tell(self, what: str, told: object) -> None:
        for name, observer in list(self.observers.items()):
            try:
                getattr(observer, what)(told)
            except OF_OBSERVERS as error:
                self._leave_out(name, error)

    def _leave_out(self, name: str, error: BaseException) -> None:
        self.observers.pop(name, None)
        logging.warning(
            "WARNING: %s has failed; the training goes on without it: %s", name, last_line(error)
        )


def facts_of(training: Training, device: str, processes: int) -> dict:
    """The fields of a `Sign` that say how far a training is, on what and in how many processes."""
    latest = training.iterations[-CHECK_EVERY:]
    measured = {
        name: value
        for name, value in (asdict(training.history[-1]) if training.history else {}).items()
        if math.isfinite(value)
    }
    return {
        "device": device,
        "processes": processes,
        "attempts": training.attempts,
        "batch_size": training.settings.batch_size,
        "iteration": training.iteration,
        "iterations": training.settings.iterations,
        "learning_rate": training.rate,
        "loss": sum(done.loss for done in latest) / len(latest) if latest else None,
        "validation": measured or None,
    }


def makers_of(tensorboard: str | None, observer: str | None) -> dict[str, Maker]:
    """The makers of the observers that are asked for.

    tensorboard: folder for event files. observer: "path/to/file.py:function".
    Raises InputError for what is not installed or cannot be loaded.
    """
    makers: dict[str, Maker] = {}
    if tensorboard:
        makers["train.tensorboard"] = _event_files(tensorboard)
    if observer:
        makers[f"train.observer {observer}"] = load_function(observer)
    return makers


def _event_files(folder: str) -> Maker:
    try:
        from .event_files import EventFiles  # loads tensorboard
    except ImportError as error:
        raise InputError(
            f"train.tensorboard: {error}; run pip install -r envs/requirements-extra.txt, or set "
            "it to false"
        ) from error
    return lambda observed: EventFiles(folder, observed)


def load_function(name: str) -> Callable:
    """The function, or class, that "path/to/file.py:function" names. Raises InputError."""
    where = f"train.observer {name}"
    path, _, function = name.rpartition(":")
    if not path or not function.isidentifier():
        raise InputError(f"{where}: expected path/to/file.py:function")
    if not Path(path).is_file():
        raise InputError(f"{where}: no such file; paths are relative to the project")
    spec = importlib.util.spec_from_file_location(f"observer_{Path(path).stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{where}: is no Python file; its name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses and pickle look for it
    try:
        spec.loader.exec_module(module)
    except OF_OBSERVERS as error:
        raise InputError(f"{where}: cannot be loaded: {last_line(error)}") from error
    found = getattr(module, function, None)
    if not callable(found):
        raise InputError(f"{where}: the file has no function {function}")
    return found


def last_line(error: BaseException) -> str:
    """What an error says, and where it was raised; of an error of syntax, where that is."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [(frame.filename, frame.lineno) for frame in frames]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
    places = [place for place in places if not place[0].startswith("<")]  # "<frozen importlib…>"
    where = " ({}:{})".format(*places[-1]) if places else ""
    return f"{traceback.format_exception_only(error)[-1].strip()}{where}"
