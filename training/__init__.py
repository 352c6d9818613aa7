"""Earshot's training on a workstation: from labelled sounds to the bundle that the device runs.

In the order of the data path:

    data            datasets, augmentation, spectrograms, ambience, mixtures, cache
    models          Keras models: backbones, head, checkpoint, TensorFlow import
    quantization    float networks to int8 TFLite, and the error that int8 adds to features
    fitting         backbone features, linear discriminant analysis, calibration, thresholds, fine-tuning
    distillation    a backbone trained on a teacher's embeddings, without labels
    export          the bundle that the device runs
    evaluation      metrics, scenes, the device's pipeline, reports, model card, curves
    workflow        the steps of a run, joined
    cli             the command line: `earshot-train`

Each package imports only packages above it. Windows, log-mels and scores are computed by `device`, so training and
evaluation use the code of the Pi.
"""
