"""The shipped wishes for pictures, and a run's posteriors read by pandas."""

import base64
import csv
import io

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from tests.helpers.clones import ROOT
from workflow_scripts import render_pictures
from workflow_scripts.vgg.core.text_artefacts import read_json
from workflow_scripts.vgg.report import pictures_page
from workflow_scripts.vgg.settings.experiments import Evaluation, read_tables
from workflow_scripts.vgg.settings.localised_rows import BoxEvaluation

WANTED = yaml.safe_load((ROOT / "config/pictures.yaml").read_text())
SCHEMA = yaml.safe_load((ROOT / "config/schemas/pictures.schema.yaml").read_text())
MODELS = yaml.safe_load((ROOT / "config/models.yaml").read_text())
CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())
TABLES = read_tables([ROOT / "config/tables.yaml"])
MODEL, SCALES, CROP_SCALE = "D_S256-512", (256, 384, 512), 384
MEAN = [120, 115, 100]
FILES = ["--pictures", str(ROOT / "config/pictures.yaml")]
OF_TABLES = ["--tables", str(ROOT / "config/tables.yaml")]


def read(path):
    return read_json(path)


def lines_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def decoded(uri):
    """The picture in a data URI, uint8 [height, width, channels]."""
    head, data = uri.split(",")
    assert head == "data:image/webp;base64"
    return np.array(Image.open(io.BytesIO(base64.b64decode(data))))


def mean_of(results, evaluations):
    """Labels and mean posteriors by image id, as pandas reads them."""
    frames = [pd.read_parquet(e.path(results, "val")).set_index("id") for e in evaluations]
    mean = np.mean([np.stack(f["posterior"]).astype(float) for f in frames], axis=0)
    return frames[0]["label"], pd.DataFrame(mean, index=frames[0].index)


def row(table, name):
    (found,) = (r for r in TABLES[table]["rows"] if r["name"] == name)
    return [Evaluation(e["model"], e["method"], Q) for e in found["evaluations"] for Q in e["Q"]]


def row_boxes():
    """The boxes of the row whose boxes are shown: read from the tables, one set for each Q."""
    table, _, name = WANTED["boxes"]["row"].partition("/")
    (found,) = (r for r in TABLES[table]["rows"] if r["name"] == name)
    return [BoxEvaluation(e["model"], e["method"], Q) for e in found["boxes"] for Q in e["Q"]]


def true_posterior(results, evaluations):
    labels, mean = mean_of(results, evaluations)
    return labels, pd.Series(mean.to_numpy()[np.arange(len(labels)), labels], index=mean.index)


def page_of(made, folder, *words):
    arguments = []
    for kind in pictures_page.KEYS:
        path = folder / f"{kind}.json"
        arguments += [
            f"--{kind.replace('_', '-')}",
            str(path if path.exists() else made(path.name)),
        ]
    arguments += ["--config", str(made("config.yaml")), "--output", str(folder / "pictures.html")]
    render_pictures.main([*arguments, *words])
    return (folder / "pictures.html").read_text()
