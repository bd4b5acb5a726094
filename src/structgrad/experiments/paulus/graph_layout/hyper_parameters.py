"""The hyper-parameters of neural relational inference on graph layouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from structgrad.experiments.hyper_parameters import Box, Count, CountOrZero, HyperParameters, Positive

Searched = Literal["learning_rate", "temperature", "difference"]


@dataclass(frozen=True, kw_only=True)
class LayoutParameters(HyperParameters):
    """Of Table 1 (docs/protocols/paulus.md, 1).

    Attributes:
        estimator: of the gradient (:data:`structgrad.experiments.paulus.graph_layout.objective.ESTIMATORS`);
            ``reference`` learns nothing.
        edges: the distribution over edges (:data:`structgrad.experiments.paulus.graph_layout.edges.EDGES`).
        vertices: of a graph.
        train, validation, test: graphs.
        validation_graphs: how many of them each validation looks at.
        width: of every hidden layer.
        batch_size, steps, validate_every: of the optimiser, and between validations.
        search: the box of each hyper-parameter.
        searched: of these, what the arm has.
        rollout: whether training predicts single steps or rolls predictions out.
        rollout_steps: how far, by setting.
        forced_steps: steps of teacher forcing before predictions are rolled out.
        growing_steps: from then on, over which a rollout grows from one prediction to its full length; 0 for at once.
        gradient_norm: to which the gradient of a step is scaled down where it is larger; None for no bound.
        max_range: of tempered utilities; None for no bound.
        difference: the step of a finite difference in place of the exact derivative (paulus, appendix D).
        baseline, baseline_decay, samples: of the score function.
    """

    estimator: Literal["softmax", "reinforce", "nvil", "reference"]
    edges: Literal["indep_directed", "top_k", "spanning_tree"] | None = None
    vertices: Count
    train: Count
    validation: Count
    test: Count
    validation_graphs: Count
    width: Count
    batch_size: Count
    steps: Count
    validate_every: Count
    search: dict[Searched, Box]
    searched: tuple[Searched, ...]
    rollout: Literal["teacher_forced", "unrolled"]
    rollout_steps: dict[str, Count]
    forced_steps: CountOrZero = 0
    growing_steps: CountOrZero = 0
    gradient_norm: Positive | None = None
    max_range: Positive | None
    difference: Positive | None
    baseline: Literal["ema", "batch", "leave_one_out"] | None = None
    baseline_decay: Positive = 0.99
    samples: Count = 1
