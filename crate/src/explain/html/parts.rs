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

/// A table that scrolls on its own where the screen is narrow.
fn table(label: &str, head: &str, rows: &str) -> String {
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\">\n<table>\n<thead><tr>{head}</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n</div>\n",
        text(label)
    )
}

pub(super) fn confusion(matrix: &ConfusionMatrix, listed: usize) -> String {
    let shares = matrix.normalized();
    let mut head = "<th scope=\"col\">actual \\ predicted</th>".to_owned();
    matrix.class_names.iter().for_each(|name| head += &format!("<th scope=\"col\">{}</th>", text(name)));
    let mut rows = String::new();
    for (actual, name) in matrix.class_names.iter().enumerate() {
        rows += &format!("<tr><th scope=\"row\">{}</th>", text(name));
        for (predicted, other) in matrix.class_names.iter().enumerate() {
            let (count, share) = (matrix.counts[(actual, predicted)], shares[(actual, predicted)]);
            let kind = if actual == predicted { "right" } else { "wrong" };
            let inner = match count {
                0 => "0".to_owned(),
                _ => format!(
                    "<button type=\"button\" data-actual=\"{actual}\" data-predicted=\"{predicted}\" \
                     aria-label=\"{count} of {} taken for {}\">{count}</button>",
                    text(name),
                    text(other)
                ),
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
    section(
        "Confusion matrix",
        &format!(
            "<p>A row for each actual class, a column for each predicted one. Choose a number to see its photographs.{all}\
             </p>\n{}<div id=\"chosen\" aria-live=\"polite\"></div>\n",
            table("Confusion matrix", &head, &rows)
        ),
    )
}

pub(super) fn scores(report: &ClassificationReport) -> String {
    let head: String = ["class", "precision", "recall", "F1", "photographs"]
        .map(|name| format!("<th scope=\"col\">{name}</th>"))
        .concat();
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
    let head: String = ["epoch", "loss", "accuracy", "validation loss", "validation accuracy", "seconds"]
        .map(|name| format!("<th scope=\"col\">{name}</th>"))
        .concat();
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
        rows += "</tr>\n";
    }
    format!(
        "<details><summary>Numbers of each epoch</summary>\n{}</details>\n",
        table("Epochs", &head, &rows)
    )
}

pub(super) fn worst(worst: &[Worst], classes: &[String]) -> String {
    if worst.is_empty() {
        return String::new();
    }
    let mut cards = String::new();
    for (i, Worst { photograph, pictures }) in worst.iter().enumerate() {
        let (actual, predicted) = (&classes[photograph.actual], &classes[photograph.predicted]);
        cards += "<li class=\"card\">";
        if let Some([itself, heat]) = pictures {
            cards += &format!(
                "<div class=\"pair\"><img src=\"{}\" alt=\"{}\"><img src=\"{}\" alt=\"Heat map: what speaks for {}\"></div>",
                pictures::data_url(itself),
                text(&photograph.file),
                pictures::data_url(heat),
                text(predicted)
            );
        }
        cards += &format!(
            "<p class=\"file\">{}</p><p>{} {}, is <b>{}</b>; loss {}</p></li>\n",
            text(&photograph.file),
            text(predicted),
            percent(&format!("worst_confidence_{i}"), f64::from(photograph.confidence)),
            text(actual),
            number(&format!("worst_loss_{i}"), photograph.loss, 2)
        );
    }
    let heat = match worst.iter().any(|worst| worst.pictures.is_some()) {
        true => " A heat map shows which places speak for the predicted class (Grad-CAM).",
        false => "",
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
    fn names_cannot_leave_their_place() {
        assert_eq!(text("<b>&\"'\u{1b}"), "&lt;b&gt;&amp;&quot;&#39;\\u{1b}");
        assert_eq!(number("a", 0.5, 2), "<span data-name=\"a\" data-value=\"0.5\">0.50</span>");
        assert_eq!(percent("a", f64::NAN), "<span data-name=\"a\">not defined</span>");
    }
}
