"""What the rules share: validated configuration, and the data behind models, tables and claims."""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

# A bare `snakemake` does not put its workflow on the path, and jobs must find its own Python.
sys.path.insert(0, str(workflow.basedir))
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

from workflow_scripts.vgg import experiments
from workflow_scripts.vgg.files import InputError


conda: "../envs/environment.yml"


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
    MODELS_YAML = read_config("models")
    TABLES = read_config("tables")
    CLAIMS = read_config("claims")
    experiments.check_references(MODELS_YAML, TABLES, CLAIMS)
except InputError as error:
    raise WorkflowError(str(error))

MODELS = MODELS_YAML["models"]
CONVNETS = MODELS_YAML["convnets"]
RESULTS = f"results/{config['experiment']}"
LOGS = f"logs/{config['experiment']}"
BENCHMARKS = f"benchmarks/{config['experiment']}"
DATA = config["data"]
CHOICES = config["choices"]
FULL_SIZE = config["convnet"]["width_divisor"] == 1
LABELLED_SPLITS = ["val", "test"] if DATA["archives"]["test_ground_truth"] else ["val"]
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


def archive(name):
    """Path of one of the data set's archives."""
    return os.path.join(DATA["directory"], DATA["archives"][name])


def shards(split, store=""):
    """Paths of a split's shards; `store` tells rescaled training shards apart."""
    numbers = range(DATA["shards"][split])
    return [f"{RESULTS}/shards/{split}{store}/{number:05d}.arrow" for number in numbers]


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


def by_size(full_size, miniature):
    """A resource: as much as the paper's nets and ILSVRC-2012 need, or the miniature."""
    return full_size if FULL_SIZE else miniature
