"""Training architectures until a network is exact: in which order is a plan's, and it can be saved between any steps.

What happens depends on the task, the plan and the seed alone, never on time: a search that was interrupted and taken up
again ends in the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.synthesis.training.architectures import Network, sweep
from engine.synthesis.training.arm import Arm, Point, Row, Setting
from engine.synthesis.training.batched import Batch, Recipe, Trained, better_half
from engine.synthesis.training.judging import Judged, judge
from engine.synthesis.training.polishing import polish
from engine.synthesis.training.portfolio import Entry, Stage, better
from engine.synthesis.training.sampling import batches

ENOUGH = 0.01  # largest output error of a network that needs no more of it
CANDIDATES = 3  # networks judged at a time
PROMISING = 0.5  # share of its outputs right from which a network is worth polishing
POLISH, POLISHED_ON = 4, 4_096  # times a hundred steps of L-BFGS; sequences at most
AT_ONCE = 25  # steps between two looks at the clock

Outcomes = Mapping[Network, bool]
Plan = Callable[[Outcomes], Stage | None]  # the next stage, given which networks were tried and which were exact


def in_order(stages: Sequence[Stage]) -> Plan:
    """One stage after the other until one has an exact network."""

    def following(outcomes: Outcomes) -> Stage | None:
        if any(outcomes.values()):
            return None
        return next((s for s in stages if any(entry.network not in outcomes for entry in s.entries)), None)

    return following


def papers(recipe: Recipe) -> Plan:
    """The paper's search: one network at a time, upwards and then by bisection."""

    def following(outcomes: Outcomes) -> Stage | None:
        untried = sweep(outcomes).untried
        return None if untried is None else Stage((Entry(untried, recipe),), (recipe.steps,))

    return following


class Best(NamedTuple):
    """The network to keep, and how it was judged (None: not yet, as it is not exact)."""

    row: Row
    weights: dict[str, Tensor]
    judged: Judged | None


class Search:
    """Stages, one after the other. `advance` until `over`; then `best` is the network, if one is exact."""

    def __init__(self, setting: Setting, plan: Plan) -> None:
        self._setting, self._plan = setting, plan
        self._batches: dict[bool, Batch] = {}
        self.outcomes: dict[Network, bool] = {}
        self.past: list[tuple[Network, list[Point], list[Row]]] = []  # of the stages that are over
        self.best: Best | None = None  # exact; the last one found
        self.nearest: Best | None = None  # the best one that was not yet judged
        self.stage: Stage | None = None
        self.arms: list[Arm] = []
        self._milestone, self._turn = 0, 0
        self._finishing: int | None = None
        self._enter()

    @property
    def over(self) -> bool:
        return self.stage is None

    @property
    def steps(self) -> tuple[int, int]:
        """Steps done in all, and those planned with them as far as this stage goes."""
        done = sum(arm.training.done for arm in self.arms) + sum(points[-1].step for _, points, _ in self.past)
        if self._finishing is not None:
            arm = self.arms[self._finishing]
            return done, done + arm.training.steps - arm.training.done
        return done, done + sum(self._until(arm) - arm.training.done for arm in self.arms if arm.alive)

    @property
    def arm(self) -> Arm:
        """The architecture whose turn it is."""
        return self.arms[self._turn]

    def tried(self) -> list[tuple[Network, list[Point], list[Row]]]:
        """Every architecture so far that was looked at: its curve and its networks."""
        now = [(arm.entry.network, arm.curve, [row for _, row in sorted(arm.rows.items())]) for arm in self.arms]
        return [*self.past, *(one for one in now if one[1])]

    def advance(self, tick: Callable[[], None]) -> bool:
        """Some steps of the architecture whose turn it is. True if there is something new to show."""
        arm = self.arm
        for _ in range(AT_ONCE):
            trained = arm.training.step()
            tick()
            if trained is not None:
                arm.note(trained)
                self._look(arm, trained, tick)
                return True
        return False

    def _until(self, arm: Arm) -> int:
        assert self.stage is not None
        return min(self.stage.milestones[self._milestone], arm.training.steps)

    def _look(self, arm: Arm, trained: Trained, tick: Callable[[], None]) -> None:
        """After a report: is something exact, is it tidy enough, whose turn is next?"""
        closest = max(trained.kept, key=lambda one: (arm.rows[one].accuracy, -arm.rows[one].worst))
        if self.nearest is None or arm.rows[closest].accuracy > self.nearest.row.accuracy:
            self.nearest = self._taken(arm, trained, closest, None)
        right = [one for one in arm.rows if one in trained.kept and arm.rows[one].since]
        if self._finishing is None and right:
            for one in sorted(right, key=lambda one: arm.rows[one].worst)[:CANDIDATES]:
                judged = self._judged(trained, one, tick, give_up=True)
                if judged.exact:
                    self._finishing = self._turn
                    self.best = self._taken(arm, trained, one, judged)
                    arm.training.finish(self._setting.finish)
                    break
        if self._finishing is not None:
            affine = not (arm.entry.network.f or arm.entry.network.g)  # L-BFGS alone then does it
            tidy = min((arm.rows[one].worst for one in right), default=np.inf) < ENOUGH
            if tidy or affine or not self._setting.finish or arm.training.done >= arm.training.steps:
                self._conclude(arm, trained, tick)
            return
        if arm.training.done >= self._until(arm):
            assert self.stage is not None
            if self.stage.thin and self._milestone + 1 < len(self.stage.milestones) and len(trained.kept) > 3:
                arm.training.keep(better_half(trained))
            self._pass_on(trained, closest, tick)

    def _judged(self, trained: Trained, one: int, tick: Callable[[], None], *, give_up: bool) -> Judged:
        place = trained.kept.index(one)
        weights = {name: w[place].cpu() for name, w in trained.weights.items()}
        return judge(weights, self._setting.task, self._setting.seed, give_up=give_up, tick=tick)

    def _conclude(self, arm: Arm, trained: Trained, tick: Callable[[], None]) -> None:
        """Judge what seems right, keep the tidiest exact network, and go on to the next stage."""
        found: list[tuple[float, int, Judged]] = []
        for one, row in arm.rows.items():
            if one in trained.kept and row.since:
                judged = self._judged(trained, one, tick, give_up=False)
                arm.rows[one] = row._replace(exact=judged.exact, worst=judged.worst)
                if judged.exact:
                    found.append((judged.worst, one, judged))
        if found:  # else the network stays that was exact before
            self.best = self._taken(arm, trained, *min(found)[1:])
        if self.best is not None and self.best.row.worst >= ENOUGH:
            self.best = self._polished(arm, self.best, tick) or self.best
        self._leave(exact=(arm.entry.network,))

    def _polished(self, arm: Arm, best: Best, tick: Callable[[], None]) -> Best | None:
        """That network trained on by L-BFGS, if it is then exact and tidier."""
        recipe = arm.entry.recipe
        if not self._setting.finish or recipe.l1 or recipe.state_noise:
            return None
        x, wanted = self._data(recipe)(torch.Generator().manual_seed(self._setting.seed))
        weights = best.weights
        for _ in range(POLISH):
            weights = polish(weights, x[:POLISHED_ON], wanted[:POLISHED_ON], 100)
            tick()
        judged = judge(weights, self._setting.task, self._setting.seed, give_up=True, tick=tick)
        if not judged.exact or judged.worst >= best.row.worst:
            return None
        return Best(best.row._replace(exact=True, worst=judged.worst), weights, judged)

    @staticmethod
    def _taken(arm: Arm, trained: Trained, one: int, judged: Judged | None) -> Best:
        place = trained.kept.index(one)
        weights = {name: w[place].cpu().clone() for name, w in trained.weights.items()}
        row = arm.rows[one]
        return Best(row if judged is None else row._replace(exact=judged.exact, worst=judged.worst), weights, judged)

    def _pass_on(self, trained: Trained, closest: int, tick: Callable[[], None]) -> None:
        """The next architecture of this round; or the next round, with the better half of them; or the next stage.

        Before a stage is left, L-BFGS gets a try at the network that is `closest` to exact.
        """
        assert self.stage is not None
        later = [k for k in range(self._turn + 1, len(self.arms)) if self.arms[k].alive]
        if later:
            self._turn = later[0]
            return
        living = [k for k, arm in enumerate(self.arms) if arm.alive]
        if self.stage.thin:
            kept = better([self.arms[k].score for k in living])
            for place, k in enumerate(living):
                self.arms[k].alive = place in kept
        if self._milestone + 1 == len(self.stage.milestones):
            arm = self.arms[self._turn]
            row = arm.rows[closest]
            if row.accuracy > PROMISING:
                self.best = self._polished(arm, self._taken(arm, trained, closest, None), tick) or self.best
            self._leave(exact=(arm.entry.network,) if self.best is not None and self.best.row[:2] == row[:2] else ())
            return
        self._milestone += 1
        self._turn = next(k for k, arm in enumerate(self.arms) if arm.alive)

    def _leave(self, exact: Sequence[Network]) -> None:
        assert self.stage is not None
        self.outcomes |= {entry.network: entry.network in exact for entry in self.stage.entries}
        self.past = self.tried()
        self._enter()

    def _enter(self) -> None:
        self.stage = self._plan(self.outcomes)
        self._milestone, self._turn = 0, 0
        self._finishing = None
        first = len(self.outcomes)
        entries = self.stage.entries if self.stage is not None else ()
        self.arms = [
            Arm(self._setting, entry, first + number, self._data(entry.recipe)) for number, entry in enumerate(entries)
        ]

    def _data(self, recipe: Recipe) -> Batch:
        task, seed = self._setting.task, self._setting.seed
        if recipe.prefixes not in self._batches:
            self._batches[recipe.prefixes] = batches(task, self._setting.batch, seed, whole=recipe.prefixes)
        return self._batches[recipe.prefixes]

    def state(self) -> dict[str, Any]:
        """Everything as plain values and numpy arrays."""
        return {
            "outcomes": [[list(network), exact] for network, exact in self.outcomes.items()],
            "past": [
                [list(network), [list(p) for p in points], [list(row[1:]) for row in rows]]
                for network, points, rows in self.past
            ],
            "arms": [arm.state() for arm in self.arms],
            "place": [self._milestone, self._turn, self._finishing],
            "best": _plain(self.best),
            "nearest": _plain(self.nearest),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.outcomes = {_network(network): exact for network, exact in state["outcomes"]}
        self.past = [
            (_network(network), [Point(*p) for p in points], [Row(_network(network), *row) for row in rows])
            for network, points, rows in state["past"]
        ]
        self._enter()
        for arm, saved in zip(self.arms, state["arms"], strict=True):
            arm.restore(saved)
        self._milestone, self._turn, self._finishing = state["place"]
        self.best, self.nearest = _best(state["best"]), _best(state["nearest"])


def _plain(best: Best | None) -> list[Any] | None:
    if best is None:
        return None
    weights = {name: w.numpy() for name, w in best.weights.items()}
    return [list(best.row[0]), list(best.row[1:]), weights, None if best.judged is None else list(best.judged)]


def _best(saved: Sequence[Any] | None) -> Best | None:
    if saved is None:
        return None
    network, row, weights, judged = saved
    tensors = {name: torch.tensor(np.array(w)) for name, w in weights.items()}
    return Best(Row(_network(network), *row), tensors, None if judged is None else Judged(*judged))


def _network(saved: Sequence[Any]) -> Network:
    hidden, f, g = saved
    return Network(hidden, tuple(f), tuple(g))
