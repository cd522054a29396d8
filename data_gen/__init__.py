"""From raw recordings to arrays: a script for every data set; readers, preprocessing and storage are shared."""

__version__ = "0.1.0"  # of the project; `prepared.yaml` tells which one made the arrays
