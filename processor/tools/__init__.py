"""What is done with a model: describe, measure, compare, explain, export, label recordings, watch a video.

Commands: `info`, `benchmark`, `compare`, `explain` (its arrays: `explanation`), `export`, `predictions`, `watch`;
`phase` parses those with options of their own. Labels of recordings: `inputs` reads what a user names, `cutting` takes
parts of it, `trained` and `preparation` make of it what a model takes, `predict` labels it. Videos: `video` gives
pictures, `pose` the bodies in them, `overlay` draws.
"""
