"""Small data sets in VOC's form, in tars and folders, and what is said of wrong ones."""

import io
import tarfile

import pytest
from PIL import Image

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.sources.voc import read_voc

OLD, NEW = "VOCdevkit/VOC2007/", "VOCdevkit/VOC2012/"


def jpeg(colour):
    content = io.BytesIO()
    Image.new("RGB", (120, 80), (colour, 99, 9)).save(content, "JPEG")
    return content.getvalue()


def lists(folder, **texts):
    return {f"ImageSets/{folder}/{name}.txt": text.encode() for name, text in texts.items()}


def pictures(*names):
    return {f"JPEGImages/{name}.jpg": jpeg(20 * place) for place, name in enumerate(names)}


def trainval():
    """Two classes, one of them called train, as one of PASCAL's is; an image that no list names."""
    return {
        **pictures("000005", "000007", "000012", "000009", "000016", "009999"),
        "SegmentationClass/000005.png": b"\x89PNG of no concern",
        "Annotations/000005.xml": b"of no concern",
        **lists(
            "Main",
            train="000005\n000007\n000012\n",
            val="000009\n000016\n",
            trainval="000005\n000007\n000009\n000012\n000016\n",
            train_train="000005 -1\n000007  1\n000012 -1\n",
            train_val="000009  1\n000016 -1\n",
            train_trainval="000005 -1\n000007  1\n000009  1\n000012 -1\n000016 -1\n",
            cat_train="000005  1\n000007 -1\n000012  0\n",
            cat_val="000009 -1\n000016  1\n",
            cat_trainval="000005  1\n000007 -1\n000009 -1\n000012  0\n000016  1\n",
        ),
        **lists("Layout", train="000005 1\n"),
    }


def write_tar(path, files, prefix=OLD):
    with tarfile.open(path, "w") as archive:
        for folder in ("VOCdevkit", prefix.rstrip("/"), f"{prefix}JPEGImages"):
            entry = tarfile.TarInfo(folder)
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(prefix + name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def write_folder(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def bytes_of(members):
    """The bytes of each member, by its id, as its offset and size tell."""
    found = {}
    for member in members:
        with open(member.file, "rb") as file:
            file.seek(member.offset)
            found[member.id] = file.read(member.size)
    return found


def changed(name, text):
    """A change of one list; None removes it."""

    def change(files):
        if text is None:
            del files[f"ImageSets/Main/{name}.txt"]
        else:
            files[f"ImageSets/Main/{name}.txt"] = text.encode()

    return change


def without(name):
    return lambda files: files.pop(name)


def with_bytes(name, content):
    return lambda files: files.update({name: content})


def refusal(*sources, read=read_voc):
    with pytest.raises(InputError) as caught:
        read(sources)
    return str(caught.value)
