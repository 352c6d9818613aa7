"""The model card, written from a bundle and its evaluation."""

import re
import shutil

from device.model.bundle import load_bundle
from training.evaluation.model_card import write_model_card


def test_the_shipped_card_follows_from_the_shipped_bundle(bundle_path, tmp_path):
    """Every figure of MODEL_CARD.md but the agreement on training windows is in bundle.json."""
    shipped = (bundle_path / "MODEL_CARD.md").read_text()
    shutil.copytree(bundle_path, tmp_path / "bundle")
    bundle = load_bundle(tmp_path / "bundle")
    agreement = float(re.search(r"([\d.]+) % of training windows", shipped)[1]) / 100
    write_model_card(bundle, bundle.manifest.accuracy, {"inception": agreement}, bundle.manifest.training["command"])
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
