"""Writes reference.json: what scipy and scikit-learn say of intervals, temperatures, calibration errors and distances.

    python3 -m pip install scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
    python3 make_reference.py

The Rust tests (main.rs) need only the file.
"""

import json
from pathlib import Path

import numpy as np
import scipy
import sklearn
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import binomtest, combine_pvalues, expon
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

random = np.random.default_rng()


def wilson():
    cases = []
    for n in (1, 2, 5, 19, 20, 60, 100, 341, 999, 20000):
        for hits in sorted({0, 1, n // 2, n - 1, n}):
            interval = binomtest(hits, n).proportion_ci(confidence_level=0.95, method="wilson")
            cases.append({"hits": hits, "images": n, "low": interval.low, "high": interval.high})
    return cases


def both(logits):
    """One logit as those of two classes."""
    return np.concatenate([np.zeros_like(logits), logits], 1) if logits.shape[1] == 1 else logits


def drawn(n, units, temperature):
    """Logits in single precision, and labels of their probabilities at a temperature."""
    logits = np.round(random.normal(0, 3, (n, units)), 3).astype(np.float32).astype(np.float64)
    probabilities = softmax(both(logits) / temperature, 1)
    labels = [int(random.choice(len(p), p=p)) for p in probabilities]
    return logits, np.array(labels)


def temperatures():
    """The minimum of the summed cross-entropy plus (ln T)²/(2 · 0.25²), by scipy's bounded search."""
    cases = []
    for n, units, temperature in [(40, 1, 1.0), (60, 1, 3.0), (60, 3, 0.4), (30, 10, 2.0), (8, 1, 0.1)]:
        logits, labels = drawn(n, units, temperature)

        def loss(t):
            return -log_softmax(both(logits) / np.exp(t), 1)[np.arange(n), labels].sum()

        found = minimize_scalar(
            lambda t: loss(t) + (t / 0.25) ** 2 / 2, bounds=(-3, 3), method="bounded", options={"xatol": 1e-9}
        )
        cases.append(
            {
                "logits": logits.tolist(),
                "labels": labels.tolist(),
                "temperature": float(np.exp(found.x)),
                "before": loss(0.0) / n,
                "after": loss(found.x) / n,
            }
        )
    return cases


def calibration_errors():
    """ECE as in the code of Guo et al. (github.com/gpleiss/temperature_scaling): bins (low, high]."""
    cases = []
    for n, classes in [(1, 2), (50, 2), (200, 3), (100, 10)]:
        logits, labels = drawn(n, classes, 2.0)
        probabilities = softmax(logits, 1).astype(np.float32).astype(np.float64)
        confidence, hit = probabilities.max(1), probabilities.argmax(1) == labels
        borders = np.linspace(0, 1, 16)
        error = 0.0
        for low, high in zip(borders[:-1], borders[1:]):
            inside = (confidence > low) & (confidence <= high)
            if inside.any():
                error += abs(hit[inside].mean() - confidence[inside].mean()) * inside.mean()
        cases.append({"probabilities": probabilities.tolist(), "labels": labels.tolist(), "error": error})
    return cases


def out_of_fold():
    """scikit-learn's cross_val_predict with the same folds."""
    cases = []
    for n, features, classes in [(60, 4, 2), (90, 6, 3)]:
        labels = np.arange(n) % classes
        x = random.normal(0, 1, (n, features)) + 0.8 * (np.arange(features) % classes == labels[:, None])
        x = np.round(x, 3).astype(np.float32).astype(np.float64)
        folds = random.permutation(np.arange(n) % 3)
        l2 = 0.08
        logs = np.zeros((n, classes))
        for fold in range(3):
            seen = folds != fold
            model = LogisticRegression(C=1 / (l2 * seen.sum()), tol=1e-9, max_iter=10000)
            logs[~seen] = model.fit(x[seen], labels[seen]).predict_log_proba(x[~seen])
        # The same penalty for each fold of the same size: scikit-learn's own loop over folds.
        model = LogisticRegression(C=1 / (l2 * 2 * n / 3), tol=1e-9, max_iter=10000)
        own = cross_val_predict(
            model, x, labels, cv=LeaveOneGroupOut(), groups=folds, method="predict_log_proba"
        )
        assert np.allclose(logs, own, atol=1e-4), abs(logs - own).max()
        cases.append(
            {
                "x": x.tolist(),
                "labels": labels.tolist(),
                "folds": folds.tolist(),
                "l2": l2,
                "log_probabilities": own.tolist(),
            }
        )
    return cases


def nearest():
    """Squared distances from the nearest of some points, all scaled to length 1."""
    points, queries = (np.round(random.gamma(1.0, 1.0, (n, 6)), 3).astype(np.float32) for n in (40, 15))
    found = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(normalize(points.astype(np.float64)))
    distances = found.kneighbors(normalize(queries.astype(np.float64)))[0][:, 0]
    return {"points": points.tolist(), "queries": queries.tolist(), "squares": (distances**2).tolist()}


def squared_distances(points, queries):
    """From the nearest point, all scaled to length 1."""
    found = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(normalize(points.astype(np.float64)))
    return found.kneighbors(normalize(queries.astype(np.float64)))[0][:, 0] ** 2


def part(known, score, new):
    """The part of known scores that are at least as large, with an exponential tail behind the largest."""
    known = np.sort(known)
    assert new == 0 or np.abs(known - score).min() > 1e-6, "no score lies so near to another that rounding decides"
    upper = known[4 * len(known) // 5 :]
    tail = expon.sf(max(score - known[-1], 0), scale=(upper - upper[0]).mean())
    return (new + (known >= score).sum()) / (len(known) + new) * tail


def together(parts):
    """Half of Fisher's statistic."""
    return combine_pvalues(parts, method="fisher").statistic / 2


def unknown():
    """Which photographs are called unknown, and why, by logits, features, and what the last frozen unit gives."""
    def drawn_rows(n, width):
        return np.round(random.gamma(1.0, 1.0, (n, width)), 3).astype(np.float32)

    training, frozen_training = drawn_rows(30, 6), drawn_rows(30, 4)
    rows = []
    for n, mean, odd in [(60, 0.0, 1.0), (30, 0.0, 1.0), (10, -9.0, 1.0), (10, 0.0, 6.0)]:
        logits = np.round(random.normal(mean, 3, (n, 3)), 3).astype(np.float32)
        rows.append((logits, drawn_rows(n, 6) ** np.float32(odd), drawn_rows(n, 4) ** np.float32(odd)))

    def scores(logits, features, frozen):
        evidence = logsumexp(logits.astype(np.float64), axis=1)
        return np.stack(
            [-evidence, squared_distances(training, features), squared_distances(frozen_training, frozen)], 1
        )

    held_out, rate = scores(*rows[0]), 0.05
    parts = [[part(held_out[:, i], row[i], 0) for i in range(3)] for row in held_out]
    pairs = np.array([together(row[:2]) for row in parts])
    combined = sorted(min(part(pairs, pair, 0), 10 * row[2]) for pair, row in zip(pairs, parts))
    threshold = combined[int(rate * (len(combined) + 1)) - 1]
    queries = [np.concatenate(columns) for columns in zip(*rows[1:])]
    said = []
    for row in scores(*queries):
        own = [part(held_out[:, i], row[i], 1) for i in range(3)]
        both_parts = part(pairs, together(own[:2]), 1)
        least = min(both_parts, 10 * own[2])
        assert abs(least - threshold) > 1e-6
        if least > threshold:
            said.append(None)
        elif 10 * own[2] < both_parts:
            said.append(["far", own[2]])
        else:
            said.append(["little", own[0]] if own[0] < own[1] else ["far", own[1]])
    kept = {"training": training, "frozen_training": frozen_training}
    names = ["logits", "features", "frozen"]
    kept |= {f"held_out_{name}": rows for name, rows in zip(names, rows[0])}
    kept |= {name: rows for name, rows in zip(names, queries)}
    return {name: rows.tolist() for name, rows in kept.items()} | {"rate": rate, "unknown": said}


def reference():
    """All cases; the same each time."""
    global random
    random = np.random.default_rng(14)
    return {
        "written_by": f"scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, numpy {np.__version__}",
        "wilson": wilson(),
        "temperatures": temperatures(),
        "calibration_errors": calibration_errors(),
        "out_of_fold": out_of_fold(),
        "nearest": nearest(),
        "unknown": unknown(),
    }


if __name__ == "__main__":
    Path(__file__).with_name("reference.json").write_text(json.dumps(reference()) + "\n")
