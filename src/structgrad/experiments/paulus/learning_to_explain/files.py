"""The reviews of BeerAdvocate, which their owner had withdrawn: only who has a copy can add it."""

from __future__ import annotations

from dataclasses import replace

from structgrad.data.user_data import UserData
from structgrad.experiments.paulus.learning_to_explain.hyper_parameters import ExplainParameters
from structgrad.experiments.paulus.learning_to_explain.layouts import EXPECTED, check
from structgrad.experiments.paulus.learning_to_explain.reviews import ASPECTS

BEER = UserData(
    "beer",
    "the BeerAdvocate reviews were withdrawn by their owner, so that no address is given",
    EXPECTED,
    check,
)
USER_DATA = (BEER,)
OF_ASPECT = {
    aspect: replace(BEER, parts=(f"aspect{number}.", f"beer{number}.")) for number, aspect in enumerate(ASPECTS)
}


def needed(config: ExplainParameters, setting: str) -> tuple[UserData, ...]:
    """The reviews; none where they are synthetic."""
    return (OF_ASPECT[config.aspect],) if config.corpus == "beer" else ()
