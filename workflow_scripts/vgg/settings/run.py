"""A run: its validated configuration, and the facts and paths that rules of all stages share.

Light on imports: Snakemake reads this at every start, and in every job on a cluster.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from ..core.files import InputError
from . import (
    class_subsets,
    configuration,
    entry_places,
    experiments,
    localised_rows,
    net_uses,
    pictures_wanted,
    test_time_choices,
    transferred_rows,
)
from .experiments import Evaluation, Measured
from .launching import processes_per_node
from .localised_rows import Guessed
from .rule_options import in_text

KEYS_OF_ORGANISED = (
    "test",
    "average_precision",
    "server_folder",
)  # in entries of `transfer.data_sets`
KEYS_OF_FOLDERS = ("background", "train_per_class", "test_per_class", "splits")
PAPER_TABLES = "config/paper_tables.yaml"
CONFIG_SCHEMA = "config/schemas/config.schema.yaml"
SPEED = "benchmarks/summary.json"  # of this machine, whatever the experiment


def split_of(store: str) -> str:
    """The split, or data set, whose images a store of shards holds: train_S256 holds train."""
    return store.split("_S")[0]


@dataclass(frozen=True)
class Run:
    """A run's configuration files, and what follows from them.

    config: the configuration itself. convnets, models: of models.yaml. pictures: None for no page
    of pictures. answers: the test server's. schema: the configuration's.
    """

    config: dict
    convnets: dict
    models: dict
    tables: dict
    claims: list[dict]
    pictures: dict | None
    answers: dict
    schema: dict

    # What is in the configuration

    @cached_property
    def resolved(self) -> str:
        """The configuration as one YAML text, as it is recorded."""
        return yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True)

    @property
    def data(self) -> dict:
        """The data set."""
        return self.config["data"]

    @property
    def classes(self) -> int:
        """The number of the run's classes."""
        return class_subsets.number_of_classes(self.data["classes"])

    @property
    def is_subset(self) -> bool:
        """True if the run's classes are chosen among the data set's."""
        return class_subsets.is_subset(self.data["classes"])

    @property
    def choices(self) -> dict[str, str]:
        """How the run reads what the paper leaves open."""
        return self.config["choices"]

    def choices_deciding(self, stage: str) -> dict[str, str]:
        """The choices that decide the results of a stage: "training", "packing" or "evaluation".

        A stage's own come before those that it shares with an earlier one: see `decides` in the
        schema.
        """
        known = self.schema["properties"]["choices"]["properties"]
        names = [name for name, entry in known.items() if stage in entry["decides"]]
        names.sort(key=lambda name: known[name]["decides"][0] != stage)
        return {name: self.choices[name] for name in names}

    @property
    def precision(self) -> str:
        """The precision of evaluations."""
        return self.config["evaluate"]["precision"]

    @property
    def imported(self) -> dict[str, dict]:
        """The models whose weights are read from files."""
        return self.config["weights"]["import"]

    def by_size(self, full_size: int, miniature: int) -> int:
        """A resource: as much as the paper's nets and ILSVRC-2012 need, or the miniature."""
        return full_size if self.is_full_size else miniature

    @property
    def is_full_size(self) -> bool:
        """True if the nets have the paper's channels."""
        return self.config["convnet"]["width_divisor"] == 1

    @property
    def is_miniature(self) -> bool:
        """True if the images are drawn."""
        return self.data["source"] == "miniature"

    @property
    def processes(self) -> int:
        """The processes that share a training, on all nodes together."""
        return self.config["train"]["processes"]

    @property
    def nodes(self) -> int:
        """The nodes that a training is spread over."""
        return self.config["train"]["nodes"]

    @property
    def processes_per_node(self) -> int:
        """A node's part of a training's processes."""
        return processes_per_node(self.processes, self.nodes)

    # Where and on what commands run changes no result, but by rounding: parts of rules' text.

    @property
    def device(self) -> str:
        """The option that says what is computed on."""
        return in_text(device=self.config["device"])

    @property
    def place(self) -> str:
        """Options that say where evaluations and trainings compute and read."""
        return in_text(device=self.config["device"], local_scratch=self.data["local_scratch"])

    # Models, tables and evaluations

    @cached_property
    def available(self) -> list[str]:
        """The models that the run has weights of; of boxes, those that it can localise with."""
        train = self.config["weights"]["train"]
        trainable = {
            name
            for name, model in self.models.items()
            if train and not net_uses.is_library_net(model["net"])
        }
        had = [model for model in self.models if model in trainable or model in self.imported]
        return [model for model in had if self._is_of_use(model, had)]

    def _is_of_use(self, model: str, had: Collection[str]) -> bool:
        """False of a net of boxes that cannot be tested; `had`: all models that have weights."""
        entry = self.models[model]
        if not localised_rows.is_of_boxes(entry):
            return True
        return self.localises and entry["parent"] in had

    @property
    def localises(self) -> bool:
        """True if boxes of the training and validation images are at hand."""
        return self.data["archives"]["val_boxes"] is not None

    @cached_property
    def trained(self) -> list[str]:
        """The models that the run trains."""
        return [model for model in self.available if model not in self.imported]

    @property
    def measured(self) -> list[str]:
        """The tables whose rows come from posteriors."""
        return [name for name, table in self.tables.items() if experiments.is_measured(table)]

    @property
    def localised(self) -> list[str]:
        """The tables whose rows come from guesses of labels and boxes."""
        return [name for name, table in self.tables.items() if localised_rows.is_localised(table)]

    @property
    def transferred(self) -> list[str]:
        """The tables whose rows come from classifiers of other data sets' descriptors."""
        return [n for n, table in self.tables.items() if transferred_rows.is_transferred(table)]

    @property
    def described(self) -> list[str]:
        """The tables of the nets themselves."""
        others = (*self.measured, *self.localised, *self.transferred)
        return [name for name in self.tables if name not in others]

    @cached_property
    def guess_rows(self) -> dict[str, dict]:
        """The rows of guesses that the run can measure, by name."""
        if not self.localises:
            return {}
        rows = localised_rows.localised_rows(self.tables)
        return {
            name: row
            for name, row in rows.items()
            if experiments.has_models([localised_rows.guessed(row)], self.available)
        }

    @property
    def labels_of_guesses(self) -> list[Evaluation]:
        """The evaluations whose mean names the five classes that are boxed."""
        row = experiments.find_row(self.config["localise"]["labels"], self.tables)
        return experiments.evaluations(row["evaluations"])

    @property
    def boxed_splits(self) -> list[str]:
        """The splits on which localisation errors are known."""
        if not self.localises:
            return []
        tested = self.data["archives"]["test_boxes"] and self.data["test"] == "labelled"
        return ["val", *(["test"] if tested else [])]

    @cached_property
    def box_submitted(self) -> dict[str, Guessed]:
        """The guesses behind each file of localisation for the test server, by the file's name."""
        if not self.localises or not self.has_submissions:
            return {}
        return localised_rows.box_submissions(self.tables, self.available)

    @property
    def has_submissions(self) -> bool:
        """True if there is a test set, whole, and a development kit with the server's numbers."""
        known = self.data["test"] != "absent" and bool(self.data["archives"]["devkit"])
        return known and not self.is_subset

    @property
    def labelled_splits(self) -> list[str]:
        """The splits on which errors are known."""
        return ["val", "test"] if self.data["test"] == "labelled" else ["val"]

    @cached_property
    def submitted(self) -> dict[str, list[Evaluation]]:
        """The evaluations behind each file for the test server, by the file's name."""
        if not self.has_submissions:
            return {}
        return experiments.submissions(self.tables, self.available)

    @cached_property
    def data_sets(self) -> dict[str, dict]:
        """The other data sets that the run has, by name."""
        known = self.config["transfer"]["data_sets"]
        return {name: entry for name, entry in known.items() if entry is not None}

    @cached_property
    def transfer_rows(self) -> dict[str, dict]:
        """The rows of classifiers that the run can measure on some data set, by name."""
        rows = transferred_rows.transferred_rows(self.tables)
        return {
            name: row
            for name, row in rows.items()
            if experiments.has_models([transferred_rows.transferred(row)], self.available)
            and self.sets_of_row(name)
        }

    def sets_of_row(self, row: str) -> list[str]:
        """The data sets that the run measures a row of classifiers on."""
        return [
            name
            for name in transferred_rows.classified_sets(self.tables, row)
            if name in self.data_sets
        ]

    @cached_property
    def feature_files(self) -> dict[str, tuple[str, transferred_rows.Transferred]]:
        """The files for the organisers' server, by name: the data set and classifiers of each."""
        known = self.config["transfer"]["data_sets"]
        return transferred_rows.server_files(self.tables, known, self.available)

    @cached_property
    def single_evaluations(self) -> list[Evaluation]:
        """Each evaluation of the validation set."""
        needed = experiments.all_evaluations(self.tables, self.claims, self.available, ["val"], [])
        return [evaluation for split, evaluation in needed if split == "val"]

    @property
    def looked_through(self) -> list[Evaluation]:
        """The evaluations behind the pictures of score maps and crops."""
        if not self.pictures:
            return []
        return pictures_wanted.looked_through(self.pictures, self.available)

    @property
    def examined(self) -> list[Evaluation]:
        """The evaluations behind the pictures of errors."""
        if not self.pictures:
            return []
        return pictures_wanted.examined(self.pictures, self.tables, self.available)

    @property
    def measurable(self) -> dict[str, list[Evaluation]]:
        """The evaluations that measure each test-time choice which this run can measure."""
        return test_time_choices.measurable(self.tables, self.available)

    # Paths

    @property
    def results(self) -> str:
        """The folder of the run's results."""
        return f"results/{self.config['experiment']}"

    @property
    def logs(self) -> str:
        """The folder of the run's logs and of the records of jobs' costs."""
        return f"logs/{self.config['experiment']}"

    @property
    def seeds(self) -> list[int]:
        """The seeds that every model is trained with."""
        return self.config["seeds"]

    @property
    def replicates(self) -> dict[int, str]:
        """The folders, in the results, of what is of another seed than the first."""
        return {seed: f"seed{seed}/" for seed in self.seeds[1:]}

    def of_all_seeds(self, path: str, models: Collection[str]) -> list[str]:
        """The path of each model's file, such as weights/{model}.safetensors, for every seed."""
        folders = [experiments.seed_folder(self.results, seed, self.seeds) for seed in self.seeds]
        return [
            f"{folder}/{path}".format(model=model)
            for folder in folders
            for model in models
            if model not in self.imported or folder == self.results
        ]

    def posteriors(
        self,
        evaluations: Sequence[Measured],
        split: str,
        seeds: Sequence[int] | None = None,
    ) -> list[str]:
        """The files of evaluations or guesses on a split, or of classifiers on a data set.

        seeds: of the trainings; None stands for all.
        """
        seeds = self.seeds if seeds is None else seeds
        of_seeds = (
            experiments.seeded_paths([e], self.results, split, seeds, self.imported)
            for e in evaluations
        )
        return [path for own in of_seeds for files in own for path in files]

    def stores(self, split: str) -> list[str]:
        """A split's stores of shards: for training one at each S."""
        if split != "train":
            return [split]
        scales = (experiments.scale_name(self.models[model]["S"]) for model in self.trained)
        return [f"train_S{S}" for S in dict.fromkeys(scales)]

    def shards(self, store: str, folder: str = "shards", suffix: str = "arrow") -> list[str]:
        """Paths of a store's shards, or of their packing reports."""
        known = self.data["shards"] | {name: own["shards"] for name, own in self.data_sets.items()}
        numbers = range(known[split_of(store)])
        return [f"{self.results}/{folder}/{store}/{number:05d}.{suffix}" for number in numbers]

    @property
    def packed_splits(self) -> list[str]:
        """The splits that the run's trainings and evaluations read."""
        tested = self.submitted or self.box_submitted or "test" in self.labelled_splits
        return [*(["train"] if self.trained else []), "val", *(["test"] if tested else [])]

    @property
    def packed_stores(self) -> list[str]:
        """The stores that the run's trainings and evaluations read."""
        stores = [store for split in self.packed_splits for store in self.stores(split)]
        return [*stores, *self.described_sets]

    @property
    def described_sets(self) -> list[str]:
        """The other data sets whose images the run describes."""
        wanted = {name for row in self.transfer_rows for name in self.sets_of_row(row)}
        return [name for name in self.data_sets if name in wanted]


def read_run(config: dict, files: Sequence[str | Path], given: Mapping | None = None) -> Run:
    """The run of a configuration, with the files that it names.

    config: as merged of `files`, a later one before an earlier, and of `given`, the command line's;
    it is changed in place to what is meant: numbers and null for their text, expanded paths, the
    classes of a file of them.
    Raises InputError, with a line for each slip.
    """
    given = given or {}
    configuration.from_command_line(config, given)
    configuration.check("config", config, *files, given=given)
    config.update(configuration.expand_paths(config))
    data = config["data"]
    data["classes"] = class_subsets.named_classes(data["classes"], data["source"])
    for kind in ("models", "claims"):
        for path in experiments.files_of(config[kind]):
            configuration.read_valid(kind, path)
    definitions = experiments.read_models(experiments.files_of(config["models"]))
    convnets, models = definitions["convnets"], definitions["models"]
    for path in config["tables"]:
        configuration.read_valid("tables", path)
    tables = experiments.read_tables(config["tables"])
    claims = experiments.read_claims(experiments.files_of(config["claims"]))
    pictures = None
    if config["pictures"]:
        pictures = configuration.read_valid("pictures", config["pictures"])
    _check_entries(config, convnets, models, tables, claims, pictures)
    answers = {}
    if config["server_answers"]:
        answers = experiments.read_answers(config["server_answers"])
        configuration.check("server_answers", answers, config["server_answers"])
        experiments.check_answers(answers, tables)
    schema = experiments.read_yaml(CONFIG_SCHEMA)
    run = Run(config, convnets, models, tables, claims, pictures, answers, schema)
    _check(run)
    return run


def _check_entries(
    config: dict, convnets: dict, models: dict, tables: dict, claims: list, pictures: dict | None
) -> None:
    """Raise InputError for entries of the files named that do not fit the others, with the file."""
    imported, data_sets = config["weights"]["import"], config["transfer"]["data_sets"]
    files = {kind: experiments.files_of(config[kind]) for kind in ("models", "tables", "claims")}
    with entry_places.naming_files(files | {"convnets": files["models"]}):
        net_uses.check_nets(convnets, models)
        experiments.check_references(convnets, models, tables, claims, imported)
        net_uses.check_sizes(convnets, models, tables, config["convnet"])
        net_uses.check_imports(models, imported)
        localised_rows.check_localisation(tables, models, config["localise"]["labels"])
        transferred_rows.check_transferred(tables, models, data_sets)
        experiments.check_rows(tables, experiments.read_yaml(PAPER_TABLES))
        if pictures:
            pictures_wanted.check_pictures(pictures, models, tables, data_sets)
        net_uses.check_uses(convnets, models, tables, pictures)
        experiments.submissions(tables)  # no two of one name


def _check_drawn(run: Run) -> None:
    """Raise InputError for drawn data of no stated size, or of more classes than are drawn."""
    for split, number in run.data["images"].items():
        if number is None:
            raise InputError(
                f"data.images.{split}: is null, but of the miniature it says how many images are "
                "drawn; give a number"
            )
    if run.classes > (most := class_subsets.DRAWN_CLASSES):
        raise InputError(
            f"data.classes: {run.classes} classes, but the miniature has {most}; lower the number"
        )


def _check(run: Run) -> None:
    """Raise InputError for settings that the schema accepts one by one, but not together."""
    data = run.data
    if not run.available:
        raise InputError("weights: `train` is false and `import` is empty, so there is no model")
    observer = run.config["train"]["observer"]
    if observer and not Path(path := observer.rpartition(":")[0]).is_file():
        raise InputError(
            f"train.observer: {path} is no file; name a file and its function, such as "
            "my_observer.py:function, relative to the project"
        )
    if data["source"] in ("miniature", "archives") and not data["archives"]["devkit"]:
        raise InputError(
            "data.archives.devkit: is null, but without the development kit the classes and labels "
            "of ILSVRC-2012's archives are not known; name its file, ILSVRC2012_devkit_t12.tar.gz"
        )
    # Its name is a part of logs' and commands' text.
    if run.is_miniature and not re.fullmatch(r"resources/[\w.-]+", data["directory"]):
        raise InputError(
            f"data.directory: {data['directory']} is no folder in resources/, where alone the "
            "miniature is drawn; name one of letters, digits and _.-, such as resources/miniature"
        )
    if run.is_miniature:
        _check_drawn(run)
    if run.is_subset and data["test"] == "withheld":
        raise InputError(
            "data.test: is withheld, so which test images are of the classes in data.classes is "
            "not known; set data.test: absent, or labelled where there is a ground truth"
        )
    if data["without"] and not run.is_miniature:
        raise InputError(
            f"data.without: {', '.join(data['without'])} can be left out of drawn images only, and "
            f"data.source is {data['source']}; give []"
        )
    boxed = [name for name in ("train_boxes", "val_boxes") if data["archives"][name]]
    if len(boxed) == 1:
        raise InputError(
            f"data.archives: {boxed[0]} is given alone; localisation needs train_boxes and "
            "val_boxes: name both, or set both to null to leave it out"
        )
    imported = [model for model in run.imported if localised_rows.is_of_boxes(run.models[model])]
    labels = set(run.imported) if not imported else {e.model for e in run.labels_of_guesses}
    if imported and len(run.seeds) > 1 and not labels <= set(run.imported):
        raise InputError(
            f"weights.import: {imported[0]} predicts boxes and has no seed, but the nets of "
            f"localise.labels, which name its classes, are trained with {len(run.seeds)}; import "
            "them too, or run with one seed"
        )
    dense = [row for row in run.guess_rows.values() if not localised_rows.is_of_true_class(row)]
    if dense and not experiments.has_models(run.labels_of_guesses, run.available):
        raise InputError(
            f"localise.labels: {run.config['localise']['labels']} needs models that this run does "
            f"not have, but the row {dense[0]['name']} needs its labels; name another row"
        )
    _check_data_sets(run)
    processes_per_node(run.processes, run.nodes)


def _check_data_sets(run: Run) -> None:
    """Raise InputError for entries of `transfer` that the schema accepts, but that do not fit."""
    drawn = run.config["transfer"]["drawn"]
    in_resources = re.fullmatch(r"resources/[\w.-]+", drawn or "resources/none")
    if not in_resources or drawn == run.data["directory"]:
        raise InputError(
            f"transfer.drawn: {drawn} is no folder in resources/ of its own, where alone data sets "
            "are drawn; name one of letters, digits and _.-, such as resources/other_sets"
        )
    for name, entry in run.data_sets.items():
        where = f"transfer.data_sets.{name}"
        if len(entry["md5"]) != len(entry["sources"]):
            raise InputError(
                f"{where}: has {len(entry['sources'])} sources and {len(entry['md5'])} md5 sums; "
                "give one for each, or null"
            )
        organised = entry["kind"] in transferred_rows.ORGANISED
        for key in KEYS_OF_FOLDERS if organised else KEYS_OF_ORGANISED:
            if key in entry:
                raise InputError(f"{where}.{key}: is of no use for kind {entry['kind']}; remove it")
        if entry.get("test") == "withheld" and "server_folder" not in entry:
            raise InputError(
                f"{where}: its test labels are withheld, so it needs server_folder, the folder in "
                "results/ that the organisers' server expects, such as VOC2012"
            )
