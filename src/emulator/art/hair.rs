//! The figures' hair and headwear, in two layers: behind the face and in front of it.

use super::canvas::{Canvas, Color, Shape, mix};

/// A hair style or headwear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hair {
    Crop,
    Long,
    Curls,
    Part,
    Scarf,
    Bun,
    Bald,
    Bob,
    Cap,
    Ponytail,
    Afro,
}

const STYLES: [Hair; 11] = [
    Hair::Part,
    Hair::Crop,
    Hair::Long,
    Hair::Curls,
    Hair::Scarf,
    Hair::Afro,
    Hair::Bob,
    Hair::Bald,
    Hair::Bun,
    Hair::Cap,
    Hair::Ponytail,
];

const CURLS: [(f32, f32); 9] = [
    (0.290, 0.400),
    (0.305, 0.320),
    (0.355, 0.255),
    (0.425, 0.215),
    (0.500, 0.200),
    (0.575, 0.215),
    (0.645, 0.255),
    (0.695, 0.320),
    (0.710, 0.400),
];

// === impl Hair ===

impl Hair {
    /// The style of figure `number`.
    pub(super) fn of(number: u32) -> Self {
        STYLES[number as usize % STYLES.len()]
    }

    /// Whether a beard goes with the style.
    pub(super) fn suits_a_beard(self) -> bool {
        matches!(
            self,
            Hair::Crop | Hair::Part | Hair::Bald | Hair::Cap | Hair::Curls
        )
    }

    /// Draws the layer behind head and shoulders.
    pub(super) fn behind(self, canvas: &mut Canvas, color: Color) {
        let shade = mix(color, [0; 3], 0.18);
        match self {
            Hair::Long => canvas.paint(shade, &Shape::slab(0.5, 0.56, 0.265, 0.36, 0.22)),
            Hair::Bob => canvas.paint(shade, &Shape::slab(0.5, 0.465, 0.262, 0.245, 0.17)),
            Hair::Afro => canvas.paint(color, &Shape::circle(0.5, 0.385, 0.325)),
            Hair::Bun => canvas.paint(shade, &Shape::circle(0.5, 0.155, 0.098)),
            Hair::Ponytail => {
                canvas.paint(shade, &Shape::ellipse(0.755, 0.42, 0.105, 0.22));
                canvas.paint(shade, &Shape::ellipse(0.5, 0.42, 0.235, 0.24));
            }
            Hair::Scarf => canvas.paint(
                shade_of_cloth(color),
                &Shape::slab(0.5, 0.62, 0.29, 0.43, 0.27),
            ),
            Hair::Crop | Hair::Curls | Hair::Part | Hair::Bald | Hair::Cap => {}
        }
    }

    /// Draws the layer on the forehead, around the face and on the shoulders.
    pub(super) fn in_front(self, canvas: &mut Canvas, color: Color) {
        match self {
            Hair::Crop => canvas.paint(color, &crown(0.232, 0.36, 0.47)),
            Hair::Long | Hair::Bob => fringe(canvas, color),
            Hair::Part => sweep(canvas, color),
            Hair::Bun | Hair::Ponytail => canvas.paint(color, &crown(0.228, 0.345, 0.48)),
            Hair::Afro => canvas.paint(color, &crown(0.235, 0.335, 0.46)),
            Hair::Curls => curls(canvas, color),
            Hair::Scarf => scarf(canvas, cloth(color)),
            Hair::Cap => cap(canvas, color),
            Hair::Bald => canvas.tint([255; 3], 0.20, &Shape::ellipse(0.43, 0.285, 0.055, 0.026)),
        }
    }
}

/// The upper part of the skull, down to `ends`, open where the forehead begins at `forehead`.
fn crown(width: f32, forehead: f32, ends: f32) -> Shape {
    Shape::ellipse(0.5, 0.445, width, 0.258)
        .above(ends)
        .without(Shape::ellipse(0.5, forehead + 0.22, 0.186, 0.22))
}

fn fringe(canvas: &mut Canvas, color: Color) {
    let cap = Shape::ellipse(0.5, 0.445, 0.252, 0.262)
        .above(0.60)
        .without(Shape::ellipse(0.5, 0.60, 0.186, 0.235));
    canvas.paint(color, &cap);
}

fn sweep(canvas: &mut Canvas, color: Color) {
    canvas.paint(color, &crown(0.234, 0.315, 0.46));
    let lock =
        Shape::ellipse(0.445, 0.285, 0.185, 0.088).within(Shape::ellipse(0.5, 0.445, 0.234, 0.258));
    canvas.paint(color, &lock);
    let line = Shape::stroke((0.612, 0.235), (0.628, 0.285), 0.005);
    canvas.paint(mix(color, [255; 3], 0.25), &line);
}

fn curls(canvas: &mut Canvas, color: Color) {
    canvas.paint(color, &crown(0.23, 0.345, 0.45));
    for ((x, y), nth) in CURLS.into_iter().zip(0..) {
        let light = if nth % 2 == 0 { 0.0 } else { 0.10 };
        canvas.paint(mix(color, [255; 3], light), &Shape::circle(x, y, 0.068));
    }
}

fn scarf(canvas: &mut Canvas, color: Color) {
    let veil =
        Shape::ellipse(0.5, 0.49, 0.272, 0.315).without(Shape::ellipse(0.5, 0.50, 0.182, 0.215));
    canvas.paint(color, &veil);
    let drape =
        Shape::ellipse(0.5, 0.88, 0.30, 0.17).without(Shape::ellipse(0.5, 0.50, 0.182, 0.215));
    canvas.paint(color, &drape);
    let fold = mix(color, [0; 3], 0.14);
    canvas.paint(fold, &Shape::stroke((0.36, 0.75), (0.56, 0.88), 0.008));
    canvas.paint(fold, &Shape::stroke((0.33, 0.80), (0.50, 0.93), 0.008));
}

fn cap(canvas: &mut Canvas, color: Color) {
    let cloth = cloth(color);
    canvas.paint(color, &crown(0.222, 0.36, 0.50));
    canvas.paint(cloth, &Shape::ellipse(0.5, 0.36, 0.236, 0.195).above(0.365));
    canvas.paint(
        mix(cloth, [0; 3], 0.20),
        &Shape::slab(0.5, 0.365, 0.262, 0.026, 0.026),
    );
    canvas.paint(
        mix(cloth, [255; 3], 0.55),
        &Shape::circle(0.5, 0.262, 0.038),
    );
}

/// A fabric that goes with the hair: warm for dark hair, cool for light hair.
fn cloth(color: Color) -> Color {
    const FABRICS: [Color; 5] = [
        [196, 78, 96],
        [62, 122, 148],
        [86, 136, 96],
        [214, 168, 120],
        [122, 98, 158],
    ];
    let sum: usize = color.iter().map(|&channel| usize::from(channel)).sum();
    FABRICS[sum % FABRICS.len()]
}

fn shade_of_cloth(color: Color) -> Color {
    mix(cloth(color), [0; 3], 0.16)
}
