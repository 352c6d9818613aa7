"""Earshot's daemon: from a microphone to events over MQTT. Audio never leaves the machine.

The data path, stage -> module:

    microphone                audio/devices.py, capture.py (a process), pipe.py, chunks.py, diagnosis.py, microphone.py
    sound files, a pipe       audio/files.py, audio/stream.py
    resample, blocks          audio/resample.py
    ring buffer               ring.py
    gate                      gate.py, noise_floor.py
    window (with pre-roll)    windows.py
    log-mel                   features.py
    TFLite -> scores          classifier.py, with what bundle.py read and verified
    scores -> events          evidence.py (windows together, the odds of none of them), events.py
    outbox (SQLite)           outbox.py, outbox_disk.py, outbox_file.py, sequence.py
    MQTT                      mqtt/messages.py, delivery.py, connection.py, incoming.py, joined in publisher.py

Around the path: mqtt/states.py and discovery.py keep what Home Assistant shows, controls.py obeys commands, recorder.py
and clips.py keep the sound of events where that is wanted. They watch the pipeline as observers (types.py).

clock.py tells the time, also on a machine that boots in the past.
load.py has windows and probes lie further apart while the machine is hot or cannot keep up.
listen_view.py shows what is heard in a terminal.
health.py counts what is heard and what is turned away, and says how the parts are.
pulse.py feels that listening goes on; service.py tells systemd, feeds its watchdog, and takes up new settings.
pipeline.py joins the stages from ring to events; daemon.py builds them all and is the only module that does.
Stages do not import one another, only config, features, errors and types.
"""
