# SPDX-License-Identifier: Apache-2.0
"""D4S that counts the residuals of its history once more at every call, as equation 5 read literally does."""

from dataclasses import replace

from kedit.editors.d4s import D4S


class CountsTwice(D4S):
    """The bad side of `mechanism.history-identity` and `mechanism.history-bound`: the change is no solution of the
    least squares over the history, and costs more than doing nothing."""

    def edit(self, model, facts, state=None):
        update, after = super().edit(model, facts, state)
        doubled = {
            layer: replace(one, residuals=2 * one.residuals, solution=2 * one.solution)
            for layer, one in after.history.items()
        }
        return update, replace(after, history=doubled)
