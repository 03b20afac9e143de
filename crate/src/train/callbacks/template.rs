//! Paths with numbers in them, as in `weights/{epoch:02d}-{val_loss:.2f}.safetensors`: the part of Python's
//! format strings that Keras' `ModelCheckpoint` is used with.

use crate::train::callbacks::History;

/// A path with fields.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    /// The number of the epoch from 1: filled with zeros or blanks to a width.
    Epoch {
        zeros: bool,
        width: usize,
    },
    /// A column of the history, with so many digits behind the point.
    Column {
        name: Column,
        digits: Option<usize>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Column {
    Loss,
    Accuracy,
    ValLoss,
    ValAccuracy,
}

impl Template {
    /// Takes a path apart; `Err` says what is wrong with it.
    pub fn parse(template: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some((brace, after)) = ["{{", "}}"].iter().find_map(|b| Some((b, rest.strip_prefix(b)?))) {
                text.push_str(&brace[..1]);
                rest = after;
                continue;
            }
            let Some((field, after)) = rest.strip_prefix('{').and_then(|inside| inside.split_once('}'))
            else {
                return Err(format!("a brace without its other half in {template:?}"));
            };
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(Part::parse(field)?);
            rest = after;
        }
        text.push_str(rest);
        parts.push(Part::Text(text));
        Ok(Template(parts))
    }

    /// The path for the last epoch of a history.
    pub fn expand(&self, history: &History) -> String {
        self.0.iter().map(|part| part.expand(history)).collect()
    }

    /// Whether it has a number that only a run with validation data has.
    pub fn needs_validation(&self) -> bool {
        let validation =
            |part: &Part| matches!(part, Part::Column { name: Column::ValLoss | Column::ValAccuracy, .. });
        self.0.iter().any(validation)
    }

    /// Whether the path follows from the number of the epoch alone.
    pub fn is_by_epoch(&self) -> bool {
        !self.0.iter().any(|part| matches!(part, Part::Column { .. }))
    }
}

impl Part {
    /// One field, such as `epoch:02d`.
    fn parse(field: &str) -> Result<Self, String> {
        let (name, how) = field.split_once(':').unwrap_or((field, ""));
        let unknown = || {
            format!(
                "{{{field}}}, which is none of {{epoch}}, {{epoch:02d}}, and {{loss}}, {{accuracy}}, {{val_loss}}, \
                 {{val_accuracy}} with or without digits as in {{loss:.3f}}"
            )
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // Beyond that a name is longer than any file system takes.
        let number = |text: &str| text.parse().ok().filter(|&n: &usize| digits(text) && n <= 40);
        if name == "epoch" {
            if how.is_empty() {
                return Ok(Part::Epoch { zeros: false, width: 0 });
            }
            let width = how.strip_suffix('d').ok_or_else(unknown)?;
            let width = if width.is_empty() { 0 } else { number(width).ok_or_else(unknown)? };
            return Ok(Part::Epoch { zeros: how.starts_with('0'), width });
        }
        let name = match name {
            "loss" => Column::Loss,
            "accuracy" => Column::Accuracy,
            "val_loss" => Column::ValLoss,
            "val_accuracy" => Column::ValAccuracy,
            _ => return Err(unknown()),
        };
        if how.is_empty() {
            return Ok(Part::Column { name, digits: None });
        }
        let digits = how.strip_prefix('.').and_then(|how| how.strip_suffix('f')).and_then(number);
        digits.map(|digits| Part::Column { name, digits: Some(digits) }).ok_or_else(unknown)
    }

    fn expand(&self, history: &History) -> String {
        let (name, digits) = match self {
            Part::Text(text) => return text.clone(),
            Part::Epoch { zeros, width } => {
                let epoch = history.epoch.last().map_or(0, |&epoch| epoch + 1);
                return if *zeros { format!("{epoch:0width$}") } else { format!("{epoch:width$}") };
            }
            Part::Column { name, digits } => (name, digits),
        };
        let column = match name {
            Column::Loss => &history.loss,
            Column::Accuracy => &history.accuracy,
            Column::ValLoss => &history.val_loss,
            Column::ValAccuracy => &history.val_accuracy,
        };
        let value = column.last().copied().unwrap_or(f64::NAN);
        match digits {
            None => value.to_string(),
            Some(digits) => format!("{value:.digits$}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_python_and_others_are_named() {
        let history = History {
            epoch: vec![0, 1],
            loss: vec![0.5, 0.25],
            val_accuracy: vec![0.9, 0.987654],
            ..History::default()
        };
        let of = |template: &str| Template::parse(template).map(|template| template.expand(&history));
        assert_eq!(of("a/{epoch:02d}-{val_accuracy:.3f}.safetensors").unwrap(), "a/02-0.988.safetensors");
        assert_eq!(of("{epoch} {loss} {epoch:4d}{{}}").unwrap(), "2 0.25    2{}");
        assert_eq!(of("plain").unwrap(), "plain");
        assert_eq!(of("é{{ü}}{epoch}ß").unwrap(), "é{ü}2ß");
        let needs = |template: &str| Template::parse(template).unwrap().needs_validation();
        assert!(needs("{val_loss}") && needs("{val_accuracy:.1f}") && !needs("{loss}{epoch}{{val_loss}}"));
        for wrong in [
            "{acc}",
            "{epoch:.2f}",
            "{loss:2d}",
            "{epoch:999999d}",
            "{epoch:99999999}",
            "{epoch:+2d}",
            "{loss:.99999999999f}",
            "{loss:.+3f}",
            "{}",
            "{{{é}}}",
            "{epoch!r}",
            "{0}",
        ] {
            assert!(of(wrong).unwrap_err().contains("none of"), "{wrong}");
        }
        for wrong in ["{epoch", "epoch}", "{", "}", "a}{b", "{é", "é}", "{{{", "}}}", "{{epoch}"] {
            assert!(of(wrong).unwrap_err().contains("brace"), "{wrong}");
        }
    }
}
