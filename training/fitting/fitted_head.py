"""Fitted head: a linear layer with the hyperparameters that validation folds chose."""

import math
from dataclasses import dataclass, replace

from training.models.head import Head


@dataclass(frozen=True)
class FittedHead:
    """A head with its hyperparameters.

    Attributes:
        head: head with the bias of `unknown` included.
        temperature: temperature of the softmax.
        shrinkage: shrinkage chosen on validation folds.
        unknown_bias: bias added to the logit of `unknown`; 0 without negatives.
        live_odds: prior odds of `unknown` at which `HeadConfig.live_cost` is reached, at least 1; 1 without negatives.
        validation_accuracy: share of labelled validation clips with a correct decision, 0 to 1.
    """

    head: Head
    temperature: float
    shrinkage: float
    unknown_bias: float
    live_odds: float
    validation_accuracy: float

    def with_unknown_bias(self, bias: float) -> "FittedHead":
        """Return the head with a further bias of `unknown`, in units of the temperature."""
        return replace(
            self,
            head=self.head.with_unknown_bias(bias * self.temperature),
            unknown_bias=self.unknown_bias + bias * self.temperature,
            live_odds=max(self.live_odds * math.exp(-bias), 1.0),
        )
