"""Maker of audioset_golden.npz, from the golden values of the AudioSet network: make_audioset_golden.py SOURCE TARGET.

SOURCE contains synthesized waveforms, and their log-mels as computed with the network's published front end, at 16 kHz.
The log-mels are rounded to 1/256, which keeps the file small.
"""

import sys

import numpy as np


def main(source, target):
    with np.load(source) as golden:
        log_mel = (np.rint(golden["log_mel"] * 256) / 256).astype(np.float16)
        np.savez_compressed(target, waveform=golden["waveform"], log_mel=log_mel)


if __name__ == "__main__":
    main(*sys.argv[1:])
