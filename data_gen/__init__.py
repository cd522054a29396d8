"""Raw recordings to arrays: a script for every step; parsers, preprocessing and storage are shared."""
