"""Daemon of Earshot: sound from a microphone to events over MQTT. Audio never leaves the machine.

Data path, stage -> package:

    microphone, sound files, standard input    audio: sources, resampling, blocks, ring buffer
    gate, windows (with pre-roll)              detection
    log-mel -> TFLite -> scores                model: features, bundle, networks, scoring
    scores -> events                           detection: event tracker
    durable queue                              outbox: SQLite, sequence numbers
    past events                                history: SQLite, writer and reader
    sound level of minutes and events          level: weighting, statistics, calibration, diary
    MQTT                                       mqtt: connection, delivery, Home Assistant

`pipeline.py` joins the stages from blocks to events. Its observers (`types.py`) receive windows, refusals and events.
`recordings.py` classifies files of any length, for `earshot classify`.

Packages, from the lowest layer to the highest; a package imports only packages below it:

    util, types.py, errors.py    helpers without domain knowledge, data types, errors with exit codes
    config                       settings, read from config.yaml
    audio, model                 sources of blocks; the trained networks
    detection                    gate and events
    outbox, history, clips       the durable queue; past events; recordings kept for correction
    level                        sound level, beside detection
    mqtt                         connection, delivery, messages, state topics
    monitoring                   health, liveness, load shedding, system metrics
    service                      wiring of the daemon, supervisor, remote control
    web, notify                  the page in the browser, and notifications: processes of their own
    cli                          the `earshot` command, one module a subcommand
"""
