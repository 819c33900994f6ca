"""What the rules share: validated configuration. common/ has their inputs and options by stage."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

from snakemake.exceptions import WorkflowError

if {"{", "}"} & set(str(workflow.basedir)):
    raise WorkflowError(
        f"{workflow.basedir}: Snakemake takes braces in its own path for wildcards; move the project"
    )

# A bare `snakemake` does not put its workflow on the path.
sys.path.insert(0, str(workflow.basedir))

# Jobs run on Snakemake's own Python and find the commands, whatever a site or a user says to Python:
# that is for other programs. Only where the packages are not this Python's own, it may lead to them.
OWN_PACKAGES = Path(sysconfig.get_path("platlib"))
if all(Path(OWN_PACKAGES, name).is_dir() for name in ("snakemake", "torch")):
    for name in [name for name in os.environ if name.startswith("PYTHON")]:
        del os.environ[name]
    os.environ.update(PYTHONNOUSERSITE="1")
for name, first in (("PATH", Path(sys.executable).parent), ("PYTHONPATH", workflow.basedir)):
    os.environ[name] = os.pathsep.join(filter(None, [str(first), os.environ.get(name)]))
os.environ.update(PYTHONUTF8="1")
FOUND = subprocess.run(["bash", "-c", "command -v python"], capture_output=True, text=True).stdout
if Path(FOUND).parent != Path(sys.executable).parent:
    raise WorkflowError(
        f"python is {FOUND.strip() if os.sep in FOUND else 'no file'} to jobs, but Snakemake runs on "
        f"{sys.executable}; install it in a virtual environment, as README.md says, and let no "
        "function, alias or BASH_ENV come before its python"
    )

# Slurm's warning before a time limit is for the training; Snakemake itself would die of it.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.settings import configuration, experiments, test_time_choices
from workflow_scripts.vgg.settings import pictures_wanted as report_pictures


def read_config(kind, path, read=experiments.read_yaml):
    """A YAML file that the configuration names, held against its schema."""
    content = read(path)
    configuration.check(kind, content, path)
    return content


PAPER_TABLES = "config/paper_tables.yaml"
ON_COMMAND_LINE = workflow.config_settings.config
OVERLAYS = workflow.overwrite_configfiles
CONFIG_FILES = [file for file in workflow.configfiles if file not in OVERLAYS] + list(OVERLAYS)
try:
    configuration.from_command_line(config, ON_COMMAND_LINE)
    configuration.check("config", config, *CONFIG_FILES, given=ON_COMMAND_LINE)
    config.update(configuration.expand_paths(config))
    definitions = read_config("models", config["models"])
    CONVNETS, MODELS = definitions["convnets"], definitions["models"]
    for path in config["tables"]:
        read_config("tables", path)
    TABLES = experiments.read_tables(config["tables"])
    CLAIMS = read_config("claims", config["claims"])
    experiments.check_references(CONVNETS, MODELS, TABLES, CLAIMS, config["weights"]["import"])
    experiments.check_rows(TABLES, experiments.read_yaml(PAPER_TABLES))
    PICTURES = None
    if config["pictures"]:
        PICTURES = read_config("pictures", config["pictures"])
        report_pictures.check_pictures(PICTURES, MODELS, TABLES)
    ANSWERS = {}
    if config["server_answers"]:
        ANSWERS = read_config("server_answers", config["server_answers"], experiments.read_answers)
        experiments.check_answers(ANSWERS, TABLES)
except InputError as error:
    raise WorkflowError(str(error))

RESULTS = f"results/{config['experiment']}"
LOGS = f"logs/{config['experiment']}"
BENCHMARKS = f"benchmarks/{config['experiment']}"
SPEED = "benchmarks/summary.json"  # of this machine, whatever the experiment
CONFIG_SCHEMA = "config/schemas/config.schema.yaml"
PAGE_TEMPLATES = sorted(map(str, Path("reports/templates").iterdir()))

# The first seed's weights, histories and posteriors lie in RESULTS, another's in RESULTS/seed<k>/.
SEEDS = config["seeds"]
REPLICATES = {seed: f"seed{seed}/" for seed in SEEDS[1:]}

DATA = config["data"]
CHOICES = config["choices"]
PRECISION = config["evaluate"]["precision"]
FULL_SIZE = config["convnet"]["width_divisor"] == 1
IMPORTED = config["weights"]["import"]
AVAILABLE = [m for m in MODELS if config["weights"]["train"] or m in IMPORTED]
TRAINED = [model for model in AVAILABLE if model not in IMPORTED]
if not AVAILABLE:
    raise WorkflowError("weights: `train` is false and `import` is empty, so there is no model")
STORES = list(dict.fromkeys(experiments.scale_name(MODELS[model]["S"]) for model in TRAINED))
ARCHIVED = DATA["source"] in ("miniature", "archives")
if ARCHIVED and not DATA["archives"]["devkit"]:
    raise WorkflowError(
        "data.archives.devkit: is null, but without the development kit the classes and labels of "
        "ILSVRC-2012's archives are not known; name its file, ILSVRC2012_devkit_t12.tar.gz"
    )
# Its name is a part of logs' and commands' text.
if DATA["source"] == "miniature" and not re.fullmatch(r"resources/[\w.-]+", DATA["directory"]):
    raise WorkflowError(
        f"data.directory: {DATA['directory']} is no folder in resources/, where alone the miniature "
        "is drawn; name one of letters, digits and _.-, such as resources/miniature"
    )
LABELLED_SPLITS = ["val", "test"] if DATA["test"] == "labelled" else ["val"]
MEASURED = [name for name, table in TABLES.items() if experiments.is_measured(table)]
DESCRIBED = [name for name in TABLES if name not in MEASURED]
SUBMITTED = (
    experiments.submissions(TABLES, AVAILABLE)
    if DATA["test"] != "absent" and DATA["archives"]["devkit"]
    else {}
)
SINGLE_EVALUATIONS = [
    evaluation
    for split, evaluation in experiments.all_evaluations(TABLES, CLAIMS, AVAILABLE, ["val"], [])
    if split == "val"
]
LOOKED_THROUGH = report_pictures.looked_through(PICTURES, AVAILABLE) if PICTURES else []
EXAMINED = report_pictures.examined(PICTURES, TABLES, AVAILABLE) if PICTURES else []
MEASURABLE = test_time_choices.measurable(TABLES, AVAILABLE)
SCHEMA = experiments.read_yaml(CONFIG_SCHEMA)
SUBMISSIONS = expand(f"{RESULTS}/submission/{{name}}.txt", name=SUBMITTED)


wildcard_constraints:
    split="train|val|test",
    model="|".join(map(re.escape, MODELS)),
    replicate=f"({'|'.join(REPLICATES.values())})?",
    method="dense|multicrop|center",
    Q=r"\d+",
    store=r"train_S\d+(-\d+)?|val|test",
    shard=r"\d{5}",
    table="|".join(map(re.escape, TABLES)),
    choice="|".join([*test_time_choices.MEASURED_BY, "precision"]),
    value="[a-z0-9-]+",


def by_size(full_size, miniature):
    """A resource: as much as the paper's nets and ILSVRC-2012 need, or the miniature."""
    return full_size if FULL_SIZE else miniature


def one_of(names):
    """A wildcard's pattern: one of these, or nothing at all."""
    return "|".join(map(re.escape, names)) or "(?!)"


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


def in_text(**values):
    """Options as a part of a rule's text.

    Unlike params, it starts nothing anew when it changes: for what changes no result.
    """
    return shlex.join(options(**values)).replace("{", "{{").replace("}", "}}")


def choices(*names):
    """Some of the configuration's choices, as arguments of `options`."""
    return {name: CHOICES[name] for name in names}


# Where evaluations and trainings compute and read, which changes no result but by rounding
PLACE = in_text(device=config["device"], local_scratch=DATA["local_scratch"])
DEVICE = in_text(device=config["device"])


include: "common/data.smk"
include: "common/train.smk"
include: "common/evaluate.smk"
include: "common/report.smk"
