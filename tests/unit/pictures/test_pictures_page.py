"""The page of pictures against its files."""

import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from tests.helpers.boxed_run import words_of
from tests.helpers.pages import Page, numbers
from tests.helpers.pictured_run import FILES, OF_TABLES, decoded, lines_of, page_of, read
from workflow_scripts import examine_boxes, examine_errors, look_through_net
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.report import pictures_page
from workflow_scripts.vgg.report.thumbnails import thumbnail


@pytest.fixture(scope="module")
def html(made, tmp_path_factory):
    return page_of(made, tmp_path_factory.mktemp("page"), "--pages", "index", "table6")


def test_the_same_inputs_give_the_same_bytes(made, html, results, shard_paths, tmp_path):
    words = [*FILES, "--results", str(results), "--shards", *shard_paths("val")]
    look_through_net.main([*words, "--output", str(tmp_path)])
    examine_errors.main([*words, *OF_TABLES, "--output", str(tmp_path)])
    words += [*OF_TABLES, *words_of(results), "--output", str(tmp_path / "boxes.json")]
    examine_boxes.main(words)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == sorted(
        [f"{name}.json" for name in ("score_maps", "crops", "images", "classes", "boxes")]
        + [f"{name}.csv" for name in ("images", "classes", "confusions")]
    )
    for name in written:
        assert (tmp_path / name).read_bytes() == made(name).read_bytes(), name
    assert page_of(made, tmp_path, "--pages", "index", "table6") == html


def has_row(page, values):
    """Whether a row has these values; what follows a table counts to its last row."""
    return any(row[: len(values)] == values for row in page.rows)


def test_maps_and_crops_stand_in_tables_as_in_their_files(made, html):
    page = Page(html)
    for image in read(made("score_maps.json"))["images"]:
        for map_ in image["maps"]:
            for values in map_["places"]:
                assert has_row(page, values)
            shown = (map_["view"], map_["mirrored"], map_["posterior"], map_["first"]["posterior"])
            assert set(shown) <= page.values
    for image in read(made("crops.json"))["images"]:
        for values in image["crops"]:
            assert has_row(page, values)
        assert {image["posterior"], image["evaluated"][1]["posterior"]} <= page.values


def test_answers_classes_and_filters_are_shown_as_in_their_files(made, html):
    page, content = Page(html), read(made("images.json"))
    for image in content["hardest"] + content["best_fused"]:
        for place in range(5):
            first = [system["first"][place]["posterior"] for system in image["systems"]]
            assert has_row(page, first)
        last = [value for s in image["systems"] for value in (s["rank"], s["posterior"])]
        assert has_row(page, last)
        assert image["id"] in page.text
    content = read(made("classes.json"))
    columns = ("images", "wrong", "top1_error", "top1_low", "top1_high", "top5_error")
    for c in content["classes"]:
        assert has_row(page, [c[column] for column in columns])
    for pair in content["confusions"]:
        assert has_row(page, [pair["images"], pair["share"]])
        assert re.search(rf"{pair['true_class']}\s+{pair['predicted_class']}\s", page.text)
    assert numbers([net["largest"] for net in read(made("filters.json"))["nets"]]) <= page.values


def test_the_csv_files_have_the_pages_numbers(made, html):
    page = Page(html)
    assert {float(line["posterior"]) for line in lines_of(made("images.csv"))} <= page.values
    for line in lines_of(made("classes.csv")):
        assert float(line["top1_error"]) in page.values


def test_the_page_loads_nothing_and_every_picture_has_a_text_of_its_own(made, html):
    page = Page(html)
    assert not page.tags.keys() & {"link", "iframe", "object", "image"}
    assert "url(" not in html
    assert "@import" not in html
    sources = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    texts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    features = read(made("features.json"))["ranked"]["shown"]
    ranked = sum(len(own) for shown in features for own in shown.values() if type(own) is list)
    assert ranked > 12
    expected = 4 * 4 + 2 * 3 + 12 + 4 * 3 + ranked + 1
    assert len(sources) == len(texts) == page.tags["img"] == expected
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert all(len(text) > 20 for text in texts)
    ids = [re.search(r"ILSVRC2012_val_\d{8}", text) for text in texts]
    assert sum(map(bool, ids)) == len(texts) - 1, "all but the filters' name their image"
    assert len(html) < 1_000_000
    identifiers = Counter(value for _, name, value in page.attributes if name == "id")
    assert identifiers.most_common(1)[0][1] == 1


def test_only_pages_that_are_there_are_linked(made, html, tmp_path):
    def links(text):
        targets = [v for tag, name, v in Page(text).attributes if (tag, name) == ("a", "href")]
        return {t for t in targets if not t.startswith(("#", "https:"))}

    assert links(html) == {"index.html", "table6.html"}
    assert links(page_of(made, tmp_path)) == set()


def test_contents_lead_to_sections(html):
    page = Page(html)
    identifiers = {value for _, name, value in page.attributes if name == "id"}
    targets = [v for tag, name, v in page.attributes if (tag, name) == ("a", "href")]
    assert {t[1:] for t in targets if t.startswith("#")} <= identifiers


def contrast(colour, other):
    """WCAG's contrast ratio of two sRGB colours, components 0 to 1."""

    def luminance(rgb):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(colour), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_numbers_on_colours_are_legible_and_colours_grow_lighter():
    lightness = []
    for value in np.linspace(0, 1, 101):
        style = dict(part.split(":") for part in pictures_page.heat(value).split(";"))
        rgb = [int(style["background"][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        ink = {"#000": (0, 0, 0), "#fff": (1, 1, 1)}[style["color"]]
        assert contrast(rgb, ink) >= 4.5, value
        lightness.append(contrast(rgb, (0, 0, 0)))
    assert all(a < b for a, b in pairwise(lightness)), "so they can be told in grey"


def test_a_thousand_classes_are_cut_to_the_worst_and_the_best(made, tmp_path):
    content = read(made("classes.json"))
    draw = np.random.default_rng(0)
    content["classes"] = [
        content["classes"][0]
        | {"label": k, "class": f"class{k:03d}", "top1_error": float(error), "top1_high": 99.5}
        for k, error in enumerate(draw.permutation(1000) / 10)
    ]
    write_json(tmp_path / "classes.json", content)
    page = Page(page_of(made, tmp_path))
    order = sorted(content["classes"], key=lambda c: -c["top1_error"])
    shown = re.findall(r"class\d{3}", page.text)
    assert shown == [c["class"] for c in order[:25] + order[-10:]]
    spaced = " ".join(page.text.split())
    assert "Of 1,000 classes, the 25 with the highest top-1 error and the 10 with the lowest" in (
        spaced
    )


def test_names_of_classes_and_images_are_shown_as_text(made, tmp_path):
    hostile = "<script>alert('S')</script>\"&<b>"
    content = read(made("score_maps.json"))
    content["images"][0]["class"] = content["images"][0]["maps"][0]["alt"] = hostile
    write_json(tmp_path / "score_maps.json", content)
    content = read(made("images.json"))
    content["hardest"][0]["systems"][0]["first"][0]["class"] = hostile
    content["hardest"][0]["id"] = hostile
    write_json(tmp_path / "images.json", content)
    content = read(made("boxes.json"))
    content["wrong"][0]["class"] = content["wrong"][0]["outcome"] = hostile
    content["wrong"][0]["merged_alt"] = f"boxes of {hostile}"
    write_json(tmp_path / "boxes.json", content)
    page = Page(page_of(made, tmp_path))
    assert not page.tags["b"]
    assert page.text.count(hostile) >= 5
    assert ("img", "alt", hostile) in page.attributes
    assert ("img", "alt", f"boxes of {hostile}") in page.attributes


def test_photographs_are_shrunk_to_thumbnails(tmp_path):
    y, x = np.mgrid[:300, :450]
    pixels = np.stack([y % 256, x % 256, (x + y) % 256], axis=2).astype(np.uint8)
    small = decoded(thumbnail(pixels))
    assert small.shape == (128, 192, 3)
    reference = np.asarray(Image.fromarray(pixels).resize((192, 128), Image.Resampling.BOX))
    assert np.abs(small.astype(int) - reference).mean() < 12
    assert decoded(thumbnail(pixels[:50, :60])).shape == (50, 60, 3), "never enlarged"


def test_a_wrong_file_is_named(made, tmp_path):
    (tmp_path / "crops.json").write_text("{}")
    with pytest.raises(InputError, match=r"crops\.json: not the crops of the pictures; it lacks"):
        page_of(made, tmp_path)
    (tmp_path / "crops.json").write_text("nothing")
    with pytest.raises(InputError, match=r"crops\.json: is damaged: not JSON"):
        page_of(made, tmp_path)
