"""The model card, written from a bundle and its evaluation."""

import re
import shutil

import pytest

from device.model.bundle import load_bundle
from training.evaluation.model_card import write_model_card


@pytest.mark.parametrize("name", ["urbansound8k", "urbansound8k-light"])
def test_the_shipped_cards_follow_from_the_shipped_bundles(bundle_path, tmp_path, name):
    """Every figure of MODEL_CARD.md but the agreement on training windows is in bundle.json."""
    folder = bundle_path.with_name(name)
    shipped = (folder / "MODEL_CARD.md").read_text()
    shutil.copytree(folder, tmp_path / "bundle")
    bundle = load_bundle(tmp_path / "bundle")
    found = re.findall(r"The network (\w+) .* on ([\d.]+) % of training windows", shipped)
    agreement = {network: float(share) / 100 for network, share in found}
    assert set(agreement) == set(bundle.manifest.networks)
    write_model_card(bundle, bundle.manifest.accuracy, agreement, bundle.manifest.training["command"])
    assert (tmp_path / "bundle" / "MODEL_CARD.md").read_text() == shipped


def test_a_card_without_ambience_has_no_section_about_events(bundle_path, tmp_path):
    """Without results of the pipeline the card contains no such figures; own data has no foreign licence."""
    shutil.copytree(bundle_path, tmp_path / "bundle")
    bundle = load_bundle(tmp_path / "bundle")
    bundle.manifest.training["data"] = "my_sounds"
    accuracy = {**bundle.manifest.accuracy, "pooled": {**bundle.manifest.accuracy["pooled"], "pipeline": None}}
    write_model_card(bundle, accuracy, {"inception": 1.0}, "earshot-train retrain")
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert "false events" not in card
    assert "CC BY-NC" not in card
    assert card.index("## Figures") < card.index("## Limits")
