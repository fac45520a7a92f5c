"""The spectral-coverage study: the frequencies of kernels at initialisation, and their division among blocks.

Kernels are drawn over seeds and sampled finer than their grid; of each, the energy by radial frequency gives the
centroid, the band of 5 to 95 % of the energy, the fraction of [0, Nyquist] that some band covers, and the overlap of
blocks.
"""

from ._measures import band, centroid, coverage, overlap
from ._power import RadialEnergy, radial_energy
from ._setting import Kernel, Schedule, Setting
from ._study import Study, study

__all__ = [
    # the study of one kernel class
    "Kernel",
    "Schedule",
    "Setting",
    "Study",
    "study",
    # spectra and their measures
    "RadialEnergy",
    "radial_energy",
    "band",
    "centroid",
    "coverage",
    "overlap",
]
