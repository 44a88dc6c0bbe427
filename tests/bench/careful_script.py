"""What a careful person writes in an evening: acknowledged after InfluxDB has it, no record of its own.

`careful_script.py PORT INFLUX_URL`: MQTT 5; collects at most 100 messages or 0.25 s, posts, acknowledges.
"""

import http.client
import struct
import sys
import time
import urllib.parse

import numpy as np
import paho.mqtt.client as paho
from load import SPAN_N_PER_COUNT, ZERO_COUNT
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HEADER = struct.Struct("<2sBBIIQIHBBI")
BODY_WEIGHT_N = 588.4


def lines(message, offsets):
    """Return the points of one frame; the clock is that of its first arrival."""
    node = message.topic.split("/")[3]
    payload = message.payload
    _, _, _, boot, _, device_us, _, _, samples, cells, _ = HEADER.unpack_from(payload)
    steps = np.frombuffer(payload, "<u2", samples, HEADER.size)
    counts = np.frombuffer(payload, "<i4", samples * cells, HEADER.size + 2 * samples).reshape(samples, cells)
    offset = offsets.setdefault((node, boot), time.time_ns() // 1000 - device_us)
    times = device_us + offset + np.cumsum(steps.astype(np.int64)) * 10
    forces = (counts - ZERO_COUNT) * SPAN_N_PER_COUNT
    bar = forces.sum(axis=1)
    for at, row, total in zip(times.tolist(), forces.tolist(), bar.tolist(), strict=True):
        cells_text = ",".join(f"cell_{k}_n={value:.3f}" for k, value in enumerate(row))
        yield f"load,node={node} bar_n={total:.3f},client_n={BODY_WEIGHT_N - total:.3f},{cells_text} {at}"


def post(url, body):
    parts = urllib.parse.urlsplit(url)
    while True:
        try:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
            connection.request("POST", "/write?db=ashibar&precision=u", body)
            if connection.getresponse().status < 300:
                return
        except OSError:
            time.sleep(0.5)


def main():
    waiting, offsets, since = [], {}, time.monotonic()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "careful", protocol=paho.MQTTv5, manual_ack=True)
    client.on_connect = lambda c, *_: c.subscribe("ashibar/v1/+/+/samples", 1)
    client.on_message = lambda _c, _d, message: waiting.append(message)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval, properties.ReceiveMaximum = 3600, 1000
    client.connect("127.0.0.1", int(sys.argv[1]), clean_start=False, properties=properties)
    while True:
        client.loop(0.1)
        if len(waiting) >= 100 or (waiting and time.monotonic() - since > 0.25):
            post(sys.argv[2], "\n".join(line for message in waiting for line in lines(message, offsets)))
            for message in waiting:
                client.ack(message.mid, message.qos)
            waiting.clear()
            since = time.monotonic()


if __name__ == "__main__":
    main()
