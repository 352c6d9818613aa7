"""The command line `earshot-train`."""

import functools
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from training.cli import main as main_module
from training.cli.main import main
from training.data.extra import check_extra

ROOT = Path(__file__).resolve().parents[3]

PREPARE = ["prepare", "--networks", "inception"]


@pytest.mark.parametrize("step", ["prepare", "train", "evaluate", "export", "retrain", "adapt"])
def test_each_step_has_help(step, capsys):
    """Every step explains its options and exits with 0."""
    with pytest.raises(SystemExit) as ended:
        main([step, "--help"])
    assert ended.value.code == 0
    assert "--data" in capsys.readouterr().out


def test_help_does_not_wait_for_tensorflow():
    """`--help` imports neither TensorFlow nor scikit-learn, so it is quick."""
    code = "import sys, training.cli.main; sys.exit(any(m in sys.modules for m in ('tensorflow', 'sklearn', 'keras')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_wrong_arguments_end_with_2():
    """Wrong arguments exit with 2."""
    with pytest.raises(SystemExit) as ended:
        main(["retrain"])
    assert ended.value.code == 2


def test_missing_data_is_one_line_and_2(tmp_path, capsys):
    """A wrong --data is one line with the path and the cure, without a traceback."""
    assert main([*PREPARE, "--data", str(tmp_path / "none"), "--output", str(tmp_path / "run")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert str(tmp_path / "none") in lines[0]


def test_distil_reports_missing_weights_first(tmp_path, capsys):
    """Missing weights are reported first, although sounds and teacher are missing too."""
    paths = {"weights": "none.npz", "sounds": "no sounds", "teacher": "none.tflite", "output": "out"}
    options = [part for name, path in paths.items() for part in (f"--{name}", str(tmp_path / path))]
    assert main(["distil", *options]) == 2
    assert "none.npz" in capsys.readouterr().err


def test_unreadable_clip_is_named(make_urbansound8k, tmp_path, capsys):
    """A text file named .wav ends the run with its name, without a traceback."""
    data = make_urbansound8k(tmp_path / "data", recordings=1, clips=1)
    bad = data / "audio" / "fold1" / "1000-0-0-0.wav"
    bad.write_text("not sound")
    arguments = [*PREPARE, "--data", str(data), "--output", str(tmp_path / "run"), "--weights", "random"]
    assert main(arguments) == 2
    error = capsys.readouterr().err.splitlines()
    assert bad.name in error[-1]
    assert not any("Traceback" in line for line in error)


def test_missing_tensorflow_is_reported_with_the_cure(urbansound8k, tmp_path, capsys, monkeypatch):
    """Without the training extra, the exit code is 69 and the line contains the command to install it."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert main([*PREPARE, "--data", str(urbansound8k), "--output", str(tmp_path)]) == 69
    assert "pip install 'earshot[training]'" in capsys.readouterr().err


def test_only_evaluate_has_the_protocol_that_leaks(capsys):
    """Other steps refuse a random split, because their networks may ship."""
    with pytest.raises(SystemExit) as ended:
        main(["retrain", "--data", "x", "--output", "y", "--protocol", "random"])
    assert ended.value.code == 2
    assert "--protocol" in capsys.readouterr().err


def test_the_audioset_network_needs_its_weights(urbansound8k, tmp_path, capsys):
    """Without --audioset-weights, one line names the checkpoint, its licence, and the network that needs none."""
    assert main(["retrain", "--data", str(urbansound8k), "--output", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "mn04_as_mAP_432.pt (MIT licence)" in line
    assert "--networks inception" in line


def test_unknown_networks_are_wrong_arguments(capsys):
    """A name that is no network ends with 2 and the names that are."""
    with pytest.raises(SystemExit) as ended:
        main(["retrain", "--data", "x", "--output", "y", "--networks", "yamnet"])
    assert ended.value.code == 2
    assert "audioset,inception" in capsys.readouterr().err


@pytest.mark.parametrize("seed", ["abc", "", "-1", "1.5", "4294967296", "9" * 5000, "\u0663", "1_0"])
def test_a_seed_that_is_no_number_is_one_clear_line(seed, capsys):
    """The error for a seed contains what was typed and the allowed range."""
    with pytest.raises(SystemExit) as ended:
        main(["retrain", "--data", "x", "--output", "y", f"--seed={seed}"])
    assert ended.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "argument --seed: is " in line
    assert line.endswith(", must be a whole number, 0 to 4294967295")


@pytest.mark.parametrize("module", ["jinja2", "matplotlib", "requests", "sklearn", "tensorflow", "tqdm"])
def test_a_missing_package_is_one_line_and_69(tmp_path, capsys, monkeypatch, module):
    """Each package of the extra that is missing is one line with the pip command, before the first step."""
    find = functools.partial(check_extra, lambda name: None if name == module else find_spec(name))
    monkeypatch.setattr(main_module, "check_extra", find)
    assert main([*PREPARE, "--data", str(tmp_path / "none"), "--output", str(tmp_path / "run")]) == 69
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not installed, and training needs it: " in line
    assert line.endswith("pip install 'earshot[training]'")


def test_without_the_extra_each_step_ends_with_one_line():
    """In an interpreter without any package, all missing ones are on one line, and the help works."""
    for step in ("prepare", "retrain", "distil --sounds a --teacher b"):
        option = "" if step.startswith("distil") else "--data a"
        command = [sys.executable, "-S", "-m", "training.cli.main", *f"{step} {option} --output b".split()]
        done = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
        assert done.returncode == 69
        (line,) = done.stderr.splitlines()
        assert "jinja2, matplotlib, requests, scikit-learn, TensorFlow, tqdm are not installed" in line


def test_a_tensorflow_that_does_not_load_is_one_clear_line(monkeypatch, tmp_path):
    """A TensorFlow that is installed, but not for this machine, is an error with its reason and the cure."""
    (tmp_path / "tensorflow.py").write_text("raise ImportError('not built for numpy 2')")
    code = "import training.models.tf as tf; tf.import_tensorflow()"
    command = [sys.executable, "-c", code]
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "UnavailableError: TensorFlow cannot be loaded (not built for numpy 2)" in done.stderr
