//! A square canvas, and the smooth shapes that a cartoon face is made of.
//!
//! A shape is a signed distance function, in units of the frame's side: one evaluation per pixel gives an
//! anti-aliased edge. It is evaluated within the shape's bounds only.

/// Red, green and blue.
pub(super) type Color = [u8; 3];

/// A square of pixels.
pub(super) struct Canvas {
    side: u32,
    pixels: Vec<u8>,
    frame: Frame,
}

/// The position and size of a figure's unit square on the canvas.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// The left edge, in sides of the canvas.
    pub(super) x: f32,
    /// The upper edge, in sides of the canvas.
    pub(super) y: f32,
    /// The side of the figure, in sides of the canvas.
    pub(super) scale: f32,
}

/// A region: negative distance inside, positive outside.
pub(super) struct Shape {
    bounds: Bounds,
    distance: Box<dyn Fn(f32, f32) -> f32>,
}

#[derive(Clone, Copy)]
struct Bounds {
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
}

// === impl Canvas ===

impl Canvas {
    /// A canvas that fades from `top` to `bottom`.
    pub(super) fn new(side: u32, top: Color, bottom: Color) -> Self {
        let mut pixels = Vec::with_capacity((side * side * 3) as usize);
        for y in 0..side {
            let color = mix(top, bottom, y as f32 / side as f32);
            for _ in 0..side {
                pixels.extend_from_slice(&color);
            }
        }
        let frame = Frame {
            x: 0.0,
            y: 0.0,
            scale: 1.0,
        };
        Self {
            side,
            pixels,
            frame,
        }
    }

    /// Sets the frame of the shapes that are painted from here on.
    pub(super) fn place(&mut self, frame: Frame) {
        self.frame = frame;
    }

    /// Fills `shape` with `color`.
    pub(super) fn paint(&mut self, color: Color, shape: &Shape) {
        self.tint(color, 1.0, shape);
    }

    /// Fills `shape` with `color`, mixed with the pixels below by `opacity`.
    pub(super) fn tint(&mut self, color: Color, opacity: f32, shape: &Shape) {
        let Frame { x, y, scale } = self.frame;
        let side = self.side as f32;
        let unit = scale * side;
        let (left, right) = self.span(shape.bounds.left, shape.bounds.right, x);
        let (top, bottom) = self.span(shape.bounds.top, shape.bounds.bottom, y);
        for row in top..bottom {
            let v = ((row as f32 + 0.5) / side - y) / scale;
            for column in left..right {
                let u = ((column as f32 + 0.5) / side - x) / scale;
                let coverage = (0.5 - (shape.distance)(u, v) * unit).clamp(0.0, 1.0);
                if coverage > 0.0 {
                    let at = ((row * self.side + column) * 3) as usize;
                    blend(&mut self.pixels[at..at + 3], color, coverage * opacity);
                }
            }
        }
    }

    /// The rows of red, green and blue bytes.
    pub(super) fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// The pixels that a shape between `from` and `to` can touch, its soft edge included.
    fn span(&self, from: f32, to: f32, origin: f32) -> (u32, u32) {
        let side = self.side as f32;
        let pixel = |at: f32| (at * self.frame.scale + origin) * side;
        let first = (pixel(from) - 1.0).floor().clamp(0.0, side);
        let last = (pixel(to) + 1.0).ceil().clamp(0.0, side);
        (first as u32, last as u32)
    }
}

// === impl Shape ===

impl Shape {
    /// An ellipse around (`x`, `y`).
    pub(super) fn ellipse(x: f32, y: f32, rx: f32, ry: f32) -> Self {
        Self {
            bounds: Bounds::around(x, y, rx, ry),
            distance: Box::new(move |u, v| {
                let (dx, dy) = ((u - x) / rx, (v - y) / ry);
                let (gx, gy) = (dx / rx, dy / ry);
                // First-order: exact at the edge, which is the only place that matters.
                let gradient = (gx * gx + gy * gy).sqrt().max(1e-4);
                (dx * dx + dy * dy - 1.0) / (2.0 * gradient)
            }),
        }
    }

    /// A circle around (`x`, `y`).
    pub(super) fn circle(x: f32, y: f32, r: f32) -> Self {
        Self {
            bounds: Bounds::around(x, y, r, r),
            distance: Box::new(move |u, v| (u - x).hypot(v - y) - r),
        }
    }

    /// A rectangle around (`x`, `y`) with corners of radius `r`.
    pub(super) fn slab(x: f32, y: f32, rx: f32, ry: f32, r: f32) -> Self {
        Self {
            bounds: Bounds::around(x, y, rx, ry),
            distance: Box::new(move |u, v| {
                let (dx, dy) = ((u - x).abs() - rx + r, (v - y).abs() - ry + r);
                dx.max(0.0).hypot(dy.max(0.0)) + dx.max(dy).min(0.0) - r
            }),
        }
    }

    /// A stroke of half-width `r` from one point to another.
    pub(super) fn stroke(from: (f32, f32), to: (f32, f32), r: f32) -> Self {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = (dx * dx + dy * dy).max(1e-9);
        Self {
            bounds: Bounds {
                left: from.0.min(to.0) - r,
                top: from.1.min(to.1) - r,
                right: from.0.max(to.0) + r,
                bottom: from.1.max(to.1) + r,
            },
            distance: Box::new(move |u, v| {
                let (px, py) = (u - from.0, v - from.1);
                let along = ((px * dx + py * dy) / length).clamp(0.0, 1.0);
                (px - dx * along).hypot(py - dy * along) - r
            }),
        }
    }

    /// The part above the height `y`.
    pub(super) fn above(self, y: f32) -> Self {
        let mut bounds = self.bounds;
        bounds.bottom = bounds.bottom.min(y);
        let inner = self.distance;
        Self {
            bounds,
            distance: Box::new(move |u, v| inner(u, v).max(v - y)),
        }
    }

    /// The part below the height `y`.
    pub(super) fn below(self, y: f32) -> Self {
        let mut bounds = self.bounds;
        bounds.top = bounds.top.max(y);
        let inner = self.distance;
        Self {
            bounds,
            distance: Box::new(move |u, v| inner(u, v).max(y - v)),
        }
    }

    /// The intersection of both shapes.
    pub(super) fn within(self, other: Shape) -> Self {
        let (inner, outer) = (self.distance, other.distance);
        Self {
            bounds: self.bounds,
            distance: Box::new(move |u, v| inner(u, v).max(outer(u, v))),
        }
    }

    /// This shape without the other.
    pub(super) fn without(self, other: Shape) -> Self {
        let (inner, hole) = (self.distance, other.distance);
        Self {
            bounds: self.bounds,
            distance: Box::new(move |u, v| inner(u, v).max(-hole(u, v))),
        }
    }
}

// === impl Bounds ===

impl Bounds {
    fn around(x: f32, y: f32, rx: f32, ry: f32) -> Self {
        Self {
            left: x - rx,
            top: y - ry,
            right: x + rx,
            bottom: y + ry,
        }
    }
}

/// The color on the way from `from` to `to`.
pub(super) fn mix(from: Color, to: Color, share: f32) -> Color {
    let mut color = from;
    blend(&mut color, to, share);
    color
}

fn blend(pixel: &mut [u8], color: Color, share: f32) {
    for (channel, &target) in pixel.iter_mut().zip(&color) {
        let from = f32::from(*channel);
        *channel = (from + (f32::from(target) - from) * share + 0.5) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_painted_shape_has_a_full_middle_and_a_soft_edge() {
        let mut canvas = Canvas::new(9, [0; 3], [0; 3]);
        canvas.paint([255; 3], &Shape::circle(0.5, 0.5, 0.34));
        let row: Vec<u8> = canvas.into_pixels()[4 * 27..5 * 27]
            .chunks(3)
            .map(|pixel| pixel[0])
            .collect();
        assert_eq!((row[0], row[4], row[8]), (0, 255, 0));
        assert!(row.iter().any(|level| (1..255).contains(level)));
    }
}
