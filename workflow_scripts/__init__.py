"""The workflow's commands, each a module; `vgg` is the library that they share."""

from .vgg.core.quick_start import pause_collection

pause_collection()
