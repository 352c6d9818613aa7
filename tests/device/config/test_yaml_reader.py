"""Tests of the YAML reader: libyaml and the parser in Python give the same."""

import pytest
import yaml

from device.config.loader import CHECKOUT_CONFIG
from device.config.yaml_reader import NotYamlError, parse_yaml

TEXTS = [
    CHECKOUT_CONFIG.read_text(),
    "",
    "# only a comment\n",
    "text",
    "a: ~\nb: '~'\nc: !!str ~\nd: ! off\ne:\nf: ''\ng: |\n  two\n  lines\n",
    "a: {b: [1, two, {c: 3}], d: }\na: again\n",
    "events:\n  audioset: {Doorbell: 0.5}\n  quiet_hours: [22:00-06:00]\n",
    "a: Grüße aus Köln 🔔\n",
]
FAULTS = [
    ("a: b: c", "mapping values are not allowed here"),
    ("\nmqtt: [1", "expected ',' or ']'"),
    ("\tnode_id: x", "found character"),
    ("a: 'x", "found unexpected end of stream"),
    ("a: &a {b: *a}", r"\*a is an alias"),
    ("a: !!float 1", "!!float is a tag"),
    ("[" * 3000, "too many nested sections"),
    ("a: 1\n--- \nb: 2", "but found another document"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_both_parsers_read_the_same(monkeypatch, text):
    """Values, lines and repeated keys are the same."""
    document = parse_yaml(text)
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    assert parse_yaml(text) == document


@pytest.mark.parametrize(("text", "fault"), FAULTS)
def test_both_parsers_report_the_same_fault(monkeypatch, text, fault):
    """Message and line of a fault do not depend on the installed parser."""
    with pytest.raises(NotYamlError, match=fault) as refused:
        parse_yaml(text)
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    with pytest.raises(NotYamlError) as refused_in_python:
        parse_yaml(text)
    assert (str(refused.value), refused.value.line) == (str(refused_in_python.value), refused_in_python.value.line)
