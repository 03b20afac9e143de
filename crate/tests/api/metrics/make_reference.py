"""Writes reference.json: what scikit-learn says of random and of odd cases.

    python3 -m pip install scikit-learn==1.9.1 numpy==2.4.6
    python3 make_reference.py

The Rust tests (main.rs) need only the file. A number that is not defined (NaN) is null in it.
tests/test_metrics_reference.py asks scikit-learn again for all that the file says.
"""

import json
import math
import re
import warnings
from pathlib import Path

import numpy as np
import sklearn
from sklearn import metrics
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight

random = np.random.default_rng(20)


def plain(value):
    """Lists and numbers as JSON knows them."""
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def classification(classes, actual, predicted, names=None):
    labels = list(range(classes))
    names = names or [f"class {i}" for i in labels]
    report = metrics.classification_report(
        actual, predicted, labels=labels, target_names=names, output_dict=True, zero_division=0
    )
    scores = metrics.precision_recall_fscore_support(actual, predicted, labels=labels, zero_division=0)
    keys = ("precision", "recall", "f1-score")
    text = metrics.classification_report(
        actual, predicted, labels=labels, target_names=names, zero_division=0
    )
    # Where nothing is right, scikit-learn shows counts as 3.0; elsewhere as 3.
    text = re.sub(r"(\d+)\.0$", r"  \1", text, flags=re.MULTILINE)
    return {
        "names": names,
        "actual": actual,
        "predicted": predicted,
        "matrix": metrics.confusion_matrix(actual, predicted, labels=labels),
        "precision": scores[0],
        "recall": scores[1],
        "f1": scores[2],
        "support": [int(n) for n in scores[3]],
        "accuracy": metrics.accuracy_score(actual, predicted),
        "macro": [report["macro avg"][key] for key in keys],
        "weighted": [report["weighted avg"][key] for key in keys],
        "text": text,
    }


def classifications():
    yield classification(2, [0], [0])
    yield classification(2, [0], [1])
    yield classification(3, [0, 0, 0], [1, 1, 2])
    yield classification(3, [2, 2, 2], [2, 2, 2])
    yield classification(4, [0, 1, 2, 3], [3, 2, 1, 0])
    # Halves of the last digit that is shown: 0.125, 0.375, 0.625, 0.875.
    for right in range(9):
        yield classification(2, [0] * 8 + [1] * 8, [0] * right + [1] * (8 - right) + [1] * 8)
    long = ["a cat", "Nova Scotia Duck Tolling Retriever", "ß–é"]
    yield classification(3, [0, 1, 2, 1, 2, 0], [0, 1, 1, 1, 2, 2], long)
    yield classification(2, [0, 1] * 700, [0, 1, 1, 1] * 350, ["cats", "dogs"])
    for _ in range(120):
        classes, n = int(random.integers(2, 7)), int(random.integers(1, 41))
        actual = random.choice(classes, n, p=random.dirichlet(np.ones(classes)))
        noise = random.choice(classes, n, p=random.dirichlet(np.ones(classes)))
        predicted = np.where(random.random(n) < random.random(), actual, noise)
        yield classification(classes, actual.tolist(), predicted.tolist())


def roc(actual, scores):
    scores = np.asarray(scores, dtype=np.float32)
    fpr, tpr, thresholds = metrics.roc_curve(actual, scores)
    one_class = len(set(actual)) < 2
    return {
        "actual": actual,
        "scores": scores,
        "fpr": fpr,
        "tpr": tpr,
        "thresholds": thresholds[1:],  # The first is infinity.
        "auc": math.nan if one_class else metrics.roc_auc_score(actual, scores),
    }


def rocs():
    yield roc([0, 1], [0.25, 0.75])
    yield roc([1, 0], [0.25, 0.75])
    yield roc([0, 1], [0.5, 0.5])
    yield roc([0, 0, 0], [0.25, 0.5, 0.75])
    yield roc([1, 1, 1], [0.25, 0.5, 0.5])
    yield roc([1], [0.5])
    yield roc([0, 0, 1, 1], [0.125, 0.5, 0.375, 0.75])
    yield roc([1, 0, 1, 0, 1, 0], [1, 1, 1, 0, 0, 0])
    yield roc([0, 1, 1, 0, 1], [-3.5, 12, 0, 0, -0.0])
    yield roc([0] * 20 + [1] * 20, np.arange(40) / 64)
    for _ in range(120):
        n, steps = int(random.integers(2, 41)), int(random.choice([2, 4, 16, 1024]))
        actual = (random.random(n) < random.choice([0.1, 0.5, 0.9])).astype(int)
        scores = np.clip(random.normal(0.35 + 0.3 * actual, random.choice([0.05, 0.2, 0.5])), 0, 1)
        yield roc(actual.tolist(), np.round(scores * steps) / steps)


def aucs():
    for _ in range(20):
        n = int(random.integers(2, 12))
        x, y = np.sort(np.round(random.random(n), 2)), np.round(random.random(n), 2)
        x = x[::-1] if random.random() < 0.5 else x
        yield {"x": x, "y": y, "auc": metrics.auc(x, y)}


def pca(x, components, keep_input=True):
    model = PCA(n_components=components, svd_solver="full").fit(x)
    case = {
        "shape": x.shape,
        "components": components,
        "variance": model.explained_variance_,
        "ratio": model.explained_variance_ratio_,
        "singular": model.singular_values_,
        "projected": model.transform(x)[:40],
        "axes": model.components_[:, :40],
    }
    return {"x": x, **case} if keep_input else case


def pcas():
    """Directions belong to distinct variances only, so the cases have these."""
    cases = 0
    while cases < 40:
        n, d = int(random.integers(2, 16)), int(random.integers(1, 13))
        scale = random.uniform(0.5, 8, d)
        x = np.round(random.normal(0, 1, (n, d)) * scale * 8) / 8 + random.integers(-20, 20)
        most = min(n - 1, d)
        components = int(random.integers(1, most + 1))
        variances = PCA().fit(x).explained_variance_
        distinct = -np.diff(variances[: most + 1]) > 0.02 * variances[0]
        if variances[most - 1] > 0.02 * variances[0] and distinct[:components].all():
            cases += 1
            yield pca(x, components)


def formula(n, d):
    """Numbers that the tests make for themselves."""
    i, j = np.arange(n)[:, None], np.arange(d)[None, :]
    noise = (i * 7919 + j * 10473 + i * j * 31 + i * i * 17) % 1009 / 1009
    numbers = 3 * np.sin(0.9 * i + 0.05 * j) + 2 * np.cos(0.31 * i) * (j % 7) / 7 + noise
    return numbers.astype(np.float32).astype(np.float64)


FORMULA_SHAPES = [(300, 160), (120, 400), (250, 250)]


def class_weights(labels, classes):
    """A class without images is none that scikit-learn knows of; it gets 1."""
    present = np.unique(labels)
    weights = np.ones(classes)
    weights[present] = compute_class_weight("balanced", classes=present, y=labels)
    return {"labels": labels, "classes": classes, "weights": weights}


def all_class_weights():
    random = np.random.default_rng(21)
    yield class_weights([0], 1)
    yield class_weights([0, 1, 1, 1], 2)
    for _ in range(20):
        classes = int(random.integers(2, 9))
        yield class_weights(random.choice(classes, int(random.integers(1, 60))).tolist(), classes)


def logistic_regression(x, labels, classes, l2, weights):
    """The penalty beside the mean loss is l2/2 |w|^2, so C, which multiplies the sum, is 1 / (l2 * sum)."""
    x, labels = np.asarray(x), np.asarray(labels)
    total = len(labels) if weights is None else float(np.asarray(weights)[labels].sum())
    by_class = None if weights is None else dict(enumerate(weights))
    model = LogisticRegression(C=1 / (l2 * total), class_weight=by_class, tol=1e-10, max_iter=100_000)
    model.fit(x, labels)
    case = {"x": x, "labels": labels, "classes": classes, "l2": l2, "weights": weights}
    return {**case, "kernel": model.coef_.T, "bias": model.intercept_, "scores": model.decision_function(x)}


def logistic_regressions():
    random = np.random.default_rng(22)
    for number in range(24):
        classes, d = int(random.integers(2, 6)), int(random.integers(1, 9))
        labels = np.concatenate([np.arange(classes), random.integers(0, classes, int(random.integers(10, 60)))])
        centres = random.normal(0, 1.5, (classes, d))
        x = np.round((centres[labels] + random.normal(0, 1, (len(labels), d))) * 64) / 64
        weights = random.integers(1, 9, classes) / 4.0 if number % 2 else None
        l2 = float(random.choice([0.02, 0.1, 0.5]))
        yield logistic_regression(x, labels, classes, l2, None if weights is None else weights.tolist())


def reference():
    return {
        "made_with": f"scikit-learn {sklearn.__version__}, numpy {np.__version__}",
        "classification": list(classifications()),
        "roc": list(rocs()),
        "auc": list(aucs()),
        "pca": list(pcas()),
        "pca_formula": [pca(formula(n, d), 3, keep_input=False) for n, d in FORMULA_SHAPES],
        "class_weights": list(all_class_weights()),
        "logistic_regression": list(logistic_regressions()),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # Undefined numbers are part of what is asked.
    text = json.dumps(plain(reference()), separators=(",", ":"), ensure_ascii=False)
    path = Path(__file__).with_name("reference.json")
    path.write_text(text.replace('{"', '\n{"') + "\n")
    print(path, path.stat().st_size, "bytes")
