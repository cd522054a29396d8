"""Weights of the published implementations of ST-TR and Zoom Transformer: their keys, conversion, inferred options."""

from model.published.conversion import from_published as from_published
from model.published.conversion import load_published as load_published
from model.published.inference import agree as agree
from model.published.inference import family as family
from model.published.inference import infer_model_args as infer_model_args
