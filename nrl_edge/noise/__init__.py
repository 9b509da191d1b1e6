"""Is a stream of random bits as random as an agent needs it? Health tests, estimates of its entropy, and plots."""

from nrl_edge.noise.analysis import Check, NoiseReport, analyse, read_capture
from nrl_edge.noise.estimates import autocorrelation, markov_min_entropy, most_common_value_min_entropy
from nrl_edge.noise.health import Alarm, Cutoffs, HealthTests, cutoffs

__all__ = [
    "Alarm",
    "Check",
    "Cutoffs",
    "HealthTests",
    "NoiseReport",
    "analyse",
    "autocorrelation",
    "cutoffs",
    "markov_min_entropy",
    "most_common_value_min_entropy",
    "read_capture",
]
