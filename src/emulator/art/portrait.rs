//! Portraits: flat cartoon figures, a different one for each number.

use super::{
    canvas::{Canvas, Color, Frame, Shape, mix},
    hair::Hair,
};

/// The content of a picture. Equal portraits are equal pictures, byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::emulator) enum Portrait {
    /// One person.
    Person(u32),
    /// Two or three persons close together.
    Group(u32),
    /// A broadcasting tower in front of a sunrise.
    Channel(u32),
    /// WhatsApp's gray silhouette for a missing picture.
    Silhouette,
}

/// The traits of a figure.
struct Figure {
    skin: Color,
    hair_color: Color,
    hair: Hair,
    shirt: Color,
    glasses: bool,
    beard: bool,
    smile: Smile,
}

#[derive(Clone, Copy)]
enum Smile {
    Closed,
    Open,
    Slight,
}

const SKINS: [Color; 7] = [
    [255, 219, 187],
    [141, 85, 54],
    [240, 188, 143],
    [198, 134, 89],
    [255, 205, 165],
    [98, 61, 44],
    [222, 165, 118],
];
const HAIR_COLORS: [Color; 6] = [
    [43, 33, 32],
    [92, 58, 36],
    [28, 28, 38],
    [204, 152, 76],
    [150, 72, 40],
    [176, 176, 184],
];
const SHIRTS: [Color; 8] = [
    [58, 110, 165],
    [232, 106, 88],
    [250, 250, 248],
    [68, 140, 112],
    [242, 178, 70],
    [120, 88, 160],
    [48, 56, 78],
    [220, 92, 136],
];
const BACKDROPS: [(Color, Color); 9] = [
    ([255, 224, 178], [255, 183, 120]),
    ([178, 223, 236], [110, 176, 208]),
    ([220, 208, 242], [168, 148, 214]),
    ([200, 232, 204], [126, 190, 146]),
    ([255, 209, 214], [240, 146, 160]),
    ([255, 241, 190], [248, 208, 104]),
    ([190, 212, 250], [118, 150, 224]),
    ([214, 226, 230], [150, 172, 182]),
    ([178, 232, 222], [92, 184, 172]),
];

// === impl Portrait ===

impl Portrait {
    /// Draws the portrait on a square of `side` pixels.
    pub(super) fn draw(self, side: u32) -> Canvas {
        match self {
            Portrait::Person(number) => person(number, side),
            Portrait::Group(number) => group(number, side),
            Portrait::Channel(number) => channel(number, side),
            Portrait::Silhouette => silhouette(side),
        }
    }
}

fn person(number: u32, side: u32) -> Canvas {
    let mut canvas = backdrop(number, side);
    Figure::of(number).draw(&mut canvas);
    canvas
}

fn group(number: u32, side: u32) -> Canvas {
    let pair: &[(f32, f32, f32)] = &[(-0.13, 0.16, 0.84), (0.30, 0.22, 0.80)];
    let trio: &[(f32, f32, f32)] = &[(-0.16, 0.14, 0.68), (0.48, 0.14, 0.68), (0.13, 0.28, 0.74)];
    let mut canvas = backdrop(number.wrapping_add(4), side);
    let places = if number.is_multiple_of(2) { trio } else { pair };
    for (&(x, y, scale), nth) in places.iter().zip(0..) {
        canvas.place(Frame { x, y, scale });
        Figure::of(number.wrapping_mul(3).wrapping_add(nth * 5)).draw(&mut canvas);
    }
    canvas
}

fn channel(number: u32, side: u32) -> Canvas {
    let ink = [38, 50, 92];
    let mut canvas = backdrop(number, side);
    canvas.tint([255, 250, 235], 0.75, &Shape::circle(0.5, 0.42, 0.34));
    for radius in [0.29, 0.20] {
        let wave =
            Shape::circle(0.5, 0.42, radius).without(Shape::circle(0.5, 0.42, radius - 0.04));
        canvas.paint(
            [224, 92, 84],
            &wave.without(Shape::slab(0.5, 0.42, 0.09, 0.5, 0.0)),
        );
    }
    for foot in [0.28, 0.72] {
        canvas.paint(ink, &Shape::stroke((0.5, 0.46), (foot, 1.0), 0.026));
    }
    for (y, reach) in [(0.62, 0.065), (0.76, 0.12), (0.9, 0.175)] {
        canvas.paint(
            ink,
            &Shape::stroke((0.5 - reach, y), (0.5 + reach, y), 0.016),
        );
    }
    canvas.paint(ink, &Shape::circle(0.5, 0.42, 0.065));
    canvas
}

fn silhouette(side: u32) -> Canvas {
    let mut canvas = Canvas::new(side, [223, 229, 231], [223, 229, 231]);
    let gray = [255, 255, 255];
    canvas.paint(gray, &Shape::circle(0.5, 0.39, 0.17));
    canvas.paint(gray, &Shape::ellipse(0.5, 0.92, 0.32, 0.28));
    canvas
}

fn backdrop(number: u32, side: u32) -> Canvas {
    let (top, bottom) = pick(&BACKDROPS, number.wrapping_mul(4));
    let mut canvas = Canvas::new(side, top, vary(bottom, number));
    let x = if number.is_multiple_of(2) { 0.22 } else { 0.80 };
    canvas.tint([255; 3], 0.22, &Shape::circle(x, 0.28, 0.46));
    canvas
}

/// `color`, varied a little by the number, so that figures whose traits repeat still differ.
fn vary(color: Color, number: u32) -> Color {
    const STEPS: u32 = 12;
    let nth = number / 25;
    let shift = |channel: u8, by: u32| channel.saturating_sub((by % STEPS * 5) as u8);
    let [red, green, blue] = color;
    [
        shift(red, nth),
        shift(green, nth / STEPS),
        shift(blue, nth / (STEPS * STEPS)),
    ]
}

// === impl Figure ===

impl Figure {
    /// The traits of figure `number`. The strides are coprime to the lengths of the lists, so that
    /// consecutive figures differ in every trait.
    fn of(number: u32) -> Self {
        let hair = Hair::of(number);
        Figure {
            skin: pick(&SKINS, number.wrapping_mul(3)),
            hair_color: pick(
                &HAIR_COLORS,
                number.wrapping_mul(5).wrapping_add(number / 6),
            ),
            hair,
            shirt: pick(&SHIRTS, number.wrapping_mul(3).wrapping_add(number / 8)),
            glasses: matches!(number % 7, 2 | 6),
            beard: hair.suits_a_beard() && number % 5 < 2,
            smile: pick(&[Smile::Closed, Smile::Open, Smile::Slight], number),
        }
    }

    fn draw(&self, canvas: &mut Canvas) {
        self.hair.behind(canvas, self.hair_color);
        self.body(canvas);
        self.head(canvas);
        self.face(canvas);
        if self.beard {
            self.draw_beard(canvas);
        }
        self.mouth(canvas);
        self.hair.in_front(canvas, self.hair_color);
        if self.glasses {
            spectacles(canvas);
        }
    }

    fn body(&self, canvas: &mut Canvas) {
        let shade = mix(self.skin, [90, 40, 30], 0.22);
        canvas.paint(self.shirt, &Shape::ellipse(0.5, 1.08, 0.40, 0.30));
        canvas.paint(
            mix(self.shirt, [0; 3], 0.16),
            &Shape::ellipse(0.5, 0.79, 0.125, 0.075),
        );
        canvas.paint(shade, &Shape::slab(0.5, 0.72, 0.082, 0.11, 0.06));
        canvas.paint(self.skin, &Shape::ellipse(0.5, 0.785, 0.095, 0.05));
    }

    fn head(&self, canvas: &mut Canvas) {
        let ear = mix(self.skin, [150, 60, 40], 0.12);
        for x in [0.29, 0.71] {
            canvas.paint(self.skin, &Shape::ellipse(x, 0.50, 0.042, 0.058));
            canvas.paint(ear, &Shape::ellipse(x, 0.505, 0.022, 0.034));
        }
        canvas.paint(self.skin, &Shape::ellipse(0.5, 0.475, 0.21, 0.255));
    }

    fn face(&self, canvas: &mut Canvas) {
        let brow = mix(self.hair_color, self.skin, 0.12);
        let nose = mix(self.skin, [120, 50, 35], 0.30);
        for side in [-1.0, 1.0] {
            let x = 0.5 + side * 0.088;
            canvas.tint(
                [236, 92, 84],
                0.26,
                &Shape::ellipse(x + side * 0.042, 0.567, 0.042, 0.03),
            );
            canvas.paint([255; 3], &Shape::ellipse(x, 0.482, 0.036, 0.030));
            canvas.paint([52, 38, 36], &Shape::circle(x, 0.484, 0.0225));
            canvas.paint([255; 3], &Shape::circle(x + 0.008, 0.476, 0.0075));
            let (inner, outer) = (x - side * 0.036, x + side * 0.042);
            canvas.paint(brow, &Shape::stroke((inner, 0.425), (outer, 0.428), 0.0105));
        }
        canvas.paint(nose, &Shape::stroke((0.5, 0.515), (0.486, 0.562), 0.0075));
        canvas.paint(nose, &Shape::stroke((0.486, 0.562), (0.507, 0.565), 0.0075));
    }

    fn mouth(&self, canvas: &mut Canvas) {
        let lip = mix(self.skin, [176, 44, 48], 0.68);
        match self.smile {
            Smile::Closed => {
                let smile = Shape::ellipse(0.5, 0.600, 0.078, 0.052).below(0.608);
                canvas.paint(
                    lip,
                    &smile.without(Shape::ellipse(0.5, 0.588, 0.090, 0.050)),
                );
            }
            Smile::Open => {
                canvas.paint(
                    [128, 34, 40],
                    &Shape::ellipse(0.5, 0.608, 0.072, 0.058).below(0.610),
                );
                canvas.paint([255; 3], &Shape::slab(0.5, 0.619, 0.052, 0.010, 0.006));
            }
            Smile::Slight => {
                canvas.paint(lip, &Shape::stroke((0.452, 0.630), (0.548, 0.630), 0.0095));
                for (from, to) in [(0.452, 0.440), (0.548, 0.560)] {
                    canvas.paint(lip, &Shape::stroke((from, 0.630), (to, 0.619), 0.0085));
                }
            }
        }
    }

    fn draw_beard(&self, canvas: &mut Canvas) {
        let beard = Shape::ellipse(0.5, 0.485, 0.214, 0.268)
            .below(0.5)
            .without(Shape::ellipse(0.5, 0.47, 0.168, 0.125));
        canvas.paint(self.hair_color, &beard);
        canvas.paint(self.skin, &Shape::ellipse(0.5, 0.632, 0.086, 0.040));
    }
}

fn spectacles(canvas: &mut Canvas) {
    let frame = [40, 44, 58];
    for x in [0.408, 0.592] {
        let ring = Shape::circle(x, 0.484, 0.068).without(Shape::circle(x, 0.484, 0.056));
        canvas.tint([255; 3], 0.18, &Shape::circle(x, 0.484, 0.056));
        canvas.paint(frame, &ring);
    }
    canvas.paint(frame, &Shape::stroke((0.474, 0.476), (0.526, 0.476), 0.007));
    canvas.paint(frame, &Shape::stroke((0.342, 0.476), (0.296, 0.466), 0.007));
    canvas.paint(frame, &Shape::stroke((0.658, 0.476), (0.704, 0.466), 0.007));
}

fn pick<T: Copy>(list: &[T], number: u32) -> T {
    list[number as usize % list.len()]
}
