"""Weight on the bars of ashiatsu massage: measured, shown, recorded."""

__version__ = "0.1.0"
