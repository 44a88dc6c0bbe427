"""Edges to the outside: MQTT, the journal, InfluxDB, configuration files, processes."""
