"""Raw recordings to arrays: a script for every step; parsers, preprocessing and storage are shared."""

import os

if os.path.expanduser("~") == "~":  # no home folder is known, without which matplotlib cannot even be imported
    os.environ.setdefault("MPLCONFIGDIR", os.path.join(os.devnull, "none"))  # it takes a temporary one instead
