"""Numbers become characters, colours, and lines of an exact width in cells."""

__all__ = ["axis", "binning", "braille", "cells", "formatting", "theme", "time_grid", "time_ticks", "view"]
