"""Tests of the pages: what they contain, and the commands that they send."""

import re
from html.parser import HTMLParser

import pytest
import soundfile
from history_events import end_message, write_history

DAY = "/?day=2026-11-22"
VOID = {"meta", "link", "input", "img", "option"}
OWN = {"Origin": "http://localhost:8470"}


class Structure(HTMLParser):
    """Elements of a page, with the faults that a screen reader would meet."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID and self.open and self.open[-1] == tag:
            self.open.pop()

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def events_of(page):
    """Return the ids in the list of events, in their order."""
    return re.findall(r'events/([0-9a-f-]{36})"', page.text)


def test_a_day_shows_its_events(client, history):
    """The page of a day lists its events, the newest first, and counts them by label and hour."""
    page = client.get(DAY)
    assert events_of(page) == [message["event_id"] for message in history[:0:-1]]
    assert 'aria-label="00:00: 1, 07:00: 2, 23:00: 1"' in page.text
    assert re.search(r"siren</a></th>\s*<td class=\"number\">3</td>", page.text)
    assert "from 00:01 to 23:54" in page.text


def test_days_are_turned(client, history):
    """Each day leads to the day before and after; today has none after."""
    assert "day=2026-11-21" in client.get(DAY).text
    assert events_of(client.get("/?day=2026-11-21")) == [history[0]["event_id"]]
    assert 'rel="next"' not in client.get("/").text
    assert "No events on this day" in client.get("/?day=2026-01-01").text


def test_a_label_limits_the_list(client, history):
    """With a label, list and counts contain its events only."""
    page = client.get(f"{DAY}&label=dog_bark")
    assert events_of(page) == [history[3]["event_id"]]
    assert 'aria-label="07:00: 1"' in page.text


@pytest.mark.parametrize("query", ["day=soon", "day=0001-01-01", "day=2026-02-30", "page=x", "page="])
def test_a_query_that_is_none_is_not_found(client, query):
    """A day or page that does not exist gives 404, not a traceback."""
    assert client.get(f"/?{query}").status_code == 404


def test_a_long_day_has_pages(make_client, tmp_path, berlin_time):
    """Fifty events are on a page; each event is on exactly one."""
    messages = [end_message(1795302000.0 + 60 * index) for index in range(120)]
    write_history(tmp_path / "history.db", messages)
    client = make_client()
    pages = [events_of(client.get(f"{DAY}&page={number}")) for number in range(3)]
    assert [len(ids) for ids in pages] == [50, 50, 20]
    assert sum(pages, []) == [message["event_id"] for message in reversed(messages)]  # noqa: RUF017 - three lists
    assert events_of(client.get(f"{DAY}&page=99")) == pages[2]


def test_markup_in_a_label_is_text(make_client, tmp_path, berlin_time):
    """A label with markup is shown as text."""
    write_history(tmp_path / "history.db", [end_message(1795302000.0, "<script>x</script>")])
    assert "<script>x" not in make_client().get(DAY).text


def test_without_a_history_the_page_explains(make_client):
    """Without a history, the page gives the reason and the cure, with status 503."""
    page = make_client().get("/")
    assert page.status_code == 503
    assert "history.enabled" in page.text


def test_an_event_shows_scores_and_sound(client, clip, tmp_path):
    """The page of an event has its scores; its clip is sent whole, and the spectrogram is a picture of it."""
    page = client.get(f"/events/{clip}")
    assert "street music" in page.text
    assert "clip.flac" in page.text
    sound = tmp_path / "received.flac"
    sound.write_bytes(client.get(f"/events/{clip}/clip.flac").content)
    assert soundfile.info(sound).frames == 48_000
    picture = client.get(f"/events/{clip}/spectrogram.png").content
    assert picture.startswith(b"\x89PNG")


def test_an_event_without_a_clip_has_no_sound(client, history, feed):
    """Without a clip there is nothing to play, nothing to correct, and only the last event has a picture."""
    event_id = history[1]["event_id"]
    assert "clip.flac" not in client.get(f"/events/{event_id}").text
    assert client.get(f"/events/{event_id}/clip.flac").status_code == 404
    assert client.get(f"/events/{event_id}/spectrogram.png").status_code == 404
    feed.values |= {"event": {"event_id": event_id}, "spectrogram": b"\x89PNG of the broker"}
    assert client.get(f"/events/{event_id}/spectrogram.png").content == feed.picture()


def test_a_correction_is_sent(client, clip, feed, bearer):
    """A correction becomes the daemon's command; an impossible label is refused with the reason."""
    response = client.post(f"/events/{clip}/correct", data={"label": "car_horn"}, headers=bearer)
    assert response.headers["location"] == f"../{clip}?sent=1"
    assert feed.sent == [("correct", {"event_id": clip, "label": "car_horn"})]
    refused = client.post(f"/events/{clip}/correct", data={"label": "../etc"}, headers=bearer)
    assert refused.status_code == 400
    assert "must consist of letters" in refused.text
    assert len(feed.sent) == 1


def test_forms_are_for_users_with_the_token(client, clip, token):
    """The forms of a correction appear after login."""
    assert "/correct" not in client.get(f"/events/{clip}").text
    client.post("/login", data={"token": token}, headers=OWN)
    assert client.get(f"/events/{clip}").text.count("/correct") == 3


def test_a_threshold_is_set(client, feed, bearer):
    """A threshold or its default becomes the daemon's command; anything else is refused."""
    assert client.post("/thresholds", data={"slug": "siren", "value": "0.65"}, headers=bearer).status_code == 303
    assert client.post(
        "/thresholds", data={"slug": "siren", "value": "0.6", "default": "1"}, headers=bearer
    ).is_redirect
    assert feed.sent == [("threshold/siren", "0.65"), ("threshold/siren", "default")]
    for form in (
        {"slug": "siren", "value": "2"},
        {"slug": "cat", "value": "0.5"},
        {"slug": "siren/#", "value": "0"},
        {},
    ):
        assert client.post("/thresholds", data=form, headers=bearer).status_code == 400
    assert len(feed.sent) == 2


@pytest.mark.parametrize("language", ["en", "de"])
def test_pages_have_structure(client, clip, token, language):
    """Each page has one heading of the first rank, names for its fields and pictures, and no id twice."""
    client.post("/login", data={"token": token}, headers=OWN)
    for address in (DAY, "/", f"/events/{clip}", "/thresholds", "/teach", "/health", "/login", "/nothing"):
        structure = Structure(client.get(address, headers={"Accept-Language": language}).text)
        assert structure.all("html") == [{"lang": language}]
        assert len(structure.all("h1")) == len(structure.all("main")) == 1
        ids = [attributes["id"] for _, attributes in structure.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        named = {attributes["for"] for attributes in structure.all("label")}
        for field in structure.all("input"):
            assert field.get("type") == "hidden" or field["id"] in named
        for picture in structure.all("svg"):
            assert picture.get("aria-hidden") or picture["aria-label"]
        for _, attributes in structure.elements:
            assert "style" not in attributes  # the policy forbids it
            assert not any(name.startswith("on") for name in attributes)
            for value in (attributes.get("href"), attributes.get("src"), attributes.get("action")):
                assert value is None or value.startswith((".", "#")), value  # no outside resource, any prefix


def test_the_language_is_chosen(client):
    """The language follows the browser, then the user's choice, which lasts."""
    assert "Zeitleiste" in client.get(DAY, headers={"Accept-Language": "fr, de-AT;q=0.8, en;q=0.5"}).text
    assert "Timeline" in client.get(DAY, headers={"Accept-Language": "fr"}).text
    assert client.get("/?language=de").headers["location"] == "./"
    assert "Zeitleiste" in client.get(DAY, headers={"Accept-Language": "en"}).text
