import pytest

from device.audio.devices import InputDevice, choose_device, input_devices


def test_input_devices_lists_the_microphone(plugged_in):
    """The list contains the microphones of the sound server, with their rates and one default."""
    devices = input_devices()
    assert any("pulse" in device.name for device in devices)
    assert sum(device.is_default for device in devices) == 1
    assert all(device.rates == (48000, 44100, 32000, 16000) for device in devices), "a sound server accepts any rate"


DEVICES = [
    InputDevice(0, "HDA Intel: ALC (hw:0,0)", "", 2, 44100, is_default=True),
    InputDevice(3, "USB PnP Sound Device: Audio (hw:1,0)", "0d8c:0014", 1, 48000, is_default=False),
]


@pytest.mark.parametrize(
    ("name", "index"), [("usb pnp", 3), ("usb:0d8c:0014", 3), ("hda", 0), ("auto", 3), ("usb:1:1", None), ("x", None)]
)
def test_a_microphone_is_chosen_by_name_or_usb_id(name, index):
    """A microphone is chosen by a part of its name, by its USB id, or by `auto`, which prefers USB."""
    found = choose_device(DEVICES, name)
    assert (found.index if found else None) == index


def test_auto_falls_back_to_the_default():
    """Without a USB microphone, `auto` is the system's default; without any microphone, it is None."""
    assert choose_device(DEVICES[:1], "auto").index == 0
    assert choose_device([], "auto") is None


def test_a_complete_name_takes_precedence():
    """`default` is the device of that name, although `sysdefault` is first in the list."""
    named = [InputDevice(n, name, "", 2, 44100, is_default=False) for n, name in enumerate(("sysdefault", "default"))]
    assert choose_device(named, "default").index == 1
