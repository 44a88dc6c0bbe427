"""InfluxDB as a sink: writing, catching up, setting up. It decides nothing about what is measured."""

from ashibar.io.influx.sink import SINK, InfluxSink
from ashibar.io.influx.writer import InfluxWriter, PausedError, RejectedError, SinkError

__all__ = ["SINK", "InfluxSink", "InfluxWriter", "PausedError", "RejectedError", "SinkError"]
