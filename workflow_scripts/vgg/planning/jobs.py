"""The jobs of a plan. Light on imports: pages and summaries of a run read them."""

from __future__ import annotations

from dataclasses import dataclass, field

Key = tuple[str, str]  # rule and name of a job


@dataclass
class Job:
    """One job of the workflow, or all shards of a store.

    rule and name: those of its log. jobs: of the workflow that it stands for. after: those that it
    waits for. seed: of the models' trainings; None if they have none. split: or other data set.
    method: of an evaluation, or the region that is described. weights: of the net that describes,
    "trained" or "random". row: of the tables, that is guessed or classified; models: the nets
    behind it. images: that are packed, read about or guessed, or pass through the net once; of
    persons and classifiers, the examples. boxes: of a class and image, in the mean. dimensions: of
    an example that is classified, and classes. flop: in all, that of a training's validations
    included. hours: of one device or core, validation_hours of them. wall_hours: from start to end.
    disk: bytes that it leaves. checkpoints: bytes that it needs meanwhile. actual: what its records
    say, from `records.compare`.
    """

    rule: str
    name: str
    jobs: int = 1
    after: list[Key] = field(default_factory=list)
    model: str | None = None
    seed: int | None = None
    net: str | None = None
    S: str | None = None
    parent: str | None = None
    trainable: str | None = None
    iterations: int | None = None
    batch_size: int | None = None
    split: str | None = None
    method: str | None = None
    Q: int | None = None
    weights: str | None = None
    row: str | None = None
    models: list[str] = field(default_factory=list)
    images: int | None = None
    boxes: float | None = None
    dimensions: int | None = None
    classes: int | None = None
    flop_per_image: float | None = None
    flop: float | None = None
    hours: float | None = None
    validation_hours: float | None = None
    wall_hours: float | None = None
    disk: float | None = None
    checkpoints: float | None = None
    actual: dict | None = None

    @property
    def key(self) -> Key:
        return self.rule, self.name
