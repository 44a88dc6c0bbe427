"""The link to the broker, against a real mosquitto."""

import signal

import paho.mqtt.client as paho
import pytest
from ashibar.io.mqtt import Link, MqttOptions, NotConnectedError
from ashibar.sim.broker import start_broker
from paho.mqtt.enums import CallbackAPIVersion
from servers import wait_until


@pytest.fixture
def make_link(mosquitto):
    links = []

    def make(**options):
        options = {"host": "127.0.0.1", "port": mosquitto.port, "client_id": "daemon"} | options
        link = Link(MqttOptions(**options), [("t/#", 1)])
        links.append(link)
        link.start()
        assert link.wait_connected(10)
        return link

    yield make
    for link in links:
        link.stop()


def send(mosquitto, *payloads, qos=1):
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", mosquitto.port)
    client.loop_start()
    for sent in [client.publish("t/a", payload, qos) for payload in payloads]:
        sent.wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def take(link, count, within_s=10):
    taken = []
    wait_until(
        lambda: taken.extend(link.receive(1000, 0.05)) or len(taken) >= count, f"{count} messages", within_s
    )
    return taken


def test_messages_come_in_order_with_their_payloads(mosquitto, make_link):
    link = make_link()
    sent = [b"%d" % number for number in range(300)]
    send(mosquitto, *sent)
    assert [message.payload for message in take(link, 300)] == sent
    assert link.protocol == "5"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_is_not_acknowledged_is_delivered_again_and_what_is_is_not(mosquitto, make_link, protocol):
    first = make_link(protocol=protocol)
    send(mosquitto, b"stored", b"lost")
    first.ack(take(first, 2)[:1])
    send(mosquitto, b"marker")  # behind the acknowledgement on no wire: only its arrival is awaited
    take(first, 1)
    wait_until(lambda: first.stats.acknowledged == 1, "the acknowledgement")
    first.stop()
    second = make_link(protocol=protocol)
    assert [message.payload for message in take(second, 2)] == [b"lost", b"marker"]


def test_the_broker_keeps_messages_while_the_link_is_away(mosquitto, make_link):
    make_link().stop()
    send(mosquitto, b"meanwhile")
    assert take(make_link(), 1)[0].payload == b"meanwhile"


def test_an_acknowledgement_of_a_former_connection_is_never_sent_on_a_new_one(mosquitto, make_link):
    link = make_link()
    send(mosquitto, b"first")
    old = take(link, 1)
    mosquitto.save()
    mosquitto.restart()
    wait_until(lambda: link.stats.connects == 2, "the reconnect")
    again = take(link, 1)
    assert link.ack(old) == 0
    assert [message.payload for message in again] == [b"first"]
    assert link.ack(again) == 1
    assert link.stats.acknowledgements_void == 1


def test_a_broker_that_lost_its_session_gets_the_subscriptions_anew(mosquitto, make_link):
    link = make_link()
    mosquitto.restart(kill=True)
    wait_until(lambda: link.stats.connects == 2 and link.connected, "the reconnect")
    assert link.stats.sessions_lost == 1
    wait_until(
        lambda: send(mosquitto, b"after") or link.receive(10, 0.1), "a message over the new subscription"
    )


def test_publishing_without_a_connection_is_refused_by_name(mosquitto, make_link):
    link = make_link()
    mosquitto.kill()
    wait_until(lambda: not link.connected, "the loss to be noticed")
    with pytest.raises(NotConnectedError, match="it is being made again"):
        link.publish("t/x", b"1", 1, retain=False)


def test_what_is_published_retained_reaches_a_later_subscriber(mosquitto, make_link):
    make_link().publish("t/kept", b"42", 1, retain=True)
    came = []
    listener = paho.Client(CallbackAPIVersion.VERSION2)
    listener.on_message = lambda _client, _data, message: came.append(message.payload)
    listener.connect("127.0.0.1", mosquitto.port)
    listener.loop_start()
    wait_until(lambda: listener.subscribe("t/kept")[0] == 0 and came, "the retained message")
    listener.disconnect()
    listener.loop_stop()
    assert came[0] == b"42"


def test_a_wrong_password_is_named_and_the_link_goes_on_trying(mosquitto):
    mosquitto.stop()
    conf = mosquitto.directory / "mosquitto.conf"
    conf.write_text(conf.read_text().replace("allow_anonymous true", "allow_anonymous false"))
    mosquitto.start()
    link = Link(
        MqttOptions(host="127.0.0.1", port=mosquitto.port, client_id="d", username="u", password="wrong"),
        [("t/#", 1)],
    )
    link.start()
    wait_until(lambda: "check user" in link.stats.last_error, "the refusal")
    mosquitto.stop()
    conf.write_text(conf.read_text().replace("allow_anonymous false", "allow_anonymous true"))
    mosquitto.start()
    assert link.wait_connected(10)
    link.stop()


def test_a_broker_that_does_not_answer_mqtt_5_is_spoken_to_in_3_1_1(tmp_path):
    broker = start_broker(tmp_path, "amqtt")
    link = Link(MqttOptions(host="127.0.0.1", port=broker.port, client_id="daemon"), [("t/#", 1)])
    link.start()
    try:
        assert link.wait_connected(20)
        assert link.protocol == "3.1.1"
    finally:
        link.stop()
        broker.stop()


def test_a_broker_that_hung_is_spoken_to_in_mqtt_5_again(mosquitto, monkeypatch):
    monkeypatch.setattr("ashibar.io.mqtt.CONNACK_TIMEOUT_S", 0.2)
    mosquitto.signal(signal.SIGSTOP)
    link = Link(MqttOptions(host="127.0.0.1", port=mosquitto.port, client_id="host"), [])
    link.start()
    wait_until(lambda: link.protocol == "3.1.1", "the fall back")
    wait_until(lambda: link.protocol == "5", "MQTT 5 again")
    mosquitto.signal(signal.SIGCONT)
    link.stop()
