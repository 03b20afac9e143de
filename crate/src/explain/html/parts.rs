//! Tables and lists as HTML.

use super::content::{HtmlReport, List, Worst};
use super::pictures;
use crate::explain::{ClassificationReport, ConfusionMatrix};
use crate::train::History;
use crate::Show;

/// Text for HTML, also inside of an attribute. Control characters are escaped as in other outputs.
pub(super) fn text(text: &str) -> String {
    let mut safe = String::new();
    for c in shown(text).chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            c => safe.push(c),
        }
    }
    safe
}

/// A name or path as other outputs print it.
pub(super) fn shown(text: &str) -> String {
    text.shown().to_string()
}

/// A number, with its full value in an attribute.
pub(super) fn number(name: &str, value: f64, digits: usize) -> String {
    match value.is_finite() {
        true => format!("<span data-name=\"{name}\" data-value=\"{value}\">{value:.digits$}</span>"),
        false => format!("<span data-name=\"{name}\">not defined</span>"),
    }
}

/// A fraction in percent, with its full value in an attribute.
pub(super) fn percent(name: &str, value: f64) -> String {
    match value.is_finite() {
        true => format!("<span data-name=\"{name}\" data-value=\"{value}\">{:.1} %</span>", 100.0 * value),
        false => format!("<span data-name=\"{name}\">not defined</span>"),
    }
}

pub(super) fn section(title: &str, content: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n{content}</section>\n", text(title))
}

/// The names of columns.
pub(super) fn head(names: &[&str]) -> String {
    names.iter().map(|name| format!("<th scope=\"col\">{}</th>", text(name))).collect()
}

/// A table that scrolls on its own where the screen is narrow.
pub(super) fn table(label: &str, head: &str, rows: &str) -> String {
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\">\n<table>\n<thead><tr>{head}</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n</div>\n",
        text(label)
    )
}

/// Classes from which on the matrix is set small, with names that stand upright.
const MANY: usize = 13;
/// Mistakes that are listed where the matrix is set small.
const MISTAKES: usize = 10;

pub(super) fn confusion(matrix: &ConfusionMatrix, listed: usize) -> String {
    let shares = matrix.normalized();
    let many = matrix.class_names.len() >= MANY;
    let mut head = "<th scope=\"col\">actual \\ predicted</th>".to_owned();
    matrix
        .class_names
        .iter()
        .for_each(|name| head += &format!("<th scope=\"col\"><span>{}</span></th>", text(name)));
    let mut rows = String::new();
    for (actual, name) in matrix.class_names.iter().enumerate() {
        rows += &format!("<tr><th scope=\"row\">{}</th>", text(name));
        for predicted in 0..matrix.class_names.len() {
            let (count, share) = (matrix.counts[(actual, predicted)], shares[(actual, predicted)]);
            let kind = if actual == predicted { "right" } else { "wrong" };
            let inner = match count {
                0 if many => String::new(),
                0 => "0".to_owned(),
                _ => photographs_behind(matrix, (actual, predicted)),
            };
            rows += &format!(
                "<td class=\"cell {kind}\" style=\"--share:{share:.3}\" data-name=\"count_{actual}_{predicted}\" \
                 data-value=\"{count}\">{inner}</td>"
            );
        }
        rows += "</tr>\n";
    }
    let all = match listed < matrix.total() {
        true => format!(" The page lists {listed} of {} photographs, the wrong ones first.", matrix.total()),
        false => String::new(),
    };
    let (empty, kind) =
        if many { (" A field without a number stands for 0.", " class=\"many\"") } else { ("", "") };
    section(
        "Confusion matrix",
        &format!(
            "<p>A row for each actual class, a column for each predicted one. Choose a number to see its photographs.\
             {empty}{all}</p>\n<div{kind}>{}</div>\n<div id=\"chosen\" aria-live=\"polite\"></div>\n{}",
            table("Confusion matrix", &head, &rows),
            if many { mistakes(matrix) } else { String::new() }
        ),
    )
}

/// The number of photographs of a class that were taken for another, which shows them when it is chosen.
fn photographs_behind(matrix: &ConfusionMatrix, (actual, predicted): (usize, usize)) -> String {
    let count = matrix.counts[(actual, predicted)];
    let [name, other] = [actual, predicted].map(|class| text(&matrix.class_names[class]));
    format!(
        "<button type=\"button\" data-actual=\"{actual}\" data-predicted=\"{predicted}\" \
         aria-label=\"{count} of {name} taken for {other}\">{count}</button>"
    )
}

/// The most frequent mistakes, which are hard to find in a large matrix.
fn mistakes(matrix: &ConfusionMatrix) -> String {
    let mut all: Vec<(usize, (usize, usize))> = matrix
        .counts
        .indexed_iter()
        .filter(|&((actual, predicted), &count)| actual != predicted && count > 0)
        .map(|(place, &count)| (count, place))
        .collect();
    all.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    if all.is_empty() {
        return String::new();
    }
    let head = head(&["actual class", "predicted class", "photographs"]);
    let mut rows = String::new();
    for (_, place) in all.into_iter().take(MISTAKES) {
        let [actual, predicted] = [place.0, place.1].map(|class| text(&matrix.class_names[class]));
        let photographs = photographs_behind(matrix, place);
        rows += &format!(
            "<tr><th scope=\"row\">{actual}</th><th scope=\"row\">{predicted}</th><td class=\"cell\">{photographs}</td></tr>\n"
        );
    }
    format!("<h3>Most frequent mistakes</h3>\n{}", table("Most frequent mistakes", &head, &rows))
}

pub(super) fn scores(report: &ClassificationReport) -> String {
    let head = head(&["class", "precision", "recall", "F1", "photographs"]);
    let mut rows = String::new();
    let mut row = |name: &str, key: &str, [precision, recall, f1]: [f64; 3], support: usize| {
        rows += &format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            text(name),
            number(&format!("precision_{key}"), precision, 3),
            number(&format!("recall_{key}"), recall, 3),
            number(&format!("f1_{key}"), f1, 3),
            number(&format!("support_{key}"), support as f64, 0)
        );
    };
    for (i, class) in report.classes.iter().enumerate() {
        row(&class.name, &i.to_string(), [class.precision, class.recall, class.f1_score], class.support);
    }
    for (name, key, average) in [
        ("mean of classes", "macro", report.macro_avg),
        ("mean by photographs", "weighted", report.weighted_avg),
    ] {
        row(name, key, [average.precision, average.recall, average.f1_score], report.support);
    }
    let about = "<p>Precision: of the photographs that were taken for this class, the fraction that is. Recall: of this \
                 class's photographs, the fraction that was found. F1: the harmonic mean of both.</p>\n";
    section("Classes", &format!("{about}{}", table("Precision and recall of each class", &head, &rows)))
}

pub(super) fn epochs(history: &History) -> String {
    let names =
        ["epoch", "loss", "accuracy", "validation loss", "validation accuracy", "seconds", "photographs/s"];
    let head = head(&names);
    let mut rows = String::new();
    for epoch in 0..history.epochs() {
        let cell = |name: &str, values: &[f64], digits| match values.get(epoch) {
            Some(&value) => format!("<td>{}</td>", number(&format!("{name}_{epoch}"), value, digits)),
            None => "<td></td>".to_owned(),
        };
        rows += &format!("<tr><th scope=\"row\">{}</th>", epoch + 1);
        rows += &cell("epoch_loss", &history.loss, 4);
        rows += &cell("epoch_accuracy", &history.accuracy, 4);
        rows += &cell("epoch_val_loss", &history.val_loss, 4);
        rows += &cell("epoch_val_accuracy", &history.val_accuracy, 4);
        rows += &cell("epoch_seconds", &history.seconds, 1);
        let noted = history.images_per_second.get(epoch).is_some_and(|&images| images > 0.0);
        let images = if noted { &history.images_per_second[..] } else { &[] };
        rows += &cell("epoch_images_per_second", images, 0);
        rows += "</tr>\n";
    }
    format!(
        "<details><summary>Numbers of each epoch</summary>\n{}</details>\n",
        table("Epochs", &head, &rows)
    )
}

pub(super) fn worst(worst: &[Worst], classes: &[String], of_labels: bool) -> String {
    if worst.is_empty() {
        return String::new();
    }
    let mut cards = String::new();
    for (i, Worst { photograph, class, pictures }) in worst.iter().enumerate() {
        let named = |all: &[usize]| match all {
            [] => "no label".to_owned(),
            all => text(&all.iter().map(|&class| &*classes[class]).collect::<Vec<_>>().join(", ")),
        };
        let class = text(&classes[*class]);
        cards += "<li class=\"card\">";
        if let Some([itself, heat]) = pictures {
            cards += &format!(
                "<div class=\"pair\"><img src=\"{}\" alt=\"{}\"><img src=\"{}\" alt=\"Heat map: what speaks for {}\"></div>",
                pictures::data_url(itself),
                text(&photograph.file),
                pictures::data_url(heat),
                class
            );
        }
        let sure = percent(&format!("worst_confidence_{i}"), f64::from(photograph.confidence));
        let (predicted, actual) = (named(&photograph.predicted), named(&photograph.actual));
        let said = match of_labels {
            true => format!("{predicted}, is <b>{actual}</b>; {class} {sure}"),
            false => format!("{predicted} {sure}, is <b>{actual}</b>"),
        };
        let loss = number(&format!("worst_loss_{i}"), photograph.loss, 2);
        cards +=
            &format!("<p class=\"file\">{}</p><p>{said}; loss {loss}</p></li>\n", text(&photograph.file));
    }
    let what = if of_labels { "the label whose probability is furthest off" } else { "the predicted class" };
    let heat = match worst.iter().any(|worst| worst.pictures.is_some()) {
        true => format!(" A heat map shows which places speak for {what} (Grad-CAM)."),
        false => String::new(),
    };
    section(
        "Largest losses",
        &format!(
            "<p>The photographs that the model got most wrong.{heat}</p>\n<ol class=\"cards\">\n{cards}</ol>\n"
        ),
    )
}

pub(super) fn list(list: &List) -> String {
    let about = format!("<p>{}</p>\n", text(&list.about));
    if list.rows.is_empty() {
        return section(&list.title, &format!("{about}<p>None were found.</p>\n"));
    }
    let head: String =
        list.columns.iter().map(|name| format!("<th scope=\"col\">{}</th>", text(name))).collect();
    let cells =
        |row: &Vec<String>| row.iter().map(|cell| format!("<td>{}</td>", text(cell))).collect::<String>();
    let rows: String = list.rows.iter().map(|row| format!("<tr>{}</tr>\n", cells(row))).collect();
    section(&list.title, &format!("{about}{}", table(&list.title, &head, &rows)))
}

pub(super) fn map(report: &HtmlReport) -> String {
    let points = report.photographs.iter().filter(|one| one.at.is_some()).count();
    if points < 3 {
        return String::new();
    }
    let [first, second] = report.variance;
    section(
        "Map of the photographs",
        &format!(
            "<p>Each point is one of {} photographs; those that look alike to the model lie together. Wrong ones have a \
             ring. The two directions hold {} and {} of the variance of the features.</p>\n\
             <div class=\"buttons\"><button type=\"button\" id=\"closer\">Zoom in</button>\
             <button type=\"button\" id=\"wider\">Zoom out</button><button type=\"button\" id=\"all\">Show all</button></div>\n\
             <p id=\"legend\"></p>\n<div class=\"map\"><svg id=\"map\" viewBox=\"0 0 1000 620\" role=\"img\" \
             aria-label=\"Map of the photographs\"></svg></div>\n<div id=\"point\" aria-live=\"polite\"></div>\n\
             <noscript><p>The map needs JavaScript.</p></noscript>\n",
            number("map_points", points as f64, 0),
            percent("variance_1", first),
            percent("variance_2", second)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_of_many_classes_leaves_zeros_out_and_lists_the_most_frequent_mistakes() {
        let names: Vec<String> = (0..MANY).map(|i| format!("class {i}")).collect();
        let (actual, predicted) = ([0, 1, 1, 2, 2, 2], [0, 3, 3, 2, 4, 1]);
        let matrix = crate::explain::confusion_matrix(&actual, &predicted, &names).unwrap();
        let html = confusion(&matrix, actual.len());
        assert!(html.contains("Most frequent mistakes") && html.contains("<div class=\"many\">"));
        // In the matrix and in the list, where the most frequent one is the first.
        assert_eq!(html.matches("data-actual=\"1\" data-predicted=\"3\"").count(), 2);
        let list = html.split("Most frequent mistakes</h3>").nth(1).unwrap();
        let places: Vec<usize> =
            ["data-actual=\"1\"", "data-actual=\"2\""].map(|n| list.find(n).unwrap()).into();
        assert!(places[0] < places[1] && !list.contains("data-actual=\"0\""));
        assert!(html.contains("data-name=\"count_5_5\" data-value=\"0\"></td>"));
        let few = crate::explain::confusion_matrix(&actual, &predicted, &names[..5]).unwrap();
        assert!(!confusion(&few, actual.len()).contains("many"));
    }

    #[test]
    fn names_cannot_leave_their_place() {
        assert_eq!(text("<b>&\"'\u{1b}"), "&lt;b&gt;&amp;&quot;&#39;\\u{1b}");
        assert_eq!(number("a", 0.5, 2), "<span data-name=\"a\" data-value=\"0.5\">0.50</span>");
        assert_eq!(percent("a", f64::NAN), "<span data-name=\"a\">not defined</span>");
    }
}
