"""OpenTelemetry, loaded only when a collector is configured."""

from collections.abc import Callable, Iterable
from typing import Any, cast

from isthmus.kit.metrics import Counter, Histogram, every_metric


class Telemetry:
    """What tracing adds to servers and channels; nothing at all when it is off."""

    def __init__(self) -> None:
        self.server_interceptors: list[Any] = []
        self.client_interceptors: Callable[[], list[Any]] = list
        self._shutdowns: list[Callable[[], Any]] = []

    def shutdown(self) -> None:
        """Send what is buffered, waiting a few seconds at most."""
        for stop in self._shutdowns:
            stop()


def start(service: str, endpoint: str) -> Telemetry:
    """Send traces and metrics of this process to an OTLP collector.

    Args:
        service: Name the process reports as.
        endpoint: The collector's gRPC address; empty switches telemetry off at no cost.
    """
    telemetry = Telemetry()
    if endpoint:
        _start_sdk(telemetry, service, endpoint)
    return telemetry


def _start_sdk(telemetry: Telemetry, service: str, endpoint: str) -> None:
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.grpc import aio_client_interceptors, aio_server_interceptor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": f"isthmus-{service}", "service.namespace": "isthmus"})
    insecure = not endpoint.startswith("https://")
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=insecure)))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=endpoint, insecure=insecure))
    meters = MeterProvider(resource=resource, metric_readers=[reader])
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(meters)
    _bridge(meters.get_meter("isthmus"))
    make_server, make_client = cast("Any", aio_server_interceptor), cast("Any", aio_client_interceptors)
    telemetry.server_interceptors = [make_server(tracer_provider=tracers)]
    telemetry.client_interceptors = lambda: make_client(tracer_provider=tracers)
    telemetry._shutdowns = [tracers.shutdown, meters.shutdown]


def _bridge(meter: Any) -> None:
    """Let OpenTelemetry read the process's own counters and hear of its durations."""
    for metric in every_metric():
        if isinstance(metric, Counter):
            meter.create_observable_counter(metric.name, [_observer(metric)], description=metric.description)
        elif isinstance(metric, Histogram):
            metric.forward = meter.create_histogram(
                metric.name, unit="s", description=metric.description
            ).record


def _observer(source: Counter) -> Callable[[Any], Iterable[Any]]:
    def observe(_: Any) -> Iterable[Any]:
        from opentelemetry.metrics import Observation

        return [Observation(value, dict(labels)) for labels, value in list(source.series.items())]

    return observe


__all__ = ["Telemetry", "start"]
