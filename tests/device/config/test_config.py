"""Tests of the loader: defaults, faults, overrides, paths, password."""

from pathlib import Path

import pytest
import yaml

from device.config.loader import CHECKOUT_CONFIG, load_config
from device.config.models import Config, ModelConfig
from device.config.secrets import read_password
from device.errors import ConfigError


def load(tmp_path, text, **kwargs):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return load_config(path, **{"environment": {}, **kwargs})


def faults(tmp_path, text, **kwargs):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **kwargs)
    return str(caught.value).splitlines()


def test_the_shipped_file_contains_every_default():
    """config.yaml at the root has every key of the models, with the same default."""
    shipped = yaml.safe_load(CHECKOUT_CONFIG.read_text())
    assert shipped == Config().model_dump(mode="json")


def test_an_empty_file_is_the_defaults(tmp_path):
    """Keys that are absent from the file have their defaults."""
    assert load(tmp_path, "# nothing\n").model_copy(update={"model": ModelConfig()}) == Config()


def test_all_faults_are_reported_at_once(tmp_path):
    """Each fault is one line with file, line, key, the fault and the allowed values."""
    lines = faults(
        tmp_path, "mqtt:\n  prot: 1883\n  keepalive_seconds: 1\nevents:\n  thresholds: {siren: 2}\nnode_id: a/b\n"
    )
    path = tmp_path / "config.yaml"
    assert sorted(lines) == [
        f"{path}:2: mqtt.prot: no such key. Did you mean port?",
        f"{path}:3: mqtt.keepalive_seconds: is 1, must be greater than or equal to 5",
        f"{path}:5: events.thresholds.siren: is 2, must be less than or equal to 1",
        f"{path}:6: node_id: is 'a/b', names an MQTT topic, so '/', '+', '#', line breaks and spaces around it"
        " are not allowed",
    ]


@pytest.mark.parametrize("node_id", ["a/b", "a+b", "a#", "a\nb", " a", "", "x" * 65])
def test_a_node_id_that_breaks_topics_is_refused(tmp_path, node_id):
    """The node's name contains no character with a meaning in MQTT topics."""
    assert "node_id" in faults(tmp_path, yaml.safe_dump({"node_id": node_id}))[0]


@pytest.mark.parametrize("prefix", ["", "/ha", "ha/", "ha//mqtt", "ha/#", "h+", "h a", "ha\n"])
def test_a_discovery_prefix_that_breaks_topics_is_refused(tmp_path, prefix):
    """The prefix begins a topic; it may have several levels."""
    (line,) = faults(tmp_path, yaml.safe_dump({"home_assistant": {"discovery_prefix": prefix}}))
    assert "begins an MQTT topic" in line
    text = "home_assistant: {discovery_prefix: my/ha}"
    assert load(tmp_path, text).home_assistant.discovery_prefix == "my/ha"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mqtt: [", "not YAML"),
        ("- a\n- b", "must contain `key: value` lines"),
        ("gate: {vad_mode: null, level: false, probe_seconds: null}", "could never open"),
        ("gate: 5", "gate: must be a section"),
        ("gate: {vad_blocks: 13}", "more than vad_window_blocks"),
        ("gate: {floor: {maximum_db: 10}}", "less than level_db"),
        ("events: {quiet_hours: [22:00-24:00]}", 'events.quiet_hours: must be like "22:00-07:00"'),
        ("events: {quiet_hours: [22-7]}", "must be like"),
        ("events: {quiet_hours: [07:00-07:00]}", "is empty"),
        ("events: {quiet_hours: 22:00-07:00}", "must be a valid list"),
        ("events: {quiet_hours: [22:00]}", "events.quiet_hours"),
        ("notify: {rules: [{hours: [22-7]}]}", 'notify.rules.0.hours: must be like "22:00-07:00"'),
        ("notify: {rules: [{label: [siren]}]}", "notify.rules.0.label: no such key. Did you mean labels?"),
        ("notify: {rules: [{labels: siren}]}", "notify.rules.0.labels: is 'siren', must be a valid list"),
        ("notify: {rules: {labels: [siren]}}", "notify.rules: must be a valid list"),
        ("notify: {rules: [siren]}", "notify.rules.0: must be a section of `key: value` lines"),
        ('notify: {rules: [{labels: [""]}]}', "notify.rules.0.labels: must not be empty"),
        ("notify: {services: [x]}", "Did you mean services_file"),
        ("mqtt: {password: secret}", "Did you mean password_file"),
    ],
)
def test_a_bad_file_is_reported_with_its_cure(tmp_path, text, message):
    """Each fault is one line with its file, and never contains a password."""
    (line,) = faults(tmp_path, text)
    assert message in line
    assert "config.yaml" in line
    assert "secret" not in line


def test_the_command_line_wins_over_environment_over_file(tmp_path):
    """Key by key, the command line has priority over the environment, the environment over the file."""
    config = load(
        tmp_path,
        "mqtt: {host: from-file, port: 1, username: from-file}",
        environment={"EARSHOT_MQTT__HOST": "from-environment", "EARSHOT_MQTT__PORT": "2", "PATH": "/bin"},
        overrides=["mqtt.port=3"],
    )
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.username) == ("from-environment", 3, "from-file")


def test_faults_of_overrides_name_their_origin(tmp_path):
    """A fault names the variable or the option that caused it."""
    lines = faults(tmp_path, "", environment={"EARSHOT_MQTT__PROT": "1"}, overrides=["gate.vad_mode=9"])
    assert any(line.startswith("EARSHOT_MQTT__PROT: mqtt.prot: no such key") for line in lines)
    assert any(line.startswith("--set gate.vad_mode=9: gate.vad_mode: is 9") for line in lines)


def test_relative_paths_start_at_the_file(tmp_path):
    """Relative paths start at the file's folder, those of an override at the working directory."""
    config = load(tmp_path, "mqtt: {password_file: secret.txt}")
    assert config.model.bundle == tmp_path / "models" / "urbansound8k"
    assert config.mqtt.password_file == tmp_path / "secret.txt"
    assert load(tmp_path, "", overrides=["model.bundle=mine"]).model.bundle == Path.cwd() / "mine"


def test_off_needs_no_quotation_marks(tmp_path):
    """`spectrogram: off` turns the spectrogram off, though YAML 1.1 reads `off` as false."""
    assert load(tmp_path, "mqtt: {spectrogram: off}").mqtt.spectrogram == "off"
    assert load(tmp_path, "", overrides=["mqtt.spectrogram=off"]).mqtt.spectrogram == "off"
    assert "must be 'blurred', 'sharp' or 'off'" in faults(tmp_path, "mqtt: {spectrogram: on}")[0]


def test_a_missing_file_is_reported(tmp_path):
    """A config file that was named on the command line must exist."""
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        load_config(tmp_path / "nowhere.yaml", environment={})


def test_the_password_comes_from_a_file(tmp_path):
    """The password is the first line, without line break; an unreadable or empty file is a fault."""
    (tmp_path / "password").write_text("s3cret\n")
    assert read_password(load(tmp_path, "mqtt: {password_file: password}").mqtt) == "s3cret"
    assert read_password(load(tmp_path, "").mqtt) is None
    (tmp_path / "password").write_text("")
    with pytest.raises(ConfigError, match="empty"):
        read_password(load(tmp_path, "mqtt: {password_file: password}").mqtt)
    with pytest.raises(ConfigError, match="not readable"):
        read_password(load(tmp_path, "mqtt: {password_file: other}").mqtt)


def test_the_password_comes_from_a_systemd_credential(tmp_path):
    """Without `password_file`, the credential is read; without credential, there is no password."""
    config = load(tmp_path, "").mqtt
    assert read_password(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) is None
    (tmp_path / "mqtt_password").write_text("s3cret\n")
    assert read_password(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "s3cret"
    (tmp_path / "mqtt_password").write_text("")
    with pytest.raises(ConfigError, match="credential"):
        read_password(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_root_at_a_terminal_has_the_password_of_the_service(tmp_path, monkeypatch):
    """`sudo earshot check` reads the credential from the path that the service's unit names."""
    monkeypatch.setattr("device.config.secrets.CREDENTIAL", tmp_path / "earshot.mqtt_password")
    config = load(tmp_path, "").mqtt
    assert read_password(config, {}) is None
    (tmp_path / "earshot.mqtt_password").write_text("s3cret\n")
    assert read_password(config, {}) == "s3cret"
    assert read_password(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) is None


def test_a_repeated_key_is_reported(tmp_path):
    """A repeated key is a fault, though YAML would silently use the later one."""
    (line,) = faults(tmp_path, "mqtt:\n  port: 1884\nnode_id: a\nmqtt:\n  host: there\n")
    assert line == f"{tmp_path / 'config.yaml'}:4: mqtt: is set twice. Delete one of them"


def test_faults_of_the_file_and_of_overrides_are_reported_together(tmp_path):
    """Faults of the file, of a variable and of the command line are reported in one error."""
    lines = faults(
        tmp_path, "node_id: a/b\nnode_id: a/b\n", environment={"EARSHOT_GATE__FLOOR": "1"}, overrides=["x", "y.z=1"]
    )
    assert len(lines) == 5
    assert any(line.startswith("--set y.z=1: y: no such key") for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a {b: *a}", "config.yaml:1: not YAML (*a is an alias)"),
        ("\nnode_id: !!timestamp 2024-13-45", "config.yaml:2: not YAML (!!timestamp is a tag)"),
        ("node_id: " + "9" * 5000, "node_id: is "),
        ("mqtt: {port: " + "9" * 5000 + "}", "must be a whole number of fewer digits"),
        ("%YAML " + "9" * 5000, "not YAML (an invalid number)"),
        ("[" * 3000, "too many nested sections"),
        ("mqtt: {host: broker..local}", "mqtt.host: is 'broker..local', must be a host's name"),
        ('model: {bundle: "a\\0b"}', "contains a NUL"),
        ("gate: {minimum_seconds: .nan}", "must be a finite number"),
        ('"a\\nb": 1', r"config.yaml:1: 'a\nb': no such key"),
    ],
)
def test_unusual_faults_are_reported_in_one_line(tmp_path, text, message):
    """Inputs that fuzz tests found, which once caused a traceback, are one line each."""
    (line,) = faults(tmp_path, text)
    assert message in line


def test_relative_paths_of_a_file_that_is_named_relatively(tmp_path, monkeypatch):
    """Relative paths start at the file's folder, also if the file's own path is relative."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "config.yaml").write_text("model: {bundle: mine}")
    monkeypatch.chdir(tmp_path)
    assert load_config(Path("etc/config.yaml"), environment={}).model.bundle == tmp_path / "etc" / "mine"
