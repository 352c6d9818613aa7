"""Tests of the reads' way from PortAudio to the pipe, without a microphone."""

import os
import subprocess

import pytest

from device.audio.capture_process import capture_command
from device.audio.capture_worker import READ_SECONDS
from device.audio.packet_writer import PacketWriter
from device.audio.packets import Packet, read_line, read_packet

LOST = 2
"""PortAudio's flag for lost input, in these tests."""


@pytest.fixture
def pipe():
    """Yield the reading end of a pipe, and the descriptor of the other one, which does not block."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with os.fdopen(reading, "rb") as file:
        yield file, writing
        os.close(writing)


def writer_of(pipe, *, is_begun=True):
    writer = PacketWriter(LOST, pipe[1])
    if is_begun:
        writer.begin({"name": "fake"})
        assert read_line(pipe[0]) == {"name": "fake"}
    return writer


def test_portaudio_s_overflow_flag_reaches_the_packet(pipe):
    """The flag, and a read that found no place in the queue, mark the next packet that is sent."""
    writer = writer_of(pipe, is_begun=False)
    for number in range(80):
        writer.add(b"%02d" % number, LOST if number == 1 else 0)
    writer.add(b"xx", 0)
    writer.begin({})
    assert read_line(pipe[0]) == {}
    packets = [read_packet(pipe[0]) for _ in range(80)]
    assert [packet.after_loss for packet in packets[:3]] == [False, True, False]
    assert packets[-1].samples == b"79"
    writer.add(b"yy", 0)
    assert read_packet(pipe[0]) == Packet(b"yy", after_loss=True)


def test_reads_are_sent_together_and_a_loss_begins_a_packet(pipe):
    """A packet has the reads that were asked for; a read after a loss is not joined to the ones before it."""
    writer = writer_of(pipe)
    writer.reads_per_packet = 2
    for samples, flags in ((b"ab", 0), (b"cd", 0), (b"ef", 0), (b"gh", LOST), (b"ij", 0)):
        writer.add(samples, flags)
    writer.reads_per_packet = 1
    writer.add(b"kl", 0)
    packets = [read_packet(pipe[0]) for _ in range(4)]
    assert packets == [Packet(b"abcd"), Packet(b"ef"), Packet(b"ghij", after_loss=True), Packet(b"kl")]


def test_a_full_pipe_delays_packets_and_breaks_none(pipe):
    """A reader that is slow receives every packet whole and in order; a report of the source waits as well."""
    writer = writer_of(pipe)
    reads = [bytes([number]) * 9999 for number in range(40)]  # six times what a pipe holds
    for samples in reads:
        writer.add(samples, 0)
    writer.report_source({"name": "x"})
    received = []
    while len(received) < len(reads) + 1:
        writer.add(b"later", 0)
        received.append(read_packet(pipe[0]))
    assert [packet.samples for packet in received] == [*reads, b""]
    assert received[-1].server_source == {"name": "x"}
    assert not any(packet.after_loss for packet in received)


def test_the_daemon_sets_the_reads_of_a_packet(plugged_in):
    """A byte on standard input makes the packets of the real program that many reads long."""
    with subprocess.Popen(capture_command("auto"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            header = read_line(process.stdout)
            read_bytes = round(READ_SECONDS * header["sample_rate"]) * 2 * header["channels"]
            for reads in (1, 2, 1):
                process.stdin.write(bytes([reads]))
                process.stdin.flush()
                assert any(len(read_packet(process.stdout).samples) == reads * read_bytes for _ in range(20))
        finally:
            process.kill()
