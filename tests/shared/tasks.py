"""Tasks that learn nothing, as modules that tests write into a clone."""

from __future__ import annotations

from collections.abc import Sequence

SPEC = '''"""A task of a test."""

from structgrad.experiments.base import Arm, Experiment, Metric

EXPERIMENT = Experiment(
    name={name!r},
    paper="berthet",
    table={name!r},
    title="A task",
    axis="n",
    settings={settings!r},
    arms=tuple(Arm(name, name) for name in {arms!r}),
    metrics=(Metric({metric!r}, {metric!r}, "mean", factor=1.0, digits={digits!r}, bounds=(-1e9, 1e9)),),
    package=str(__package__),
    level={level!r},
    scales={{
        "smoke": {{
            "comparable": True,
            "reason": "nothing is cut",
            "blocks": [{{"settings": list({settings!r}), "arms": {arms!r}, "replicas": 2}}],
        }},
    }},
)
'''
NO_DATA = """def digest(config, setting, seeds):
    return "0" * 64
"""


def spec(
    name: str,
    arms: Sequence[str],
    settings: Sequence[str] = ("n=1",),
    metric: str = "score",
    digits: int = 0,
    level: int = 2,
) -> str:
    """The declaration of an experiment of berthet's with two replicas of each arm at the smoke scale."""
    return SPEC.format(name=name, arms=list(arms), settings=tuple(settings), metric=metric, digits=digits, level=level)
