"""The metrics that the code has, as Prometheus sees them."""

import prometheus_client

from actors import metrics as inner_metrics
from web import metrics as outer_metrics

KINDS = (prometheus_client.Counter, prometheus_client.Gauge, prometheus_client.Histogram)


def families() -> dict[str, tuple[str, list[str]]]:
    """Return the kind and the labels of each metric, by its name; counters end in `_total`."""
    found = {}
    for each in [*vars(inner_metrics).values(), *vars(outer_metrics).values()]:
        if isinstance(each, KINDS):
            (family,) = each.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = (family.type, list(each._labelnames))
    return found
