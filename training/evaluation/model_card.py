"""Model card of a bundle: MODEL_CARD.md, for people."""

from collections.abc import Mapping
from typing import Any

from device.model.bundle import Bundle
from device.model.manifest import CARD
from training.data.urbansound8k import NAME as URBANSOUND8K
from training.evaluation.summary import false_events
from training.evaluation.templates import render


def write_model_card(
    bundle: Bundle, evaluation: Mapping[str, Any], agreement: Mapping[str, float], command: str
) -> None:
    """Write MODEL_CARD.md into a bundle's folder.

    Args:
        bundle: bundle with its network and manifest.
        evaluation: content of evaluation.json.
        agreement: share of training windows on which each network decides like its float network, 0 to 1.
        command: command line of the run.
    """
    pooled, training = evaluation["pooled"], bundle.manifest.training
    card = render(
        "model_card.md.jinja",
        bundle=bundle,
        manifest=bundle.manifest,
        model_bytes={name: bundle.model_path(name).stat().st_size for name in bundle.manifest.networks},
        evaluation=evaluation,
        folds={**evaluation["folds"], "pooled": pooled},
        inception=training.get("networks", {}).get("inception", training),  # of bundles up to 7.0.0, without networks
        agreement=agreement,
        command=command,
        urbansound8k=bundle.manifest.training["data"].startswith(URBANSOUND8K),
        false_events=false_events(pooled["pipeline"]) if pooled["pipeline"] else "",
    )
    (bundle.path / CARD).write_text(card + "\n", encoding="utf-8")
