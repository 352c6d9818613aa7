"""Blueprints in a real Home Assistant: an automation of each, fired by the retained states of a node over MQTT."""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from support import wait_until

from device.model.sound_names import sound_names
from device.mqtt.home_assistant import DeviceInfo, discovery_message, discovery_topic
from device.mqtt.home_assistant_entities import OptionalStates

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "home_assistant" / "blueprints"
NODE = "blueprints"
_LABELS = ("siren", "dog_bark", "drilling", "jackhammer")
_SMOKE = "Smoke detector, smoke alarm"
_SHORT = {"seconds": 1}


def _sensor(name):
    return f"binary_sensor.earshot_blueprints_{name}"


def _clock(hours):
    """Return the time of day of Home Assistant's clock, some hours from now."""
    return (datetime.now(UTC) + timedelta(hours=hours)).strftime("%H:%M:%S")


def _now(name, after, before):
    return {f"{name}after": _clock(after), f"{name}before": _clock(before)}


def _automations():
    """Return each automation by its name: blueprint and inputs. Its action counts on the counter of that name."""
    siren, drill = {"siren": _sensor("siren"), "lasting": _SHORT}, [_sensor("drilling"), _sensor("jackhammer")]
    never = {**_now("night_", 2, 3), **_now("midday_", 4, 5), "sundays": False}
    drill = {"drills": drill, "lasting": _SHORT, **never}
    return {
        "siren_now": ("siren_at_night", siren | _now("", -1, 1)),
        "siren_later": ("siren_at_night", siren | _now("", 1, 2)),
        "dog": (
            "dog_barked_for_ten_minutes",
            {"dog": _sensor("dog_bark"), "duration": {"seconds": 6}, "pause": {"seconds": 3}},
        ),
        "drill_at_night": ("drill_in_quiet_hours", drill | _now("night_", -1, 1)),
        "drill_at_midday": ("drill_in_quiet_hours", drill | _now("midday_", -1, 1)),
        "drill_on_sunday": ("drill_in_quiet_hours", drill | {"sundays": True}),
        "drill_else": ("drill_in_quiet_hours", drill | dict.fromkeys(("midday_after", "midday_before"), "00:00:00")),
        "smoke": (
            "smoke_alarm",
            {"alarm": _sensor("smoke_detector_smoke_alarm"), "lasting": _SHORT, "again": {"seconds": 2}},
        ),
    }


AUTOMATIONS = _automations()
_DEFAULT_TITLES = {"siren_now": "Siren", "dog": "Dog", "drill_at_night": "Quiet hours", "smoke": "Smoke alarm"}
"""Title of the message that an automation makes without actions of the user."""
CONFIGURATION = "counter:\n" + "".join(f"  {name}:\n" for name in AUTOMATIONS)


def automations():
    """Return the text of automations.yaml: automations of each blueprint, with an action and with the default."""
    made = [
        _automation(f"blueprint_{name}", blueprint, inputs | {"actions": [_count(name)]})
        for name, (blueprint, inputs) in AUTOMATIONS.items()
    ]
    made += [_automation(f"default_{name}", *AUTOMATIONS[name]) for name in _DEFAULT_TITLES]
    return yaml.safe_dump(made)


def _count(name):
    return {"action": "counter.increment", "target": {"entity_id": f"counter.{name}"}}


def _automation(name, blueprint, inputs):
    return {"id": name, "alias": name, "use_blueprint": {"path": f"earshot/{blueprint}.yaml", "input": inputs}}


class _Sounds:
    """Retained states of the node, published in place of a daemon."""

    def __init__(self, home, publish):
        self._home = home
        self._publish = publish
        message = discovery_message(
            DeviceInfo(NODE, "1", "b@1"),
            sound_names(_LABELS, (_SMOKE,)),
            published={},
            states=OptionalStates(spectrogram=True),
        )
        self.set_all("OFF")
        publish(discovery_topic("homeassistant", NODE), json.dumps(message))
        publish(f"earshot/{NODE}/status", "online")
        sensors = [_sensor(slug) for slug in (*_LABELS, "smoke_detector_smoke_alarm")]
        wait_until(lambda: all(home.state(each) == "off" for each in sensors), 30, "the sensors of the node")

    def set_all(self, state):
        for slug in (*_LABELS, "smoke_detector_smoke_alarm"):
            self._publish(f"earshot/{NODE}/sound/{slug}", state)

    def sound(self, slug, seconds):
        """Switch a sensor on, and off after a time."""
        self._publish(f"earshot/{NODE}/sound/{slug}", "ON")
        time.sleep(seconds)
        self._publish(f"earshot/{NODE}/sound/{slug}", "OFF")
        wait_until(lambda: self._home.state(_sensor(slug)) == "off", 10, f"the end of {slug}")

    def counts(self):
        """Return how often the action of each automation ran."""
        states = self._home.states()
        return {name: int(states[f"counter.{name}"]["state"]) for name in AUTOMATIONS}


def check_blueprints(home, node):
    """Each blueprint makes automations that act on its sound, in its hours alone; short sounds and pauses do not."""
    loaded = {name for name in home.states() if name.startswith("automation.")}
    assert {f"automation.blueprint_{name}" for name in AUTOMATIONS} <= loaded, loaded
    sounds = _Sounds(home, node.publish)
    nothing = dict.fromkeys(AUTOMATIONS, 0)
    sounds.sound("siren", 0.2)
    assert sounds.counts() == nothing
    sounds.sound("siren", 2)
    sounds.sound("jackhammer", 2)
    sounds.sound("drilling", 2)
    sunday = 2 if datetime.now(UTC).isoweekday() == 7 else 0
    expected = nothing | {"siren_now": 1, "drill_at_night": 2, "drill_at_midday": 2, "drill_on_sunday": sunday}
    wait_until(lambda: sounds.counts() == expected, 10, f"{expected}, not {sounds.counts()}")
    sounds.sound("dog_bark", 1)
    time.sleep(8)  # the dog is quiet for longer than the pause
    for _ in range(2):
        sounds.sound("dog_bark", 1)
        time.sleep(1)
    assert sounds.counts()["dog"] == 0
    for _ in range(4):
        sounds.sound("dog_bark", 1)
        time.sleep(1)
    wait_until(lambda: sounds.counts()["dog"] == 1, 10, "the action after a lasting bark")
    sounds.sound("smoke_detector_smoke_alarm", 6)
    assert sounds.counts()["smoke"] >= 2, "the actions follow again while the alarm sounds"
    done = sounds.counts()
    time.sleep(4)
    assert sounds.counts() == done, "the actions end with the alarm"
    assert done["siren_later"] == done["drill_else"] == 0


def check_default_actions(home, node):
    """Without actions of the user, each blueprint makes a message in Home Assistant."""
    sounds = _Sounds(home, node.publish)
    for slug in ("siren", "drilling", "smoke_detector_smoke_alarm"):
        sounds.sound(slug, 2)
    for _ in range(5):
        sounds.sound("dog_bark", 1)
        time.sleep(1)

    def messages():
        return {each["title"]: each["message"] for each in home.command("persistent_notification/get")}

    wait_until(lambda: set(_DEFAULT_TITLES.values()) <= set(messages()), 10, f"the messages, not {messages()}")
    assert all(re.search(r"\d\d:\d\d", message) for message in messages().values()), messages()
