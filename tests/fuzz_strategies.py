"""Hypothesis strategies of the fuzz tests: configs, values, damaged files."""

from hypothesis import strategies as st

from device.config.models import Config

DEFAULTS = Config().model_dump(mode="json")


def paths(section, parents=()):
    """Yield the path and the default of every key of a section."""
    for name, value in section.items():
        yield (*parents, name), value
        if isinstance(value, dict):
            yield from paths(value, (*parents, name))


KEYS = st.sampled_from([path for path, _ in paths(DEFAULTS)])
NAMES = st.sampled_from(sorted({path[-1] for path, _ in paths(DEFAULTS)})) | st.text(max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-2, 30)
    | st.floats()
    | st.text(max_size=12)
    | st.dates()
    | st.sampled_from(["auto", "localhost", "a..b", "models", "22:00-07:00", "/nowhere", "x" * 300])
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
SYNTAX = ": - ? { } [ ] , &a *a <<: | > # --- !!int !!timestamp !!binary !!bool !!set !!omap !!python/object:os %YAML"
PLAIN = """2024-13-45 0x 0b2 1e999 .nan .inf ~ 22:00 "\\ud800" "\\0" mqtt: gate: node_id: port: host: 1 " '"""
FRAGMENTS = (
    st.sampled_from(["\n", "\n  ", " ", "\t", "\0", "\u2028", "\ufeff", "é", "9" * 5000, "[" * 1500])
    | st.sampled_from([f"{token} " for token in SYNTAX.split()])
    | st.sampled_from(PLAIN.split())
    | st.text(max_size=3)
)
TEXTS = st.lists(FRAGMENTS, max_size=12).map("".join)


@st.composite
def damages(draw, content):
    """Draw a file's bytes with some replaced, deleted or inserted."""
    damaged = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, len(damaged)))
        damaged[position : position + draw(st.integers(0, 40))] = draw(st.binary(max_size=8))
    return bytes(damaged[: draw(st.none() | st.integers(0, len(damaged)))])
