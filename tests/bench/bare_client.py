"""The limit: paho with MQTT 5 and a persistent session that does nothing but acknowledge.

`bare_client.py PORT CLIENT_ID N`: N 0 only makes the session; else prints JSON after the N-th message.
"""

import json
import sys
import threading
import time

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

if __name__ == "__main__":
    port, name, wanted = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5, manual_ack=True)
    state = {"n": 0, "began": 0.0}
    done = threading.Event()

    def on_connect(client, *_):
        state["began"] = time.perf_counter()
        state["cpu"] = time.process_time()
        client.subscribe("ashibar/v1/+/+/samples", 1)

    def on_message(client, _data, message):
        client.ack(message.mid, message.qos)
        state["n"] += 1
        if state["n"] == wanted:
            done.set()

    def on_subscribe(*_):
        if not wanted:
            done.set()

    client.on_connect, client.on_message, client.on_subscribe = on_connect, on_message, on_subscribe
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    properties.ReceiveMaximum = 1000
    client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    client.loop_start()
    assert done.wait(120)
    seconds, cpu_s = time.perf_counter() - state["began"], time.process_time() - state["cpu"]
    client.disconnect()
    client.loop_stop()
    print(json.dumps({"frames": state["n"], "seconds": seconds, "cpu_s": cpu_s}))
