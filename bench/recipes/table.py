"""Makes the results of recipes into a table.

    python table.py RESULTS [RESULTS ...]

A row for each data set and size: the mean number of errors, the mean loss and the mean seconds of a training, over the
draws and seeds that all recipes of the row have; a peer that was not run on a row has none. Below the table: each recipe
beside `before` and beside `head alone`, over the rows that both have.
"""

import json
import statistics
import sys
from collections import defaultdict

ORDER = ["head alone", "before", "fine_tune", "refit", "fastai", "keras"]


def rows(lines):
    """(set, size) to recipe to (part, seed) to line."""
    found = defaultdict(dict)
    for line in lines:
        name, size = line["part"].rsplit("-", 1)[0].split("/")
        found[name, size].setdefault(line["recipe"], {})[line["part"], line["seed"]] = line
    return found


def means(lines):
    return [statistics.mean(line[what] for line in lines) for what in ("errors", "loss", "seconds")]


def paired(one, other):
    """Mean difference of the losses and its standard error, training by training."""
    differences = [one[key]["loss"] - other[key]["loss"] for key in one.keys() & other.keys()]
    if not differences:
        return 0.0, float("nan")
    if len(differences) < 2:
        return statistics.mean(differences), float("nan")
    return statistics.mean(differences), statistics.stdev(differences) / len(differences) ** 0.5


def main():
    lines = []
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            lines += [json.loads(line) for line in file]
    table = rows(lines)
    recipes = [recipe for recipe in ORDER if any(recipe in row for row in table.values())]
    print("| photographs | tested | trainings | " + " | ".join(recipes) + " |")
    print("|---|---:|---:|" + "---:|" * len(recipes))
    sizes = {"10": 0, "30": 1, "100": 2, "whole": 3}
    for (name, size), row in sorted(table.items(), key=lambda item: (item[0][0], sizes[item[0][1]])):
        any_line = next(iter(next(iter(row.values())).values()))
        cells = []
        for recipe in recipes:
            if recipe not in row:
                cells.append("")
                continue
            errors, loss, seconds = means(row[recipe].values())
            cells.append(f"{errors:.1f}, {loss:.3f}, {seconds:.1f} s")
        label = f"{name}, {'all ' + str(any_line['photographs']) if size == 'whole' else size + ' a class'}"
        print(f"| {label} | {any_line['tested']} | {len(row.get('fine_tune', {}))} | " + " | ".join(cells) + " |")
    print()
    for other in recipes:
        if other == "fine_tune":
            continue
        shared = [row for row in table.values() if other in row and "fine_tune" in row]
        sums = [0.0, 0.0, 0.0, 0.0]
        for row in shared:
            keys = row["fine_tune"].keys() & row[other].keys()
            if not keys:
                continue
            ours, theirs = (means([row[recipe][key] for key in keys]) for recipe in ("fine_tune", other))
            sums[0] += ours[0]
            sums[1] += theirs[0]
            sums[2] += ours[2]
            sums[3] += theirs[2]
        print(
            f"fine_tune beside {other}, {len(shared)} rows: {sums[0]:.0f} and {sums[1]:.0f} errors "
            f"({sums[0] / sums[1]:.2f}), {sums[2]:.0f} and {sums[3]:.0f} seconds ({sums[2] / sums[3]:.2f})"
        )
    for key, row in sorted(table.items()):
        if "head alone" in row and "fine_tune" in row:
            mean, error = paired(row["fine_tune"], row["head alone"])
            if mean > 2 * error:
                print(f"worse than the head alone in {key}: loss {mean:+.4f} with a standard error of {error:.4f}")


if __name__ == "__main__":
    main()
