"""Where the pseudo-labels of a table's runs went: the figures and the indices that a suite asks for by name.

After Oh et al. 2022 (figures 1 and 2, the confusion and t-SNE of the supplement) and Wang et al. 2022 (section 3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from daso.ops.confusion import GROUPS, group_names
from daso.report import plots, plots_pseudo_labels, pseudo_labels
from daso.report.classes import ByClass, by_class, percents, tick_names
from daso.report.collect import Cell, Tree
from daso.report.curves import Curve, FloatArray, recall_by_rank
from daso.report.figure_groups import Panel, Plate, Scene, band, frequent, lines_of, matrices, methods_of, of_methods
from daso.report.plots import FEW, Line
from daso.report.pseudo_labels import FINAL, MODEL, TAKEN, Trace

EXTREMES = {  # by whether true classes are known
    True: ("over-predicted most", "under-predicted most"),
    False: ("guessed most often", "guessed least often"),
}
RANKED = {
    True: "Over- and under-predicted: the guesses of a class over its true images, or bare guesses where it has none.",
    False: "Guessed most and least often: the true classes have no part in it.",
}


class Findings(NamedTuple):
    """What a section says of pseudo-labels."""

    plates: list[Plate]
    indices: list[dict[str, str]]


def findings(stage: Scene, asked: Sequence[str]) -> Findings | None:
    """The figures that are asked for, in the order of ANALYSES, and the indices; None where no run has an analysis."""
    rows = list(_indices(stage)) if asked else []
    if not rows:
        return None
    found = [plate for name, draw in ANALYSES.items() if name in asked for plate in draw(stage) if plate.panels]
    return Findings(found, rows)


def _cells(stage: Scene) -> Iterator[tuple[int, int, Tree, Cell, list[Trace]]]:
    """Settings and methods that have something to analyse: their numbers, the method, the cell, its traces."""
    for i, setting in enumerate(stage.table["settings"]):
        for j, (method, cell) in enumerate(zip(stage.table["methods"], stage.row(setting), strict=True)):
            if found := pseudo_labels.traces(cell):
                yield i, j, method, cell, found


def _indices(stage: Scene) -> Iterator[dict[str, str]]:
    """The rows of a table, setting by setting: what the classes of the unlabeled images are, then what is guessed."""
    known = set[int]()
    for i, _, method, cell, found in _cells(stage):
        truth = pseudo_labels.true_classes(found)
        if truth and i not in known:
            known.add(i)
            yield {"setting": cell.setting, "method": "Unlabeled images", "n": "–", "kind": "true classes"} | truth
        kinds, of = pseudo_labels.kinds(found), found[0].tree["of"]
        for kind in kinds:
            row = pseudo_labels.indices(found, kind, of)
            names = {"setting": cell.setting, "method": str(method["title"]), "n": str(len(found))}
            yield names | {"kind": pseudo_labels.title(kind, kinds)} | row


def _motivation(stage: Scene) -> Iterator[Plate]:
    """Recall and precision of pseudo-labels and test accuracy, class by class (Oh et al. 2022, figure 1)."""
    drawn: list[Panel] = []
    used: list[Line] = []
    measures: dict[str, Callable[[Cell], Curve | None]] = {
        "pseudo-label recall, %": lambda cell: pseudo_labels.by_rank(pseudo_labels.traces(cell), FINAL, "recall"),
        "pseudo-label precision, %": lambda cell: pseudo_labels.by_rank(pseudo_labels.traces(cell), FINAL, "precision"),
        "test accuracy of the class, %": recall_by_rank,
    }
    for i, setting in enumerate(stage.table["settings"]):
        for j, (unit, choose) in enumerate(measures.items()):
            lines = lines_of(stage, {cell.method: choose(cell) for cell in stage.row(setting)})
            if lines:
                title, name = f"{unit.capitalize()} by class, {setting['name']}", stage.name("motivation", i, j)
                shown = of_methods(stage, setting, choose, unit)
                drawn.append(Panel(i, "", plots.by_rank(lines, shown, name, title, unit, plots.SMALL), shown))
                used += lines
    caption = (
        "Recall and precision of all pseudo-labels of the last window, above the threshold or not, and accuracy of the "
        f"final model on the test images of each class; mean over seeds. {band(used)}"
    )
    yield Plate("motivation", caption, drawn, methods_of(used), small=True)


def _histogram(stage: Scene) -> Iterator[Plate]:
    rows, drawn = list[Any](), []
    for i, j, method, cell, found in _cells(stage):
        shares, taken = (pseudo_labels.histograms(found, kind) for kind in (FINAL, TAKEN))
        if shares is not None:
            last = None if taken is None else taken[1][-1]
            rows.append((i, j, method, cell, shares, last, pseudo_labels.truth(found)))
    tops = [
        np.nanmax(part) for *_, shares, taken, truth in rows for part in (shares[1], taken, truth) if part is not None
    ]
    for i, j, method, cell, (steps, course), taken, truth in rows:
        title = f"Pseudo-labels of {method['title']} by class over training steps, {cell.setting}"
        parts = {"Pseudo-labels, %": course[-1], "Above the threshold, %": taken, "Unlabeled images, %": truth}
        columns = {head: [f"{share:.1f}" for share in part] for head, part in parts.items() if part is not None}
        shown = by_class(stage.classes(stage.table["settings"][i]), columns, "at the last point")
        name, top = stage.name("histogram", i, j), 1.05 * float(max(tops))
        drawing = plots_pseudo_labels.histogram(course, taken, truth, shown, name, title, top)
        drawn.append(Panel(i, f"{method['title']}, to step {steps[-1]:,}", drawing, shown))
    caption = (
        f"Distribution of the pseudo-labels over classes at up to {pseudo_labels.CURVES} points of training, the later "
        "the darker; dotted, of those above the threshold at the last point; outline, of the true classes of the "
        "unlabeled images where they are known. Mean over seeds."
    )
    legend = [(0, "all pseudo-labels"), (plots_pseudo_labels.DOTTED, "above the threshold, at the last point")]
    yield Plate("histogram", caption, drawn, small=True, legend=legend)


def _precision_recall(stage: Scene) -> Iterator[Plate]:
    slots: dict[str, int] = {}
    drawn = []
    for i, j, method, cell, found in _cells(stage):
        kinds = [kind for kind in pseudo_labels.kinds(found) if kind not in (TAKEN, MODEL)] or [MODEL]
        for measure in ("precision", "recall"):
            pairs = {kind: pseudo_labels.by_frequency(found, kind, measure) for kind in kinds}
            curves = {pseudo_labels.title(kind, kinds): pair for kind, pair in pairs.items() if pair}
            if curves:
                lines = [Line(slots.setdefault(kind, len(slots)), pair.curve) for kind, pair in curves.items()]
                title = f"{measure.capitalize()} of pseudo-labels of {method['title']} by frequency, {cell.setting}"
                name, shown = stage.name("frequency", i, j, measure), _frequencies(curves, measure)
                shares = list(curves.values())[-1].shares
                drawing = plots_pseudo_labels.by_frequency(lines, shares, shown, name, title, f"{measure}, %")
                drawn.append(Panel(i, str(method["title"]), drawing, shown))
    caption = (
        "Precision and recall of pseudo-labels of the last window; each kind of pseudo-label has its own order of "
        "classes, the most frequent first; bars, the share of each class in the last kind of the legend that a method "
        "has. Mean over seeds, place by place."
    )
    yield Plate("frequency", caption, drawn, small=True, legend=[(slot, kind) for kind, slot in slots.items()])


def _frequencies(curves: Mapping[str, pseudo_labels.ByFrequency], measure: str) -> ByClass:
    """Return the rows of a panel over places by frequency; kinds other than the last name their own classes."""
    *_, (last, (_, shares, classes)) = curves.items()
    values = {f"Share of {last}, %": percents(shares)}
    for kind, (curve, _, names) in curves.items():
        texts = percents(curve)
        own = texts if kind == last else [f"{name}: {text}" for name, text in zip(names, texts, strict=True)]
        values[f"{kind.capitalize()}, %"] = own
    rows = [[str(place), *row] for place, row in enumerate(zip(classes, *values.values(), strict=True), 1)]
    return ByClass(measure, ["Place", "Class", *values], rows, "place by frequency (names: table)", [])


def _confusion(stage: Scene) -> Iterator[Plate]:
    def shares(cell: Cell) -> FloatArray | None:
        return pseudo_labels.confusion(pseudo_labels.traces(cell))

    drawn = matrices(stage, "guesses", "Confusion of pseudo-labels of", shares)
    caption = (
        "Of the unlabeled images of each class (rows), the percentage with a pseudo-label of each class (columns): the "
        "final pseudo-labels of the last window, or the final network's predictions where a method has none. Mean over "
        f"seeds.{frequent(drawn)}"
    )
    yield Plate("guesses", caption, drawn, small=True)


def _similarity(stage: Scene) -> Iterator[Plate]:
    drawn, ways = [], set[bool]()
    for i, j, method, cell, found in _cells(stage):
        told = pseudo_labels.told(found)
        for end, word in zip(("most", "least"), EXTREMES[told], strict=True):
            cosines = pseudo_labels.likeness(found, end)
            if cosines is not None:
                title = f"Cosine similarity of the classes {word} by {method['title']}, {cell.setting}"
                shown = _likeness(found, end, cosines)
                drawing = plots_pseudo_labels.likeness(cosines, shown, stage.name("likeness", i, j, end), title)
                drawn.append(Panel(i, f"{method['title']}, {word}", drawing, shown))
                ways.add(told)
    caption = (
        "Cosines of the mean features of a class with those of its nearest classes, nearest first: a row for each of "
        f"the classes that a panel names, the most extreme on top. {' '.join(RANKED[told] for told in sorted(ways))} "
        "Features of the final network on all unlabeled images; mean over seeds, place by place."
    )
    yield Plate("likeness", caption, drawn, small=True)


def _likeness(found: Sequence[Trace], end: str, cosines: FloatArray) -> ByClass:
    """Return the rows of a panel of nearest classes; its axis has names where the classes are those of every seed."""
    classes, nearest = pseudo_labels.alike(found, end, cosines)
    rows = [[str(place), *row] for place, row in enumerate(zip(classes, nearest, strict=True), 1)]
    heads = ["Place", "Class", "Nearest classes, cosine"]
    if classes != found[0].named(found[0].tree["similarity"][end]["classes"]):
        return ByClass("", heads, rows, "place (names: table)", [])
    return ByClass("", heads, rows, "class", tick_names(classes))


def _tsne(stage: Scene) -> Iterator[Plate]:
    drawn, legend, told = [], dict[int, str](), True
    for i, j, method, cell, found in _cells(stage):
        trace = found[0]
        tree = trace.tree["tsne"]
        if tree is None:
            continue
        guesses, labels = np.array(tree["guesses"]), np.array(tree["labels"])
        told &= bool((labels >= 0).all())
        shown = np.where(labels < 0, guesses, labels)
        slots, names = _slots(trace, shown)
        legend |= names
        title = f"t-SNE of unlabeled features of {method['title']}, {cell.setting}"
        x, y = np.array(tree["x"]), np.array(tree["y"])
        drawing = plots_pseudo_labels.places(x, y, slots, (shown != guesses).tolist(), stage.name("tsne", i, j), title)
        drawn.append(Panel(i, str(method["title"]), drawing))
    colours = "true class; a ring where the final network's guess is wrong" if told else "true class, or guess"
    caption = (
        "t-SNE of features of the final network, of one draw of unlabeled images for all methods, first seed. Colours: "
        f"{colours}. Distances between groups mean nothing."
    )
    yield Plate("tsne", caption, drawn, small=True, legend=sorted(legend.items()))


def _slots(trace: Trace, classes: Any) -> tuple[list[int], dict[int, str]]:
    """Colours of images by their class, or by many, medium and few where there are many classes."""
    number = len(trace.order)
    if number <= FEW:
        return classes.tolist(), {k: f"{name}{plots_pseudo_labels.marked(k)}" for k, name in enumerate(trace.names)}
    rank, slots = np.argsort(np.array(trace.order)), np.array([GROUPS.index(name) for name in group_names(number)])
    return slots[rank[classes]].tolist(), dict(enumerate(GROUPS))


def _groups(stage: Scene) -> Iterator[Plate]:
    drawn: list[Panel] = []
    used: list[Line] = []
    unit = "pseudo-label recall, %"
    for i, setting in enumerate(stage.table["settings"]):
        for group in GROUPS:
            traced = {cell.method: pseudo_labels.traces(cell) for cell in stage.row(setting)}
            found = {method: pseudo_labels.group_course(traces, group) for method, traces in traced.items()}
            lines = lines_of(stage, found)
            if lines:
                title = f"Recall of pseudo-labels of {group} classes over training steps, {setting['name']}"
                name = stage.name("groups", i, group)
                drawn.append(Panel(i, group, plots.over_steps(lines, name, title, unit, whole=True, size=plots.SMALL)))
                used += lines
    caption = (
        "Recall of the final pseudo-labels, confident or not, of the many, medium and few classes: the most labeled 30 "
        f"%, the middle 40 % and the least labeled 30 %. Mean over classes, then over seeds. {band(used)}"
    )
    yield Plate("groups", caption, drawn, methods_of(used), small=True)


ANALYSES: Mapping[str, Callable[[Scene], Iterator[Plate]]] = {
    "motivation": _motivation,
    "histogram": _histogram,
    "groups": _groups,
    "precision_recall": _precision_recall,
    "confusion": _confusion,
    "similarity": _similarity,
    "tsne": _tsne,
}
