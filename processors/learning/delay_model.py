"""A linear model of a delay: the probability that it is long, and its median, from one and the
same input.

Both parts are linear in sparse inputs. The probability gives each input a learning rate of its
own (AdaGrad), so that a rare destination still moves when it is seen; the median's gradient has
but two values, and plain steps do as well. Inputs have fixed scales: nothing has to be estimated
before the first prediction.
"""

from __future__ import annotations

from river import linear_model, optim

from processors.learning.adagrad import SparseAdaGrad

PROBABILITY_RATE = 0.04
MINUTES_RATE = 0.001
INTERCEPT_RATE = 0.01
MINUTES_SCALE = 10.0


class DelayModel:
    """Logistic regression of the label, and median regression of the minutes beyond an anchor.

    The anchor is what is known of the minutes beforehand (the delay at departure), so that only
    the rest is learnt.

    >>> model = DelayModel()
    >>> model.predict({"rain": 1.0}, anchor=30.0)
    (0.5, 30.0)
    >>> model.learn({"rain": 1.0}, late=True, minutes=50.0, anchor=30.0)
    >>> probability, minutes = model.predict({"rain": 1.0}, anchor=30.0)
    >>> probability > 0.5, minutes > 30.0
    (True, True)

    References
    ----------
    Duchi, Hazan, Singer: Adaptive subgradient methods for online learning and stochastic
    optimization. JMLR 12 (2011). Koenker, Bassett: Regression quantiles. Econometrica 46 (1978).
    """

    def __init__(self) -> None:
        self.probability = linear_model.LogisticRegression(
            SparseAdaGrad(PROBABILITY_RATE), intercept_lr=INTERCEPT_RATE
        )
        self.minutes = linear_model.LinearRegression(
            optim.SGD(MINUTES_RATE), loss=optim.losses.Quantile(0.5), intercept_lr=INTERCEPT_RATE
        )

    def predict(self, inputs: dict[str, float], anchor: float = 0.0) -> tuple[float, float]:
        """Probability of being late, and median minutes."""
        probability: float = self.probability.predict_proba_one(inputs)[True]
        minutes: float = self.minutes.predict_one(inputs)
        return probability, anchor + MINUTES_SCALE * minutes

    def learn(
        self, inputs: dict[str, float], *, late: bool, minutes: float, anchor: float = 0.0
    ) -> None:
        """Take one step towards what happened."""
        self.probability.learn_one(inputs, late)
        self.minutes.learn_one(inputs, (minutes - anchor) / MINUTES_SCALE)
