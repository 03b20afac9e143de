"""Writes reference.json: metrics and regressions of several labels a photograph, by scikit-learn.

    pip install scikit-learn
    python crate/tests/api/multi_label/make_reference.py
"""

import json
import pathlib

import numpy as np
import sklearn
from sklearn import metrics
from sklearn.linear_model import LogisticRegression


def report(rng, n, classes, ties, empty):
    targets = (rng.random((n, classes)) < 0.4).astype(int)
    if empty:
        targets[:, -1] = 0
    p = np.clip(0.35 * targets + 0.7 * rng.random((n, classes)), 0, 1)
    p = np.round(p, 1 if ties else 5).astype(np.float32)
    thresholds = np.round(0.2 + 0.6 * rng.random(classes), 3).astype(np.float32)
    given = (p > thresholds).astype(int)
    each = metrics.precision_recall_fscore_support(targets, given, zero_division=0)
    known = [i for i in range(classes) if targets[:, i].any()]
    average = [metrics.average_precision_score(targets[:, i], p[:, i]) if i in known else None for i in range(classes)]
    kinds = {
        kind: metrics.precision_recall_fscore_support(targets, given, average=kind, zero_division=0)[:3]
        for kind in ("micro", "macro")
    }
    return {
        "probabilities": [[float(v) for v in row] for row in p],
        "targets": targets.tolist(),
        "thresholds": [[float(t) for t in thresholds]],
        "precision": each[0].tolist(),
        "recall": each[1].tolist(),
        "f1": each[2].tolist(),
        "average_precision": average,
        "map": float(np.mean([average[i] for i in known])),
        "subset_accuracy": metrics.accuracy_score(targets, given),
        "hamming_loss": metrics.hamming_loss(targets, given),
        **{kind: [float(v) for v in values] for kind, values in kinds.items()},
    }


def regression(rng, n, c, classes, l2):
    x = np.round(rng.random((n, c)) * 3, 3).astype(np.float32)
    w = rng.normal(size=(c, classes))
    targets = (x @ w - np.median(x @ w, axis=0) + rng.normal(size=(n, classes)) > 0).astype(int)
    kernel, bias, losses, given = [], [], [], []
    for k in range(classes):
        model = LogisticRegression(C=1 / (l2 * n), tol=1e-10, max_iter=10000).fit(x.astype(float), targets[:, k])
        kernel.append(model.coef_[0])
        bias.append(model.intercept_[0])
        losses.append(metrics.log_loss(targets[:, k], model.predict_proba(x.astype(float))[:, 1]))
        given.append(model.predict(x.astype(float)))
    return {
        "classes": classes,
        "l2": l2,
        "x": [[float(v) for v in row] for row in x],
        "targets": targets.tolist(),
        "kernel": np.array(kernel).T.tolist(),
        "bias": np.array(bias).tolist(),
        "loss": float(np.mean(losses)),
        "accuracy": metrics.accuracy_score(targets, np.array(given).T),
    }


def main():
    rng = np.random.default_rng(5)
    reports = [
        report(rng, n, classes, ties, empty)
        for n, classes in ((6, 2), (20, 4))
        for ties in (False, True)
        for empty in (False, True)
    ]
    regressions = [regression(rng, n, c, classes, l2) for n, c, classes, l2 in ((40, 5, 3, 0.05), (30, 8, 2, 0.3))]
    text = json.dumps({"scikit-learn": sklearn.__version__, "reports": reports, "regressions": regressions})
    (pathlib.Path(__file__).parent / "reference.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
