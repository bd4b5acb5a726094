"""What is minimised when a prediction goes through an argmax: one loss or estimator per file."""

from structgrad.losses.blackbox import Blackbox
from structgrad.losses.direct import DirectEstimate, DirectLoss, DirectStep
from structgrad.losses.fenchel_young import FenchelYoung
from structgrad.losses.regret import normalised_regret, regret
from structgrad.losses.score_function import NVIL, NVILTerms, ScoreFunction
from structgrad.losses.spo import SPOPlus
from structgrad.losses.squared import SquaredError

__all__ = [
    "NVIL",
    "Blackbox",
    "DirectEstimate",
    "DirectLoss",
    "DirectStep",
    "FenchelYoung",
    "NVILTerms",
    "SPOPlus",
    "ScoreFunction",
    "SquaredError",
    "normalised_regret",
    "regret",
]
