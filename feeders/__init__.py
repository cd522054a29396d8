"""From the prepared data set to the samples of a model: arrays, streams, augmentations, feeder."""
