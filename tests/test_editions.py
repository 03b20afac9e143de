"""The notebooks in other languages are the English ones with other texts, so that one headless run stands for both."""

import unittest
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
LANGUAGES = ["zh"]


def code_of(cell, depth=0):
    """The source of a code cell, as it is in a notebook that lies `depth` folders less deep."""
    return cell.source.replace('path = "' + "../" * depth + "../crate\"", 'path = "../crate"')


def differences(english, other):
    """What differs between two editions of a notebook besides their texts."""
    problems = []
    if [c.id for c in english.cells] != [c.id for c in other.cells]:
        problems.append("the cells have other ids, or stand in another order")
    kinds = [[c.cell_type for c in notebook.cells] for notebook in (english, other)]
    if kinds[0] != kinds[1]:
        counts = [{kind: of.count(kind) for kind in sorted(set(of))} for of in kinds]
        return problems + [f"the kinds of cells differ: {counts[0]} and {counts[1]}"]
    for number, (one, two) in enumerate(zip(english.cells, other.cells), start=1):
        if one.cell_type == "code":
            if code_of(one) != code_of(two, 1):
                problems.append(f"cell {number}, {one.id}, has other code")
            if one.metadata.get("tags") != two.metadata.get("tags"):
                problems.append(f"cell {number}, {one.id}, has other tags")
        elif one.source == two.source:
            problems.append(f"cell {number}, {one.id}, is not translated")
        elif one.source.count("<details>") != two.source.count("<details>"):
            problems.append(f"cell {number}, {one.id}, has another number of folded answers")
    return problems


class Editions(unittest.TestCase):
    def test_each_notebook_exists_in_each_language_with_the_same_code(self):
        names = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
        self.assertTrue(names)
        for language in LANGUAGES:
            self.assertEqual(names, sorted(path.name for path in (NOTEBOOKS / language).glob("*.ipynb")))
            for name in names:
                english = nbformat.read(NOTEBOOKS / name, as_version=4)
                other = nbformat.read(NOTEBOOKS / language / name, as_version=4)
                self.assertEqual(differences(english, other), [], f"{language}/{name}")

    def test_their_kernel_builds_in_the_same_folder(self):
        english = (NOTEBOOKS / "evcxr.toml").read_text(encoding="utf-8")
        for language in LANGUAGES:
            other = (NOTEBOOKS / language / "evcxr.toml").read_text(encoding="utf-8")
            self.assertEqual(other.replace('"../../target', '"../target'), english)

    def test_each_difference_is_found(self):
        def notebook(text, code, tags=()):
            cells = [nbformat.v4.new_markdown_cell(text, id="text"), nbformat.v4.new_code_cell(code, id="code")]
            cells[1].metadata["tags"] = list(tags)
            return nbformat.v4.new_notebook(cells=cells)

        english = notebook("Hello", 'x { path = "../crate" }')
        good = notebook("你好", 'x { path = "../../crate" }')
        self.assertEqual(differences(english, good), [])
        for other, expected in [
            (notebook("你好", 'y { path = "../../crate" }'), "other code"),
            (notebook("你好", 'x { path = "../../crate" }', ["heavy"]), "other tags"),
            (notebook("Hello", 'x { path = "../../crate" }'), "not translated"),
            (notebook("<details>你好</details>", 'x { path = "../../crate" }'), "folded"),
            (nbformat.v4.new_notebook(cells=good.cells[::-1]), "order"),
            (nbformat.v4.new_notebook(cells=good.cells[:1]), "kinds"),
        ]:
            self.assertTrue(any(expected in problem for problem in differences(english, other)), expected)


if __name__ == "__main__":
    unittest.main()
