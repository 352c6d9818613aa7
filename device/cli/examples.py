"""Examples for the help of each subcommand. The tests hold each of them to the parser."""

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "earshot": (
        ("earshot devices --meter", "find the microphone: clap your hands"),
        ("earshot check", "find faults, with their cures"),
        ("earshot run --set mqtt.host=broker.local", "run the daemon"),
        ("earshot history --since yesterday", "list the events of yesterday and today"),
        ("earshot history --help", "show the options and examples of a command"),
    ),
    "earshot run": (
        ("earshot run", "listen to the microphone, with the settings of config.yaml"),
        ("earshot run --set mqtt.host=broker.local", "override a setting for this run"),
        ("earshot run --input street.wav --speed max --exit-at-end", "detect the events of a recording"),
        ("earshot run --trace", "log why a sound became no event"),
    ),
    "earshot classify": (
        ("earshot classify dog.wav siren.flac", "print the likeliest labels of each file"),
        ("earshot classify *.wav --json", "print every score, for a program"),
        ("earshot classify dog.wav --bundle runs/mine/bundle", "use another bundle"),
    ),
    "earshot gate": (
        ("earshot gate street.wav", "print when the gate is open, and why"),
        ("earshot gate street.wav --set gate.floor.level_db=10", "try another setting"),
    ),
    "earshot events": (
        ("earshot events", "print events as they are published; Ctrl-C ends it"),
        ("earshot events --json --set mqtt.host=broker.local", "print whole messages from another broker"),
    ),
    "earshot history": (
        ("earshot history", "list the events of the last 24 hours"),
        ("earshot history --since 7d --label siren", "list the sirens of the last week"),
        ("earshot history --since yesterday --until today --by hour", "count the events of each hour of yesterday"),
        ("earshot history --since 2026-11-01 --by day --csv", "count by day, as a table for a spreadsheet"),
        ("earshot history --since 30m --json", "print whole messages, for a program"),
    ),
    "earshot level": (
        ("earshot level", "print the level of the microphone each second; Ctrl-C ends it"),
        ("earshot level street.wav", "print LAeq, LAmax and the percentiles of a file"),
        ("earshot level street.wav --json", "print them as one object, for a program"),
        ("earshot level calibrate --spl 94", "calibrate the microphone with a calibrator of 94 dB on it"),
    ),
    "earshot bench": (
        ("earshot bench", "print the costs of this machine as a table"),
        ("earshot bench --set model.bundle=/opt/earshot/models/urbansound8k-light", "measure the light bundle"),
    ),
    "earshot diary": (
        ("earshot diary", "write the last seven days into the folder diary"),
        ("earshot diary --from 2026-11-01 --to 2026-12-01 --output november", "write a month into another folder"),
        ("earshot diary --label jackhammer --set level.limit_day_db=55", "list one sound, against a limit of the day"),
    ),
    "earshot devices": (
        ("earshot devices", "list the microphones"),
        ("earshot devices --meter", "measure the level of each for 5 s: clap your hands"),
        ("earshot devices --meter 30 --json", "measure for 30 s, and print the result for a program"),
    ),
    "earshot check": (
        ("earshot check", "check settings, bundle, disk, microphone and broker"),
        ("sudo earshot check", "check with the password of the service"),
        ("earshot check --set mqtt.host=broker.local", "check another broker"),
        ("earshot check --json", "print one JSON object for each check"),
    ),
    "earshot forget": (("earshot forget garden", "delete the node `garden`, which no longer exists"),),
    "earshot listen": (
        ("earshot listen", "watch the microphone"),
        ("earshot listen --input street.wav", "watch a recording in real time"),
    ),
    "earshot labels": (
        ("earshot labels", "list all names, with their thresholds"),
        ("earshot labels --search bell", "find a name"),
        ("earshot labels --json", "print one JSON object for each name"),
    ),
    "earshot teach": (
        ("earshot teach doorbell ring1.wav ring2.wav ring3.wav", "teach a label from three recordings"),
        ("earshot teach doorbell af94604912d3 0c19d5a1b7e2", "teach it further, from clips kept for two events"),
        ("earshot teach --not siren kettle*.wav", "teach that this kettle is no siren"),
        ("earshot teach --export taught.npz", "write all that was taught to a file"),
        ("earshot teach --import taught.npz", "add what another device has exported"),
    ),
    "earshot untaught": (("earshot untaught doorbell", "remove the label `doorbell`"),),
    "earshot clips": (
        ("earshot clips list", "list the clips with their event ids"),
        ("earshot clips play af94604912d3", "play a clip"),
        ("earshot clips export corrected", "copy the corrected clips for earshot-train"),
    ),
    "earshot clips list": (
        ("earshot clips list", "list the clips, oldest first"),
        ("earshot clips list --json", "print one JSON object for each clip"),
    ),
    "earshot clips play": (("earshot clips play af94604912d3", "play the clip whose event id ends so"),),
    "earshot clips export": (("earshot clips export corrected", "copy the corrected clips to the folder corrected"),),
    "earshot clips purge": (
        ("earshot clips purge", "delete the clips without a correction"),
        ("earshot clips purge --corrected", "delete all clips"),
    ),
    "earshot web": (
        ("earshot web", "serve the page at http://127.0.0.1:8470/"),
        ("earshot web --port 8080", "use another port"),
    ),
    "earshot notify": (
        ("earshot notify --test", "send a test message to each service"),
        ("sudo earshot notify --test", "test the services of the service unit"),
        ("earshot notify --dry-run", "print the notifications of coming events; Ctrl-C ends it"),
        ("earshot notify", "send notifications, as the service earshot-notify does"),
    ),
    "earshot config": (
        ("earshot config explain mqtt", "list the keys of a section"),
        ("earshot config explain mqtt.port", "describe a key"),
        ("earshot config schema", "print the JSON Schema for an editor"),
    ),
    "earshot config explain": (
        ("earshot config explain", "list all keys"),
        ("earshot config explain gate", "list the keys of a section"),
        ("earshot config explain gate.probe_seconds", "describe a key"),
        ("earshot config explain mqtt.port --json", "print the description for a program"),
    ),
    "earshot config schema": (("earshot config schema", "print the JSON Schema of config.yaml"),),
}
"""Commands with their effect, for each subcommand."""


def examples(command: str) -> str:
    """Return the examples of a command as the end of its help.

    Args:
        command: its words, as in "earshot clips list".
    """
    width = max(len(line) for line, _ in EXAMPLES[command])
    lines = (f"  {line:<{width}}  {effect}" for line, effect in EXAMPLES[command])
    return "\n".join(["examples:", *lines])
