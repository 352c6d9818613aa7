"""Property of delivery: whatever a broker answers, each event arrives, in order on each topic, within bounds."""

import json
import tempfile
from pathlib import Path

from broker_support import BACKLOG, EVENT, EVENTS, event, numbers, publishing
from fake_broker import FakeBroker, Rule
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mqtt_packets import PUBLISH, SUBSCRIBE
from support import wait_until

EXAMPLES = 10
"""Examples in a normal run; `--hypothesis-profile=thorough` has its own number."""
EVENT_COUNT = 12
STATES = ["sound/siren", "threshold/siren", "spectrogram", "health", "listening"]

refusals = st.sampled_from([0x80, 0x83, 0x87, 0x90, 0x91, 0x97])
topics = st.sampled_from([EVENT, BACKLOG, EVENTS, "#", "earshot/balcony/sound/+", "earshot/balcony/spectrogram"])
answers = st.one_of(
    st.fixed_dictionaries({"code": refusals}),
    st.fixed_dictionaries({"delay": st.floats(0.0, 0.4)}),
    st.just({"is_silent": True}),
    st.fixed_dictionaries({"disconnects": st.just(True), "code": st.sampled_from([0, 0x83, 0x89, 0x95, 0x97])}),
    st.just({"code": 0x10}),
)
rules = st.builds(
    lambda topics, answer, times, to: Rule(topics, **answer, times=times, to=to),
    topics,
    answers,
    st.integers(1, 4),
    st.sampled_from([PUBLISH, PUBLISH, PUBLISH, SUBSCRIBE]),
)
limits = st.fixed_dictionaries(
    {},
    optional={
        "MaximumPacketSize": st.integers(300, 5000),
        "ReceiveMaximum": st.integers(1, 30),
        "RetainAvailable": st.just(0),
        "TopicAliasMaximum": st.integers(0, 10),
        "AssignedClientIdentifier": st.just("another"),
        "ServerKeepAlive": st.integers(5, 100),
        "WildcardSubscriptionAvailable": st.just(0),
        "ReasonString": st.just("because"),
    },
)


@settings(
    max_examples=max(EXAMPLES, settings().max_examples // 100),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
@given(st.lists(rules, max_size=3), limits, st.sampled_from([(4,), (5,), (4, 5)]), st.sampled_from([0.3, 3600]))
def test_each_event_arrives_in_order_whatever_the_broker_answers(quick_for_all, rules, limits, levels, live_seconds):
    """After finitely many refusals, silences, delays and disconnections, all events have arrived in order."""
    for rule in rules:
        if levels == (4,) and not rule.disconnects:
            rule.code = 0  # MQTT 3.1.1 acknowledges a refused message like any other
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeBroker(*rules, limits=limits, levels=levels) as broker,
        publishing(broker, Path(folder), live_seconds=live_seconds) as publisher,
    ):
        publisher.subscribe_commands(print)
        for number in range(EVENT_COUNT):
            for name in STATES:
                publisher.publish_state(name, bytes(4000), b"small")
            publisher.send(event(number))
        wait_until(lambda: publisher.wait_delivered(0.1) == 0, 40, "the delivery")
        assert set(numbers(broker, EVENTS)) == set(range(EVENT_COUNT))
        for topic in (EVENT, BACKLOG):
            assert numbers(broker, topic) == sorted(numbers(broker, topic)), topic
        ids = {}
        for message in broker.accepted(EVENTS):
            content = json.loads(message.payload)
            assert ids.setdefault(content["sequence"], content["id"]) == content["id"]
        assert broker.violations == []
        assert publisher.status().outbox.dropped == 0
