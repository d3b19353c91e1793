"""Live figures of a running program (option `metrics`), counted from its own recording.

Contents: `service.py` (the thread), `recording_tail.py` and `module_times.py` (ranges),
    `serving_times.py` (steps and requests), `snapshot.py` and `shared_folder.py` (the processes of
    a run), `families.py` (the metrics as data), `prometheus.py` and `http_port.py`, `otlp.py`.
May import: what `agent` may; prometheus_client and opentelemetry, where the option asks for them.
    Nothing is imported while the option is off.
Start with: `service.py`. No call of the program does more work than recording.
"""
