"""The workflow's commands, each a module; `vgg` is the library that they share."""

import gc
import sys

if sys.argv[0] == "-m":  # one of them is being started
    # Imports leave nothing to collect, and torch's are so many that looking for it there and again
    # at exit takes a third of a second. `command.run` goes on with collection.
    gc.disable()
