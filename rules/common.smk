"""What the rules share: validated configuration, and the inputs and options that follow from it."""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

# A bare `snakemake` does not put its workflow on the path, and jobs must find its own Python.
sys.path.insert(0, str(workflow.basedir))
os.environ.update(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")

from workflow_scripts.vgg import experiments
from workflow_scripts.vgg.files import InputError


def read_config(kind):
    """A YAML file that the configuration names, held against its schema."""
    content = experiments.read_yaml(config[kind])
    # The validator takes mappings only; a list of claims is wrapped to be one.
    wrapped = {kind: content} if isinstance(content, list) else content
    try:
        validate(wrapped, f"../config/schemas/{kind}.schema.yaml", set_default=False)
    except WorkflowError as error:
        raise WorkflowError(f"{config[kind]}: {error}")
    return content


validate(config, "../config/schemas/config.schema.yaml", set_default=False)
try:
    definitions = read_config("models")
    CONVNETS, MODELS = definitions["convnets"], definitions["models"]
    TABLES = read_config("tables")
    CLAIMS = read_config("claims")
    experiments.check_references(CONVNETS, MODELS, TABLES, CLAIMS)
except InputError as error:
    raise WorkflowError(str(error))

RESULTS = f"results/{config['experiment']}"
LOGS = f"logs/{config['experiment']}"
BENCHMARKS = f"benchmarks/{config['experiment']}"
PAPER_TABLES = "config/paper_tables.yaml"
PAGE_TEMPLATES = sorted(map(str, Path("reports/templates").iterdir()))

DATA = config["data"]
CHOICES = config["choices"]
FULL_SIZE = config["convnet"]["width_divisor"] == 1
STORES = list(dict.fromkeys(experiments.scale_name(model["S"]) for model in MODELS.values()))
LABELLED_SPLITS = ["val", "test"] if DATA["archives"]["test_ground_truth"] else ["val"]
MEASURED = [name for name, table in TABLES.items() if experiments.is_measured(table)]
DESCRIBED = [name for name in TABLES if name not in MEASURED]
SUBMITTED = experiments.submissions(TABLES) if DATA["archives"]["test"] else {}
SUBMISSIONS = expand(f"{RESULTS}/submission/{{name}}.txt", name=SUBMITTED)


wildcard_constraints:
    split="train|val|test",
    model="|".join(map(re.escape, MODELS)),
    method="dense|multicrop|center",
    Q=r"\d+",
    S=r"\d+(-\d+)?",
    shard=r"\d{5}",
    table="|".join(map(re.escape, TABLES)),


def by_size(full_size, miniature):
    """A resource: as much as the paper's nets and ILSVRC-2012 need, or the miniature."""
    return full_size if FULL_SIZE else miniature


def options(**values):
    """Command-line options; None, False and empty ones are left out."""
    words = []
    for name, value in values.items():
        if value is None or value is False or value == []:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words += map(str, value) if isinstance(value, list) else [str(value)]
    return words


def choices(*names):
    """Some of the configuration's choices, as arguments of `options`."""
    return {name: CHOICES[name] for name in names}


# Data


def made_archives(wildcards):
    """The miniature makes its archives; ILSVRC-2012's are the user's and no part of the DAG."""
    return f"{DATA['directory']}/manifest.json" if DATA["source"] == "miniature" else []


def archive(name):
    """Path of one of the data set's archives; None if the configuration has none."""
    file = DATA["archives"][name]
    return file and os.path.join(DATA["directory"], file)


def index_options(wildcards):
    """A split's archive and where its labels are, if not in the names of its members."""
    truth = {"train": None, "val": archive("devkit"), "test": archive("test_ground_truth")}
    return options(
        archive=archive(wildcards.split),
        images=DATA["images"][wildcards.split],
        ground_truth=truth[wildcards.split],
    )


def shards(split, store=""):
    """Paths of a split's shards; `store` tells rescaled training shards apart."""
    numbers = range(DATA["shards"][split])
    return [f"{RESULTS}/shards/{split}{store}/{number:05d}.arrow" for number in numbers]


def rescaling(wildcards):
    """Fixed S: exactly S. Jittered S: no larger than its upper end, and never enlarged."""
    scales = wildcards.S.split("-")
    pixels = round(int(scales[-1]) * config["convnet"]["crop"] / 224)
    return options(smallest_side=pixels, only_shrink=len(scales) == 2)


# Training


def training_shards(wildcards):
    """The training set at the model's S."""
    return shards("train", f"_S{experiments.scale_name(MODELS[wildcards.model]['S'])}")


def parent_weights(wildcards):
    """The weights that the model starts from, if any."""
    parent = MODELS[wildcards.model].get("parent")
    return f"{RESULTS}/weights/{parent}.safetensors" if parent else []


def training_options(wildcards):
    """All that decides a training's result, as options of the command."""
    model = MODELS[wildcards.model]
    stages = {None: "scratch", "layers-of-A": "transferred", "all": "fine_tuned"}
    train = dict(config["train"])
    train.pop("checkpoint_seconds")
    stage = dict(train.pop("stages")[stages[model.get("inherit")]])
    return options(
        model=wildcards.model,
        net=model["net"],
        layers=CONVNETS[model["net"]],
        train_scale=experiments.scale_range(model["S"]),
        inherit=model.get("inherit"),
        trainable=model.get("trainable"),
        learning_rate=model["learning_rate"] * stage.pop("rate_factor"),
        **stage,
        **train,
        **choices("initialisation", "transferred_convs", "biases"),
        **choices("colour_shift", "resize_filter"),
        **config["convnet"],
        classes=DATA["classes"],
        seed=config["seed"],
    )


# Tables and claims


def measured_splits(table):
    """The splits that a table needs and that have labels."""
    return [s for s in experiments.splits_of(TABLES[table]) if s in LABELLED_SPLITS]


def table_posteriors(wildcards):
    """The posteriors that a table averages."""
    return [
        evaluation.path(RESULTS, split)
        for split in measured_splits(wildcards.table)
        for evaluation in experiments.table_evaluations(TABLES[wildcards.table])
    ]


def claim_posteriors(wildcards):
    """The posteriors that the claims compare."""
    return [e.path(RESULTS, "val") for e in experiments.claim_evaluations(CLAIMS, TABLES)]


def neighbours(wildcards):
    """The tables before and after, to link to."""
    names = list(TABLES)
    place = names.index(wildcards.table)
    return options(
        previous=names[place - 1] if place else None,
        next=names[place + 1] if place + 1 < len(names) else None,
    )
