"""Health message: counters, diagnoses and versions of all parts, as one retained message."""

from dataclasses import asdict

from device.history.writer import HistoryWriter
from device.monitoring.health import Health
from device.monitoring.liveness import Liveness
from device.monitoring.load_shedding import LoadShedding
from device.monitoring.system_metrics import memory_mb, temperature_celsius, throttling, versions
from device.mqtt.messages import SCHEMA, encode
from device.mqtt.publisher import Publisher
from device.service.remote_teaching import RemoteTeaching
from device.service.runtime import RunSettings
from device.util.supervised_thread import THREADS


def publish_health(
    health: Health,
    liveness: Liveness,
    load_shedding: LoadShedding,
    publisher: Publisher,
    history: HistoryWriter | None,
    teaching: RemoteTeaching,
    settings: RunSettings,
) -> None:
    """Publish what all parts of the daemon report, and send again what the broker has refused.

    Without its near misses, the message fits a broker that limits packets.
    """
    status, throttled = publisher.status(), throttling()
    ago = status.acknowledged_seconds_ago
    message = {
        "schema": SCHEMA,
        "node_id": settings.config.node,
        **health.report(),
        "lost_audio_ms": round(liveness.lost_seconds * 1000),
        "outbox": {**asdict(status.outbox), "acknowledged_seconds_ago": ago and round(ago, 1)},
        "history": history and asdict(history.status()),
        "taught": teaching.report(),
        "broker": {"connections": status.connections, "last_fault": status.last_fault, "faults": list(status.faults)},
        "commands_dropped": status.commands_dropped,
        "threads": {"failures": THREADS.failures, "missing": THREADS.missing()},
        "stretch": {"factor": round(load_shedding.stretch.factor, 2), "reason": load_shedding.stretch.reason},
        "temperature_celsius": temperature_celsius(),
        "throttling": throttled and asdict(throttled),
        "memory_mb": memory_mb(),
        "versions": {**versions(), "bundle": str(settings.bundle)},
    }
    publisher.retry_refused()
    publisher.publish_state("health", encode(message), encode(message | {"near_misses": []}))
