"""The workstation's side of Earshot: from labelled sounds to the bundle that the device runs.

    loading (urbansound8k, own_sounds) -> dataset -> spectrograms (and augmented copies) -> backbone -> sight (features)
            -> fit: train (head, discriminant) -> thresholds -> network -> finetune -> export (int8 bundle)
            -> evaluate (through device's own code) and listening (scenes, through its whole pipeline) -> report

What the backbone knows of sounds it has from `teach` (lesson, teacher) and `adapt`, hours beforehand. `material` is
what the steps share, `steps` joins them, `cli` is `earshot-train`. Windows, log-mels and scores are computed by
`device`, so what is trained and judged is what runs on the Pi.
"""
