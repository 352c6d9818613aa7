"""Workers of a real dask cluster: two processes, beside the threads of this one."""

import itertools
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import small_inception
from distributed import LocalCluster
from support import free_port
from tiny_bundle import write_tiny_bundle
from worker_jobs import blas_threads, deadly, set_blas_threads, squares, squares_of_one_death

from device.errors import InputError, UnavailableError
from device.model.bundle import load_bundle
from training.cli.main import main
from training.data import dask_workers, worker_setup
from training.data.ambience import gate_ambience
from training.data.array_cache import Cache
from training.data.dask_workers import connect
from training.data.loading import load_dataset
from training.data.parallel import THREADS, Workers
from training.data.spectrograms import SpectrogramConfig, SpectrogramMaker
from training.data.worker_setup import tensorflow_threads
from training.evaluation.metrics import classify_files
from training.fitting.backbone_features import BackboneFeatures
from training.models.backbone import load_rgb_backbone, save_weights


@pytest.fixture(scope="module")
def cluster():
    """A scheduler with two worker processes of one thread each; a worker that dies is started again."""
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture
def workers(cluster):
    """The workers of the cluster, after their check; those that a test has ended are there again."""
    cluster.wait_for_workers(1, timeout=60)
    with connect(cluster.scheduler_address) as workers:
        yield workers


def test_dask_and_threads_give_the_same_bytes(workers, make_urbansound8k, negatives, experiment_config, tmp_path):
    """Windows, augmented copies with their backgrounds, and the gate's windows are identical on workers and threads."""
    dataset = load_dataset(make_urbansound8k(tmp_path / "data", recordings=1, clips=1), [negatives])
    workers.check_files([clip.path for clip in dataset.clips], tmp_path)
    found = []
    for number, each in enumerate((THREADS, workers)):
        cache = Cache(tmp_path / str(number))
        maker = SpectrogramMaker(dataset, experiment_config.spectrograms, cache, each)
        ambience = gate_ambience(maker.cutter, cache)
        arrays = [part.quantized for part in maker.all()]
        found.append([*arrays, ambience.start, ambience.span_start, ambience.rise_db, ambience.seconds])
    for threads, dask in zip(*found, strict=True):
        assert len(threads) > 0
        assert threads.dtype == dask.dtype
        assert threads.tobytes() == dask.tobytes()


class Registering(Workers):
    """Workers that add the small Inception to their process before they load it."""

    def __init__(self, workers):
        self._workers = workers

    def map(self, make, items, together=1):
        return self._workers.map(partial(small_inception.make_registered, make), items, together)


def test_features_have_the_same_bytes(workers, make_urbansound8k, small_features, small_backbone, tmp_path):
    """TensorFlow computes the same bytes on workers and threads, although the workers' machines have more cores."""
    weights = tmp_path / "weights.npz"
    save_weights(load_rgb_backbone(small_backbone("mixed1"), small_features.shape), "mixed1", weights)
    workers.run_everywhere(os.environ.__setitem__, "TF_NUM_INTRAOP_THREADS", "2")  # as on a machine with two cores
    dataset = load_dataset(make_urbansound8k(tmp_path / "data", recordings=1, clips=1))
    backbone, found = small_backbone("mixed1", weights=str(weights)), []
    for number, each in enumerate((THREADS, Registering(workers))):
        cache = Cache(tmp_path / str(number))
        maker = SpectrogramMaker(dataset, SpectrogramConfig(features=small_features), cache, each)
        log_mels = maker.original()
        found.append(BackboneFeatures(backbone, [log_mels], maker, 0, cache).features(log_mels, ""))
    assert len(np.unique(found[0], axis=0)) > 3
    assert found[0].tobytes() == found[1].tobytes()
    assert set(workers.run_everywhere(tensorflow_threads).values()) == {tensorflow_threads()}


def test_workers_compute_matrix_products_on_one_thread(workers):
    """Their rounding is that of the threads of one process, whatever the settings of the worker."""
    workers.run_everywhere(set_blas_threads, 2)
    assert set(workers.map(blas_threads, range(8))) == {1}


def test_networks_are_judged_alike(workers, urbansound8k, tmp_path):
    """The scores of clips by a bundle are identical on workers and threads."""
    clips, bundle = load_dataset(urbansound8k).clips[:20], load_bundle(write_tiny_bundle(tmp_path / "bundle"))
    scores = [classify_files(clips, bundle, each) for each in (THREADS, workers)]
    assert scores[0].shape == (20, 2)
    assert len(np.unique(scores[0])) > 2
    assert scores[0].tobytes() == scores[1].tobytes()


def test_results_are_in_order_and_an_error_names_its_worker(workers):
    """Results have the order of the items; an error of a job is raised here, with the worker's address."""
    assert list(workers.map(squares, iter(range(20, 220)), 3)) == [number * number for number in range(20, 220)]
    with pytest.raises(InputError, match=r"13 is refused.*on worker tcp://127\.0\.0\.1"):
        list(workers.map(squares, range(20), 2))


def test_a_worker_that_dies_changes_no_result(workers, tmp_path):
    """A worker is killed during a job; the job is repeated, and all results are there, in order."""
    marker = tmp_path / "killed"
    results = list(workers.map(partial(squares_of_one_death, marker), range(40)))
    assert marker.exists()
    assert results == [number * number for number in range(40)]


def test_a_lost_scheduler_is_one_clear_error():
    """A scheduler that ends during a step is reported, without a hang."""
    cluster = LocalCluster(n_workers=1, processes=False, protocol="tcp", dashboard_address=":0")
    with cluster, connect(cluster.scheduler_address) as workers:
        results = workers.map(squares, itertools.count(20))
        assert next(results) == 400
        cluster.close()
        with pytest.raises(UnavailableError, match=r"is lost\. Start it and its workers again"):
            list(results)


def test_other_versions_are_refused(cluster, workers, monkeypatch):
    """Workers with another numpy are refused at the start, and one that joins later at its first job."""
    monkeypatch.setitem(worker_setup.versions(), "numpy", "0.9")  # here; the workers keep theirs
    with pytest.raises(UnavailableError, match=r"results would differ.*numpy 1\.\S+, here 0\.9.*restart its worker"):
        workers.check_versions()
    monkeypatch.setattr(dask_workers, "versions_digest", lambda: "another")
    with pytest.raises(UnavailableError, match="joined with other versions"):
        list(workers.map(squares, [1]))


def test_files_that_a_worker_does_not_see_are_named(workers, tmp_path, monkeypatch):
    """A file, or an output folder, that exists on this machine alone is an error before the work."""
    with (tmp_path / "clip.wav").open("wb") as file:
        file.write(b"sound")
        file.flush()
        here_alone = Path(f"/proc/self/fd/{file.fileno()}")  # of this process
        workers.check_files([tmp_path / "clip.wav"], tmp_path)
        with pytest.raises(UnavailableError, match=rf"no such file.*{here_alone}.*same paths"):
            workers.check_files([here_alone], tmp_path)
    monkeypatch.setattr(workers, "run_everywhere", lambda sizes, paths: {"tcp://far": [*sizes(paths[:-1]), None]})
    with pytest.raises(UnavailableError, match=r"worker tcp://far does not share the folder .*same path"):
        workers.check_files([tmp_path / "clip.wav"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.wav"]


def train(urbansound8k, tmp_path, address):
    """Run `prepare` with a scheduler; return its exit code."""
    paths = ["--data", str(urbansound8k), "--output", str(tmp_path / "run")]
    return main(["prepare", "--networks", "inception", *paths, "--scheduler", address])


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:{port}", "nonsense://127.0.0.1:{port}"])
def test_an_unreachable_scheduler_is_one_line_and_69(address, urbansound8k, tmp_path, capsys, monkeypatch):
    """Without a scheduler, the run ends before any work, with its address and the cure."""
    monkeypatch.setattr(dask_workers, "CONNECT_SECONDS", 0.5)
    address = address.format(port=free_port())
    assert train(urbansound8k, tmp_path, address) == 69
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert address in lines[0]
    assert "dask scheduler" in lines[0]
    assert not (tmp_path / "run").exists()


def test_a_scheduler_without_workers_is_one_line_and_69(urbansound8k, tmp_path, capsys, monkeypatch):
    """A scheduler that no worker has joined is an error with the command that starts one."""
    monkeypatch.setattr(dask_workers, "CONNECT_SECONDS", 0.5)
    with LocalCluster(n_workers=0, processes=False, protocol="tcp", dashboard_address=":0") as empty:
        assert train(urbansound8k, tmp_path, empty.scheduler_address) == 69
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert f"has no worker. Start one on each workstation: dask worker {empty.scheduler_address}" in lines[0]


def test_random_weights_are_one_line_and_2(urbansound8k, tmp_path, capsys):
    """Each worker would draw other weights, so the run ends before any work, with the cure."""
    paths = ["--data", str(urbansound8k), "--output", str(tmp_path / "run")]
    options = ["--networks", "inception", "--weights", "random", "--scheduler", "tcp://127.0.0.1:8786"]
    assert main(["prepare", *paths, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "other weights for --weights random. Run it without --scheduler, or name a file" in line
    assert not (tmp_path / "run").exists()


def test_a_missing_extra_is_one_line_and_69(urbansound8k, tmp_path, capsys, monkeypatch):
    """Without dask.distributed, the line contains the command that installs it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert train(urbansound8k, tmp_path, "tcp://127.0.0.1:8786") == 69
    assert "pip install 'earshot[training,distributed]'" in capsys.readouterr().err


def test_a_job_that_kills_its_workers_is_one_clear_error(cluster, workers, monkeypatch):
    """A job that ends the process of each worker is not repeated without end."""
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)  # usually 3, which takes longer
    with pytest.raises(UnavailableError, match=r"ended the process of several workers.*--nthreads 1"):
        list(workers.map(deadly, [1]))
