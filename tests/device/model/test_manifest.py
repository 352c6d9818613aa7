import json

import pytest
from tiny_bundle import CLASSES, PARTS, fake_bundle, manifest_json, sign, write_tiny_bundle

from device.errors import ConfigError
from device.model.audioset_features import AudioSetFeatureConfig
from device.model.bundle import load_bundle, parse_manifest
from device.model.features import FeatureConfig
from device.model.manifest import manifest_digest


def test_format_2_describes_each_network():
    """A manifest of format 2 has networks with their own features, and rules that score them."""
    manifest = fake_bundle().manifest
    assert manifest.first is manifest.networks["audioset"]
    assert manifest.first.features == AudioSetFeatureConfig()
    assert manifest.networks["inception"].features == FeatureConfig()
    assert manifest.first.output_length == 537
    assert manifest.scoring.live.ask_above == 0.9


def test_a_bundle_without_the_audioset_network_has_no_classes():
    """Classes, window length and sample rate are those of the first network."""
    assert fake_bundle().audioset_classes == CLASSES
    bundle = fake_bundle(networks=("inception",))
    assert bundle.audioset_classes is None
    assert (bundle.window_length, bundle.sample_rate) == (48000, 16000)


def test_format_1_becomes_one_network(format_1_path):
    """A manifest of format 1 is read into the shape of format 2."""
    manifest = load_bundle(format_1_path).manifest
    assert manifest.format_version == 1
    network = manifest.networks["inception"]
    assert (network.file, network.outputs, network.classes) == ("model.tflite", {"clip": 11}, None)
    assert network.temperature == {"clip": pytest.approx(0.5, abs=0.2)}
    assert manifest.scoring.order == ("inception",)


def test_a_manifest_survives_json():
    """A manifest written as JSON is read as the same manifest."""
    manifest = fake_bundle().manifest
    text = manifest.model_dump_json()
    assert parse_manifest(text, json.loads(text)) == manifest


def changed(network, **changes):
    """Return the networks with changes of one of them."""
    networks = manifest_json()["networks"]
    return {"networks": {**networks, network: {**networks[network], **changes}}}


def rule(name, **changes):
    """Return the scoring with changes of a rule."""
    scoring = manifest_json()["scoring"]
    return {"scoring": {**scoring, name: {**scoring[name], **changes}}}


OUTPUTS = PARTS["audioset"]["outputs"]
ORDER = {"scoring": {**manifest_json()["scoring"], "order": ["inception", "audioset"]}}
FAULTS = [
    ({"surprise": 1}, "surprise: Extra inputs"),
    ({"networks": {}}, "networks: "),
    ({"networks": {"audioset": manifest_json()["networks"]["audioset"]}}, "scoring.order must name each"),
    (ORDER, "networks.audioset has AudioSet's classes, so it must be first"),
    (rule("live", weights={"audioset": 1.0}), "scoring.live.weights must name each of the networks"),
    (rule("clip", weights={"audioset": 1.0, "inception": 0.0}), "scoring.clip.weights.inception: "),
    (rule("clip", ask_below=1.5), "scoring.clip.ask_below: "),
    (rule("clip", ask_above=0.5), "scoring.clip.ask_above: Extra inputs"),
    (changed("audioset", surprise=1), "networks.audioset.surprise: Extra inputs"),
    (changed("audioset", file="../audioset.tflite"), "networks.audioset.file: "),
    (changed("audioset", file="/etc/passwd"), "networks.audioset.file: "),
    (changed("audioset", file=".."), "networks.audioset.file: "),
    (changed("audioset", file="a.tflite\n"), "networks.audioset.file: "),
    (changed("audioset", file="golden.npz"), "networks name the file golden.npz, which is another file"),
    (changed("audioset", file="inception.tflite"), "networks name the file inception.tflite, which is another"),
    (changed("audioset", outputs={**OUTPUTS, "clip": 2}), "networks.audioset.outputs.clip is 2, must be 3"),
    (changed("audioset", outputs={**OUTPUTS, "audioset": 5}), "must be AudioSet's 527 classes"),
    (changed("audioset", outputs={**OUTPUTS, "more": 5}), "networks.audioset.outputs.more"),
    (changed("audioset", outputs=dict(reversed(OUTPUTS.items()))), "in another order than clip, live, audioset"),
    (changed("inception", outputs={"embedding": 4}), "outputs lacks the part clip"),
    (changed("inception", temperature={}), "temperature must name each head once: clip"),
    (changed("inception", temperature={"clip": 0}), "networks.inception.temperature.clip: "),
    (changed("inception", temperature={"clip": 1.0, "live": 1.0}), "temperature must name each head once"),
    (changed("inception", classes=list(CLASSES)), "classes must name AudioSet's classes if"),
    (changed("audioset", classes=None), "classes must name AudioSet's classes if"),
    (changed("audioset", classes=["Speech"] * 527), "must be AudioSet's 527 classes"),
    (changed("audioset", classes=["", *CLASSES[1:]]), "a name that is empty or not printable"),
    (changed("audioset", features={"kind": "mfcc"}), "kind is 'mfcc', must be one of log_mel, audioset"),
    (changed("audioset", features={"sample_rate": 16000}), "kind is 'None', must be one of"),
    (changed("audioset", features={"kind": "audioset", "top_db": 80.0}), "features.top_db: "),
    (changed("audioset", features={"kind": "audioset", "peak": 2.0}), "peak is 2.0, must be"),
    (changed("inception", features={"kind": "log_mel", "window_seconds": 2.0}), "different sample_rate or window"),
    ({"labels": ["low", "low"]}, "labels holds a label twice"),
    ({"thresholds": {}}, "thresholds must name each label once"),
    ({"unknown": {"output": False, "min_confidence": 0.0}}, "outputs.clip is 3, must be 2"),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS, ids=[message[:40] for _, message in FAULTS])
def test_an_inconsistent_manifest_is_refused(tmp_path, changes, message):
    """A manifest of format 2 with a fault is refused in one line with its place, even with correct hashes."""
    folder = write_tiny_bundle(tmp_path / "bundle")
    manifest = json.loads((folder / "bundle.json").read_text())
    for name, network in changes.get("networks", {}).items():
        network["sha256"] = manifest["networks"][name]["sha256"]
    manifest |= changes
    manifest["manifest_sha256"] = manifest_digest(manifest)
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match=r"^bundle refused: .*bundle\.json: ") as caught:
        load_bundle(folder)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bundle_with_other_thresholds_loads(tmp_path):
    """A valid change, signed again, is accepted."""
    folder = write_tiny_bundle(tmp_path / "bundle")
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["scoring"]["live"]["ask_above"] = None
    sign(folder, manifest)
    assert load_bundle(folder).manifest.scoring.live.ask_above is None
