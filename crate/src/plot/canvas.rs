//! The sheet that a figure is drawn on.
//!
//! All coordinates are pixels of the finished picture. The sheet holds [`DENSITY`] times as many
//! each way and is averaged down at the end: plotters' shapes have hard edges, and this smooths
//! them.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use plotters::coord::Shift;
use plotters::prelude::{BitMapBackend, DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::style::RGBColor;
use plotters_bitmap::BitMapBackendError;

use super::text::{rasterize, width, wrap, TextStyle};
use super::{style, Figure};
use crate::output::with_png_marker;
use crate::{Error, Result};

/// Pixels of the sheet, each way, for one of the finished picture.
pub const DENSITY: u32 = 3;

/// The area that plotters draws on, in the sheet's own pixels.
pub type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
/// What plotters' calls return.
pub type Drawn = std::result::Result<(), DrawingAreaErrorKind<BitMapBackendError>>;

/// Which part of a text the given point is.
#[derive(Clone, Copy, PartialEq)]
pub enum Anchor {
    Left,
    Center,
    Right,
}

/// A rectangle in pixels of the finished picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    pub left: u32,
    pub top: u32,
    pub width: u32,
    pub height: u32,
}

impl Rect {
    pub fn right(&self) -> u32 {
        self.left + self.width
    }

    pub fn bottom(&self) -> u32 {
        self.top + self.height
    }

    /// The rectangle that is larger by `by` on each side.
    pub fn grown(&self, by: u32) -> Rect {
        Rect {
            left: self.left.saturating_sub(by),
            top: self.top.saturating_sub(by),
            width: self.width + 2 * by,
            height: self.height + 2 * by,
        }
    }
}

/// The sheet that a figure is drawn on, with room for the caption at the bottom.
pub struct Canvas {
    width: u32,
    height: u32,
    pixels: RgbImage,
    caption: String,
}

/// A figure with more pixels than this each way is a mistake.
const LARGEST: u32 = 16_384;
const CAPTION_LINE: u32 = 25;

impl Canvas {
    /// A white sheet with `body` pixels of height above the caption.
    ///
    /// # Errors
    /// [`Error::Plot`] where the figure would be too large.
    pub fn new(width: u32, body: u32, caption: String) -> Result<Canvas> {
        let lines = caption_lines(&caption, width).len() as u32;
        let height = body.saturating_add(lines * CAPTION_LINE + style::MARGIN * 2 / 3);
        if width == 0 || width > LARGEST || height > LARGEST || width * height > LARGEST * LARGEST / 8 {
            return Err(Error::Plot(format!(
                "the figure would be {width} x {height} pixels, which is too large to draw. Show fewer images, or \
                 smaller ones"
            )));
        }
        let pixels = RgbImage::from_pixel(width * DENSITY, height * DENSITY, rgb(style::PAPER));
        Ok(Canvas { width, height, pixels, caption })
    }

    /// Lets plotters draw within `part`. `what` names it in the error.
    pub fn plot(&mut self, what: &str, part: Rect, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<()> {
        let size = self.pixels.dimensions();
        let area = BitMapBackend::with_buffer(&mut self.pixels, size).into_drawing_area();
        let offset = |v: u32| (v * DENSITY) as i32;
        let part = area.clone().shrink(
            (offset(part.left), offset(part.top)),
            (offset(part.width) as u32, offset(part.height) as u32),
        );
        draw(&part)
            .and_then(|()| area.present())
            .map_err(|e| Error::Plot(format!("{what} could not be drawn: {e}")))
    }

    /// Fills a rectangle.
    pub fn fill(&mut self, rect: Rect, color: RGBColor) {
        let (w, h) = self.pixels.dimensions();
        for y in (rect.top * DENSITY).min(h)..(rect.bottom() * DENSITY).min(h) {
            for x in (rect.left * DENSITY).min(w)..(rect.right() * DENSITY).min(w) {
                self.pixels.put_pixel(x, y, rgb(color));
            }
        }
    }

    /// Draws a line of text whose letters' middle is at height `y`.
    pub fn text(&mut self, text: &str, style: &TextStyle, anchor: Anchor, x: f32, y: f32) {
        let scale = DENSITY as f32;
        let (x, y) = ((x - before(text, style, anchor)) * scale, (y + middle(style)) * scale);
        let pixels = &mut self.pixels;
        rasterize(text, style, scale, |dx, dy, cover| {
            blend(pixels, x.round() as i32 + dx, y.round() as i32 + dy, style.color, cover)
        });
    }

    /// Draws a line of text from bottom to top: `x` is its letters' middle, `y` the anchor's place.
    pub fn upward_text(&mut self, text: &str, style: &TextStyle, anchor: Anchor, x: f32, y: f32) {
        let scale = DENSITY as f32;
        let (x, y) = ((x + middle(style)) * scale, (y + before(text, style, anchor)) * scale);
        let pixels = &mut self.pixels;
        rasterize(text, style, scale, |dx, dy, cover| {
            blend(pixels, x.round() as i32 + dy, y.round() as i32 - dx, style.color, cover)
        });
    }

    /// Puts an image on the sheet, a pixel for each pixel of the finished picture.
    pub fn paste(&mut self, image: &RgbImage, left: u32, top: u32) {
        let (w, h) = self.pixels.dimensions();
        for (x, y, pixel) in image.enumerate_pixels() {
            let (x, y) = ((left + x) * DENSITY, (top + y) * DENSITY);
            for (x, y) in (0..DENSITY).flat_map(|dy| (0..DENSITY).map(move |dx| (x + dx, y + dy))) {
                if x < w && y < h {
                    self.pixels.put_pixel(x, y, *pixel);
                }
            }
        }
    }

    /// Adds the caption and makes the figure.
    ///
    /// # Errors
    /// [`Error::Plot`] where the PNG can't be made.
    pub fn finish(mut self) -> Result<Figure> {
        let lines = caption_lines(&self.caption, self.width);
        let top = self.height - lines.len() as u32 * CAPTION_LINE - style::MARGIN * 2 / 3;
        for (i, line) in lines.iter().enumerate() {
            let y = (top + i as u32 * CAPTION_LINE + CAPTION_LINE / 2) as f32;
            self.text(line, &caption_style(), Anchor::Center, self.width as f32 / 2.0, y);
        }
        let small = self.averaged();
        let png = encode(&small)?;
        Ok(Figure::new(png, self.caption, self.width, self.height))
    }

    fn averaged(&self) -> RgbImage {
        RgbImage::from_fn(self.width, self.height, |x, y| {
            let mut sum = [0u32; 3];
            for (dx, dy) in (0..DENSITY).flat_map(|dy| (0..DENSITY).map(move |dx| (dx, dy))) {
                let pixel = self.pixels.get_pixel(x * DENSITY + dx, y * DENSITY + dy);
                sum.iter_mut().zip(pixel.0).for_each(|(s, v)| *s += u32::from(v));
            }
            let n = DENSITY * DENSITY;
            image::Rgb(sum.map(|s| ((s + n / 2) / n) as u8))
        })
    }
}

fn caption_style() -> TextStyle {
    TextStyle::new(style::CAPTION_SIZE, style::FAINT)
}

fn caption_lines(caption: &str, figure_width: u32) -> Vec<String> {
    wrap(caption, &caption_style(), figure_width.saturating_sub(2 * style::MARGIN) as f32)
}

/// How much of the text lies before its anchor.
fn before(text: &str, style: &TextStyle, anchor: Anchor) -> f32 {
    match anchor {
        Anchor::Left => 0.0,
        Anchor::Center => width(text, style) / 2.0,
        Anchor::Right => width(text, style),
    }
}

/// From the line that letters stand on up to the middle of a capital letter.
fn middle(style: &TextStyle) -> f32 {
    style.size * 0.357
}

fn rgb(color: RGBColor) -> image::Rgb<u8> {
    image::Rgb([color.0, color.1, color.2])
}

fn blend(pixels: &mut RgbImage, x: i32, y: i32, color: RGBColor, cover: f32) {
    let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
    if let Some(pixel) = pixels.get_pixel_mut_checked(x, y) {
        for (old, new) in pixel.0.iter_mut().zip(rgb(color).0) {
            let mixed = f32::from(*old) + (f32::from(new) - f32::from(*old)) * cover;
            *old = mixed.round() as u8;
        }
    }
}

/// The smaller of two PNGs: charts are smaller without a filter, photographs with. It says in a text chunk who made it.
fn encode(image: &RgbImage) -> Result<Vec<u8>> {
    let encoded = |filter| {
        let mut png = Vec::new();
        PngEncoder::new_with_quality(&mut png, CompressionType::Best, filter)
            .write_image(image, image.width(), image.height(), ExtendedColorType::Rgb8)
            .map_err(|e| Error::Plot(format!("the figure could not be written as PNG: {e}")))?;
        Ok::<_, Error>(png)
    };
    let (plain, filtered) = (encoded(FilterType::NoFilter)?, encoded(FilterType::Adaptive)?);
    Ok(with_png_marker(if plain.len() < filtered.len() { plain } else { filtered }))
}
