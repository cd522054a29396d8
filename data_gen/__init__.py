"""From raw recordings to arrays: a script for every data set; readers, preprocessing and storage are shared."""
