"""One reader a file format, behind one call: `read(path)` gives the `Recording`s of a file in any of them."""

from data_gen.formats.reading import FORMATS as FORMATS
from data_gen.formats.reading import read as read
from data_gen.formats.recording import Recording as Recording
