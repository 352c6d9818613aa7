"""Fuzz tests of metadata tables: any file is a table, or one clear line.

A property is tried a hundred times by default, and ten thousand times by `make fuzz`.
"""

import pytest
from fuzz_strategies import damages
from hypothesis import given
from hypothesis import strategies as st

from device.errors import InputError
from training.data.table import read_table
from training.data.urbansound8k import TABLE, load_urbansound8k

HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"
ROWS = ["100032-3-0-0.wav,100032,0,0.3,1,5,3,dog_bark", '100263-2-0-117.wav,100263,58,62,1,5,2,"children, playing"']
TEXT = "\n".join([HEADER, *ROWS, ""])
FILES = st.sampled_from(
    [
        TEXT.encode(),
        TEXT.replace(",", ";").encode("utf-8-sig"),
        TEXT.replace(",", "\t").encode("utf-16"),
        TEXT.replace("\n", "\r\n").encode(),
    ]
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a folder for the table, with a clip that it names."""
    folder = tmp_path_factory.mktemp("data")
    (folder / TABLE).parent.mkdir()
    (folder / "audio").mkdir()
    (folder / "audio" / "100032-3-0-0.wav").touch()
    return folder


@given(content=FILES.flatmap(damages) | st.binary(max_size=200))
def test_any_table_is_a_dataset_or_one_clear_line(data, content):
    """A table with bytes deleted, inserted or replaced is a dataset, or one printable line that names the place."""
    (data / TABLE).write_bytes(content)
    try:
        load_urbansound8k(data)
    except InputError as error:
        assert str(error).startswith(str(data))
        assert str(error).isprintable()


@given(cells=st.lists(st.lists(st.text(max_size=5), max_size=4), max_size=4), delimiter=st.sampled_from(",;\t|"))
def test_any_cells_are_rows_or_one_clear_line(data, cells, delimiter):
    """Any cells under a header are rows, or one printable line that names the place."""
    path = data / "cells.csv"
    lines = [delimiter.join("abc"), *(delimiter.join(row) for row in cells)]
    path.write_bytes("\n".join(lines).encode(errors="replace"))
    try:
        assert all(set(row.values) == set("abc") for row in read_table(path, "abc", "Take another"))
    except InputError as error:
        assert str(error).startswith(str(path))
        assert str(error).isprintable()
