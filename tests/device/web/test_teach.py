"""Tests of the page that teaches a label, and of the sound level of a day."""

from datetime import date

import numpy as np
import pytest

from device.config.models import LevelConfig
from device.level.minutes import MinuteLevel
from device.level.table import LEVELS_FILE, LevelTable
from device.web.level_view import view_levels

DAY = "/?day=2026-11-22"
OWN = {"Origin": "http://localhost:8470"}
NOON = 1795302000 + 12 * 3600
"""Noon of the day in Berlin, Unix seconds."""
TAUGHT = {"labels": ["doorbell"], "exclusions": ["siren"], "faults": [], "last_refusal": "it resembles a siren"}


def store(folder, *levels, calibration_db=None):
    """Store minutes from noon on, with these LAeq, dBFS(A)."""
    counts = np.zeros(300, np.int64)
    counts[100] = 480
    table = LevelTable(folder / LEVELS_FILE)
    first = NOON // 60
    table.store([MinuteLevel(first + n, 60.0, laeq, laeq + 5, counts, calibration_db, True) for n, laeq in levels])
    table.close()


def test_clips_can_be_chosen(client, clip, feed, bearer):
    """The page lists the clips with their time and label, what was taught, and why the last lesson was refused."""
    feed.values["health"] = {"taught": TAUGHT}
    page = client.get("/teach", headers=bearer)
    assert f'name="clip" value="{clip}">' in page.text
    assert "2026-11-22 07:30 dog bark" in page.text
    assert "The last lesson was refused: it resembles a siren" in page.text
    assert "Remove doorbell" in page.text


def test_chosen_clips_are_sent_as_a_lesson(client, clip, feed, bearer):
    """The form sends `command/teach` with each chosen clip; with `exclude`, what must not fire."""
    ids = [clip, clip[:-1] + ("0" if clip[-1] != "0" else "1")]
    sent = client.post("/teach", data={"label": " doorbell ", "clip": ids}, headers=bearer)
    assert (sent.status_code, sent.headers["location"]) == (303, "teach?sent=1")
    client.post("/teach", data={"label": "siren", "clip": ids, "exclude": "1"}, headers=bearer)
    client.post("/teach", data={"untaught": "doorbell"}, headers=bearer)
    assert feed.sent == [
        ("teach", {"label": "doorbell", "event_ids": ids, "exclude": False}),
        ("teach", {"label": "siren", "event_ids": ids, "exclude": True}),
        ("untaught", "doorbell"),
    ]


@pytest.mark.parametrize(
    "form", [{"label": "doorbell"}, {"label": "", "clip": "x"}, {"label": "a", "clip": "no-id"}, {}]
)
def test_a_lesson_without_clips_is_refused(client, feed, bearer, form):
    """A form without a label or clips is answered with 400, and nothing is sent."""
    assert client.post("/teach", data=form, headers=bearer).status_code == 400
    assert feed.sent == []


def test_teaching_needs_the_token(client, clip, feed):
    """Without the token, clips are listed, and nothing can be taught."""
    assert "Log in with the token to teach a label." in client.get("/teach").text
    assert client.post("/teach", data={"label": "a", "clip": clip}, headers=OWN).status_code == 401
    assert feed.sent == []


@pytest.mark.parametrize("taught", [[], "x", 7, None, {"labels": "x", "faults": [7]}])
def test_health_of_any_form_is_shown(client, feed, taught):
    """The health message comes over the network, so any field may be missing or of another form."""
    feed.values["health"] = {"taught": taught}
    assert client.get("/teach").status_code == 200


def test_a_day_shows_its_sound_level(client, tmp_path):
    """The curve has a point for five minutes, the energy mean of the minutes, and is interrupted where nothing is."""
    store(tmp_path, (0, -40.0), (1, -40.0), (5, -50.0), (20, -60.0))
    view = view_levels(tmp_path / LEVELS_FILE, date(2026, 11, 22), LevelConfig())
    assert (view.unit, view.low, view.high) == ("dBFS(A)", -60, -40)
    assert view.path == "M720 0.0h5L725 50.0h5M740 100.0h5"
    page = client.get(DAY)
    assert 'd="M720 0.0h5L725 50.0h5M740 100.0h5"' in page.text
    assert "LAeq over the day, from -60 to -40 dBFS(A)" in page.text


def test_a_calibrated_level_is_in_decibels(tmp_path, berlin_time):
    """With a calibration, the level is dB(A)."""
    store(tmp_path, (0, -40.0), calibration_db=100.0)
    view = view_levels(tmp_path / LEVELS_FILE, date(2026, 11, 22), LevelConfig())
    assert (view.unit, round(view.total.laeq), view.low, view.high) == ("dB(A)", 60, 60, 70)


def test_a_day_without_levels_has_no_section(client, tmp_path):
    """Without stored levels, and on a day without any, the page shows the events alone."""
    assert "Sound level" not in client.get(DAY).text
    store(tmp_path, (0, -40.0))
    assert "Sound level" not in client.get("/?day=2026-11-21").text
