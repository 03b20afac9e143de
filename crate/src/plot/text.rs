//! Measures, shortens and rasterizes text.
//!
//! plotters could draw text too, but sets each letter at a whole pixel and leaves out the space
//! that the font puts before it, which shows.

use crate::Show;
use std::sync::OnceLock;

use ab_glyph::{point, Font, FontRef, GlyphId, PxScale, PxScaleFont, ScaleFont};
use plotters::style::RGBColor;

use super::style;

/// How a piece of text looks.
#[derive(Clone, Copy, Debug)]
pub struct TextStyle {
    /// Size of the letters in pixels of the finished picture (the em, as in CSS).
    pub size: f32,
    pub bold: bool,
    pub color: RGBColor,
}

impl TextStyle {
    pub fn new(size: f32, color: RGBColor) -> Self {
        TextStyle { size, bold: false, color }
    }

    pub fn bold(self) -> Self {
        TextStyle { bold: true, ..self }
    }

    pub fn label() -> Self {
        TextStyle::new(style::LABEL_SIZE, style::INK)
    }
}

fn font(bold: bool) -> &'static FontRef<'static> {
    static FONTS: OnceLock<[FontRef<'static>; 2]> = OnceLock::new();
    let load = |bytes| FontRef::try_from_slice(bytes).expect("the built-in font is a valid font");
    &FONTS.get_or_init(|| [load(notosans::REGULAR_TTF), load(notosans::BOLD_TTF)])[usize::from(bold)]
}

fn scaled(size: f32, bold: bool) -> PxScaleFont<&'static FontRef<'static>> {
    let font = font(bold);
    // ab_glyph's scale is the height from ascent to descent, ours is the em.
    let em = font.units_per_em().unwrap_or(1000.0);
    font.as_scaled(PxScale::from(size * font.height_unscaled() / em))
}

/// The letters with their places from the left, and the width of it all.
fn layout(text: &str, size: f32, bold: bool) -> (Vec<(GlyphId, f32)>, f32) {
    let font = scaled(size, bold);
    let (mut places, mut x, mut last) = (Vec::new(), 0.0, None);
    for c in text.shown().to_string().chars() {
        let id = font.glyph_id(c);
        if let Some(last) = last {
            x += font.kern(last, id);
        }
        places.push((id, x));
        x += font.h_advance(id);
        last = Some(id);
    }
    (places, x)
}

/// The width of a line of text in pixels.
pub fn width(text: &str, style: &TextStyle) -> f32 {
    layout(text, style.size, style.bold).1
}

/// Hands each touched pixel and how much of it is covered (0 to 1) to `paint`. The text starts at
/// x = 0 and its letters stand on y = 0. `scale` multiplies the style's size.
pub fn rasterize(text: &str, style: &TextStyle, scale: f32, mut paint: impl FnMut(i32, i32, f32)) {
    let font = scaled(style.size * scale, style.bold);
    for (id, x) in layout(text, style.size * scale, style.bold).0 {
        let glyph = id.with_scale_and_position(font.scale(), point(x, 0.0));
        if let Some(outline) = font.outline_glyph(glyph) {
            let corner = outline.px_bounds().min;
            outline.draw(|dx, dy, cover| {
                paint(corner.x as i32 + dx as i32, corner.y as i32 + dy as i32, cover.min(1.0))
            });
        }
    }
}

/// The text itself, or its beginning and an ellipsis where it is wider than `room` pixels.
pub fn fit(text: &str, style: &TextStyle, room: f32) -> String {
    if width(text, style) <= room {
        return text.to_owned();
    }
    let mut kept: Vec<char> = text.chars().collect();
    loop {
        kept.pop();
        let short = format!("{}…", kept.iter().collect::<String>().trim_end());
        if kept.is_empty() || width(&short, style) <= room {
            return short;
        }
    }
}

/// The text in lines of at most `room` pixels, broken at spaces; a single word that is too wide is
/// shortened.
pub fn wrap(text: &str, style: &TextStyle, room: f32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let longer = lines.last().map(|line| format!("{line} {word}"));
        match longer {
            Some(longer) if width(&longer, style) <= room => {
                *lines.last_mut().expect("there is a last line") = longer
            }
            _ => lines.push(fit(word, style, room)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_is_left_alone_and_a_longer_one_ends_in_an_ellipsis() {
        let style = TextStyle::label();
        assert_eq!(fit("cat", &style, 200.0), "cat");
        let short = fit("Nova Scotia Duck Tolling Retriever", &style, 200.0);
        assert!(short.starts_with("Nova") && short.ends_with('…'), "{short}");
        assert!(width(&short, &style) <= 200.0);
        assert_eq!(fit("cat", &style, 0.0), "…");
    }

    #[test]
    fn wrapped_lines_keep_every_word_and_the_width() {
        let style = TextStyle::label();
        let text = "learning curves: 20 epochs, accuracy 0.9870, val_accuracy 0.9752";
        let lines = wrap(text, &style, 300.0);
        assert!(lines.len() > 1);
        assert!(lines.iter().all(|l| width(l, &style) <= 300.0));
        assert_eq!(lines.join(" "), text);
        assert!(wrap("", &style, 300.0).is_empty());
    }

    #[test]
    fn the_font_has_every_sign_that_figures_use() {
        for c in "…×%–·".chars() {
            assert_ne!(font(false).glyph_id(c), GlyphId(0), "{c}");
            assert_ne!(font(true).glyph_id(c), GlyphId(0), "{c}");
        }
    }

    #[test]
    fn letters_stand_on_the_line_and_start_at_the_left() {
        let (mut left, mut bottom, mut top) = (i32::MAX, i32::MIN, i32::MAX);
        rasterize("H", &TextStyle::new(100.0, style::INK), 1.0, |x, y, cover| {
            if cover > 0.5 {
                (left, bottom, top) = (left.min(x), bottom.max(y), top.min(y));
            }
        });
        assert!((5..15).contains(&left), "{left}");
        assert_eq!(bottom, -1);
        assert!((-73..=-70).contains(&top), "{top}");
    }
}
