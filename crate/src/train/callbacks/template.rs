//! Paths with numbers in them, as in `weights/{epoch:02d}-{val_loss:.2f}.safetensors`: the part of Python's
//! format strings that Keras' `ModelCheckpoint` is used with.

use super::History;

/// The path for the last epoch of a history; `Err` says what is wrong with the template.
pub(super) fn expand(template: &str, history: &History) -> Result<String, String> {
    let epoch = history.epoch.last().map_or(0, |&epoch| epoch + 1);
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let doubled = &rest[at..(at + 2).min(rest.len())];
        if doubled == "{{" || doubled == "}}" {
            out.push_str(&doubled[..1]);
            rest = &rest[at + 2..];
            continue;
        }
        let inside = rest[at..].strip_prefix('{').and_then(|text| text.split_once('}'));
        let Some((field, after)) = inside else {
            return Err(format!("a brace without its other half in {template:?}"));
        };
        out.push_str(&format(field, epoch, history)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// One field, such as `epoch:02d`.
fn format(field: &str, epoch: usize, history: &History) -> Result<String, String> {
    let (name, how) = field.split_once(':').unwrap_or((field, ""));
    let unknown = || {
        format!(
            "{{{field}}}, which is none of {{epoch}}, {{epoch:02d}}, and {{loss}}, {{accuracy}}, {{val_loss}}, \
             {{val_accuracy}} with or without digits as in {{loss:.3f}}"
        )
    };
    // Beyond that a name is longer than any file system takes.
    let number = |text: &str| text.parse().ok().filter(|&n: &usize| n <= 40);
    if name == "epoch" {
        if how.is_empty() {
            return Ok(epoch.to_string());
        }
        let zeros = how.starts_with('0');
        let width = how.strip_suffix('d').ok_or_else(unknown)?;
        let width = if width.is_empty() { 0 } else { number(width).ok_or_else(unknown)? };
        return Ok(if zeros { format!("{epoch:0width$}") } else { format!("{epoch:width$}") });
    }
    let column = match name {
        "loss" => &history.loss,
        "accuracy" => &history.accuracy,
        "val_loss" => &history.val_loss,
        "val_accuracy" => &history.val_accuracy,
        _ => return Err(unknown()),
    };
    let value = column.last().copied().unwrap_or(0.0);
    if how.is_empty() {
        return Ok(value.to_string());
    }
    let digits = how.strip_prefix('.').and_then(|how| how.strip_suffix('f')).and_then(number);
    digits.map(|digits| format!("{value:.digits$}")).ok_or_else(unknown)
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
        let of = |template: &str| expand(template, &history);
        assert_eq!(of("a/{epoch:02d}-{val_accuracy:.3f}.safetensors").unwrap(), "a/02-0.988.safetensors");
        assert_eq!(of("{epoch} {loss} {epoch:4d}{{}}").unwrap(), "2 0.25    2{}");
        assert_eq!(of("plain").unwrap(), "plain");
        for wrong in ["{acc}", "{epoch:.2f}", "{loss:2d}", "{epoch:999999d}", "{loss:.99999999999f}", "{}"] {
            assert!(of(wrong).unwrap_err().contains("none of"), "{wrong}");
        }
        for wrong in ["{epoch", "epoch}", "{", "}", "a}{b"] {
            assert!(of(wrong).unwrap_err().contains("brace"), "{wrong}");
        }
    }
}
