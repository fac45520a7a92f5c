"""Conditioners, hypernetworks, Bayesian variants and spectral features for neural fields, on Equinox and NumPyro."""

from ._affine import AffineModulation, FiLM
from ._bayesian_affine import BayesianAffineModulation
from ._bayesian_concat import BayesianConcatConditioner
from ._bayesian_hyper_linear import BayesianHyperLinear
from ._bayesian_siren import BayesianSIREN
from ._concat import ConcatConditioner
from ._conditioned_inr import ConditionedINR
from ._conditioned_rff import ConditionedRFFNet
from ._conditioner import AbstractConditioner
from ._fourier import LaplaceFourierFeatures, MaternFourierFeatures, RBFFourierFeatures
from ._hyper_fourier import HyperFourierFeatures
from ._hyper_linear import HyperLinear
from ._hyper_siren import HyperSIREN
from ._kitchen_sinks import RandomKitchenSinks
from ._pyrox import PyroxModule, pyrox_method
from ._siren import SIREN, SirenDense

__all__ = [
    # NumPyro bridge
    "PyroxModule",
    "pyrox_method",
    # conditioners
    "AbstractConditioner",
    "ConcatConditioner",
    "AffineModulation",
    "FiLM",
    "HyperLinear",
    # the same with priors
    "BayesianConcatConditioner",
    "BayesianAffineModulation",
    "BayesianHyperLinear",
    # coordinate networks
    "SirenDense",
    "SIREN",
    "BayesianSIREN",
    # composites
    "ConditionedINR",
    "HyperSIREN",
    # spectral features
    "HyperFourierFeatures",
    "ConditionedRFFNet",
    "RBFFourierFeatures",
    "MaternFourierFeatures",
    "LaplaceFourierFeatures",
    "RandomKitchenSinks",
]
