"""Metadata tables as spreadsheets and editors write them."""

import pytest

from device.errors import InputError
from training.data.loading import load_dataset
from training.data.table import read_table

COLUMNS = ("file", "class", "fold")
LINES = ["file,class,fold,note", "a.wav,dog,1,", 'b.wav,cat,2,"one, two"', "c.wav,dog,3,x"]
TEXT = "\n".join(LINES) + "\n"
WANTED = [("a.wav", "dog", 1), ("b.wav", "cat", 2), ("c.wav", "dog", 3)]


def read(path, content):
    path.write_bytes(content)
    return [(row["file"], row["class"], row.number("fold")) for row in read_table(path, COLUMNS, "Take another")]


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.encode("utf-16"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace(",", ";").encode(),
        TEXT.replace(",", "\t").encode("utf-16"),
        b"sep=;\r\n" + TEXT.replace(",", ";").encode(),
        ("\n" + TEXT.replace("\n", "\n\n")).encode(),
        TEXT.replace("\n", ",,\n").encode(),
        TEXT.replace(",dog", ", dog ").encode(),
        "\n".join('"' + '","'.join(line.split(",")[:3]) + '"' for line in LINES).encode(),
        b"\xef\xbb\xbf" + TEXT.replace(",", ";").replace("\n", "\r\n").encode(),
    ],
)
def test_tables_of_spreadsheets_are_read(tmp_path, content):
    """Byte order marks, delimiters, line ends, quotation marks, spaces and empty lines change nothing."""
    assert read(tmp_path / "table.csv", content) == WANTED


def test_a_value_of_several_lines_counts_its_lines(tmp_path):
    """The line of a row is its line in an editor, also after a quoted line break."""
    text = 'file,class,fold\na.wav,"dog\nbig",1\n\nb.wav,cat\n'
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(InputError, match=r"table\.csv:5: 2 values, but the header has 3"):
        read_table(tmp_path / "table.csv", COLUMNS, "Take another")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"file,class\na,b\n", "columns missing: fold"),
        (b"file,class,fold,fold\na,b,1,2\n", "columns twice: fold"),
        (b"file,class,fold\na,b,1\na,b\n", ":3: 2 values"),
        (b"file,class,fold\na,b,1,2\n", ":2: 4 values"),
        (b"file,class,fold\na,b,one\n", ":2: fold is 'one'"),
        (b"file,class,fold\na,b,-1\n", ":2: fold is '-1'"),
        (b"file,class,fold\na,b,1.0\n", ":2: fold is '1.0'"),
        (b'file,class,fold\na,"b,1\nc,d,2\n', ":2: wrong quotation marks"),
        (b'file,class,fold\na,b,1\nc,"d"e,2\n', ":3: wrong quotation marks"),
        (b"file,class,fold\na,b,1\n\xe9t\xe9,b,1\n", ":3: not text in UTF-8"),
        (b"file,class,fold\na\0,b,1\n", "not a text file"),
    ],
)
def test_a_faulty_table_is_named_with_its_line(tmp_path, content, words):
    """Each fault is one line with the table and, where it has one, its line."""
    with pytest.raises(InputError) as caught:
        read(tmp_path / "table.csv", content)
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "table.csv"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("9-0-0-0.wav,9,0,4,1,0,0,clicks", "fold is '0', must be a whole number of 1 or more"),
        ("9-0-0-0.wav,9,0,4,1,1,0,tone", "classID 0 is tone, but clicks above"),
        ("9-0-0-0.wav,9,0,4,1,1,9,clicks", "class clicks has the classID 9"),
        ("9-0-0-0.wav,9,0,4,1,1,9,a/b", "cannot be a label"),
        ("1-0-0-0.wav,1,0,4,1,2,0,clicks", "is listed on line 2 already"),
        ("9-0-0-0.wav,9,0,4", "4 values, but the header has 8"),
    ],
)
def test_a_faulty_row_of_urbansound8k_is_named(make_urbansound8k, tmp_path, row, words):
    """Rows that contradict others or the format are named with their line."""
    data = make_urbansound8k(tmp_path, recordings=1, clips=1)
    table = data / "metadata" / "UrbanSound8K.csv"
    text = table.read_text().rstrip()
    table.write_text(f"{text}\n{row}\n")
    with pytest.raises(InputError) as caught:
        load_dataset(data)
    assert str(caught.value).startswith(f"{table}:{len(text.splitlines()) + 1}: ")
    assert words in str(caught.value)
