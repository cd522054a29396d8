"""The model families: `model.st_tr.Model` and, as `model.Model`, `model.zit_zot.Model`."""

from model.zit_zot import Model as Model
