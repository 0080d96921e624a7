//! Placeholders: as SVG, and as pixels for clients that do not show SVG.

use crate::support::{Answer, rig::Rig};
use image::{ImageFormat, RgbaImage};
use url::form_urlencoded::byte_serialize;

/// A contact without a picture.
const NOBODY: &str = "628100000102";
/// The `Accept` of mail programs and some mobile apps.
const NO_SVG: &str = "image/png,image/jpeg,image/webp;q=0";

/// Names in every script that the fonts cover.
const NAMES: [&str; 31] = [
    "John Doe",
    "Øystein Åse",
    "Иван Петров",
    "Γιώργος Παπαδόπουλος",
    "محمد علي",
    "דוד כהן",
    "राम शर्मा",
    "สมชาย ใจดี",
    "李小龙",
    "陳大文",
    "山田 太郎",
    "さくら",
    "김 민준",
    "রহিম",
    "தமிழ்",
    "తెలుగు",
    "ગુજરાતી",
    "ਗੁਰਪ੍ਰੀਤ",
    "ಕನ್ನಡ",
    "മലയാളം",
    "ଓଡ଼ିଆ",
    "සිංහල",
    "ភាសាខ្មែរ",
    "မြန်မာ",
    "ພາສາລາວ",
    "Արամ",
    "გიორგი",
    "አበበ",
    "😀 Ana",
    "❤️",
    "👩‍👩‍👧",
];

async fn draw(rig: &Rig, query: &str) -> Answer {
    let answer = rig.get(&format!("/avatar/waha/{NOBODY}?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    assert_eq!(answer.source(), "fallback");
    answer
}

async fn pixels(rig: &Rig, query: &str) -> RgbaImage {
    let answer = draw(rig, &format!("{query}&format=png&s=96")).await;
    assert_eq!(answer.header("content-type"), "image/png");
    let image = image::load_from_memory(&answer.body).unwrap().to_rgba8();
    assert_eq!(image.dimensions(), (96, 96));
    image
}

fn named(name: &str) -> String {
    let name: String = byte_serialize(name.as_bytes()).collect();
    format!("name={name}")
}

/// How many pixels differ from the background, which is the color at the middle of the upper edge.
fn count_inked(image: &RgbaImage) -> usize {
    let ground = *image.get_pixel(48, 2);
    let differs = |pixel: &&image::Rgba<u8>| {
        let far = |channel: usize| pixel.0[channel].abs_diff(ground.0[channel]) > 60;
        (0..3).any(far)
    };
    image.pixels().filter(differs).count()
}

#[tokio::test]
async fn a_placeholder_comes_in_every_requested_format() {
    let rig = Rig::start().await;
    for (name, media, format) in [
        ("png", "image/png", Some(ImageFormat::Png)),
        ("jpeg", "image/jpeg", Some(ImageFormat::Jpeg)),
        ("webp", "image/webp", Some(ImageFormat::WebP)),
        ("avif", "image/avif", None),
    ] {
        for style in ["initials&name=Ana", "mp", "identicon", "blank"] {
            let answer = draw(&rig, &format!("d={style}&format={name}&s=64")).await;
            assert_eq!(answer.header("content-type"), media);
            assert_eq!(answer.header("vary"), "");
            if let Some(format) = format {
                let image = image::load_from_memory_with_format(&answer.body, format).unwrap();
                assert_eq!((image.width(), image.height()), (64, 64));
            }
        }
    }
    let svg = draw(&rig, "format=svg").await;
    assert_eq!(svg.header("content-type"), "image/svg+xml");
}

#[tokio::test]
async fn a_client_that_does_not_name_svg_gets_a_png_placeholder() {
    let rig = Rig::start().await;
    let path = format!("/avatar/waha/{NOBODY}?name=Ana");
    for (accept, media) in [
        (None, "image/png"),
        (Some("*/*"), "image/png"),
        (Some("image/*"), "image/png"),
        (Some("image/*,*/*;q=0.8"), "image/png"),
        (
            Some("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"),
            "image/svg+xml",
        ),
        (Some(NO_SVG), "image/png"),
        (Some("image/webp,image/png"), "image/webp"),
        (Some("image/jpeg"), "image/jpeg"),
        (Some("image/svg+xml;q=0,*/*"), "image/png"),
    ] {
        let headers: Vec<_> = accept
            .map(|accept| ("accept", accept))
            .into_iter()
            .collect();
        let answer = rig.ask("GET", &path, &headers).await;
        assert_eq!(answer.header("content-type"), media, "{accept:?}");
        assert_eq!(answer.header("vary"), "Accept");
        let etag = answer.header("etag").to_owned();
        let head = rig.ask("HEAD", &path, &headers).await;
        for name in ["content-type", "content-length", "etag"] {
            assert_eq!(head.header(name), answer.header(name), "{accept:?}");
        }
        let again = [headers, vec![("if-none-match", etag.as_str())]].concat();
        assert_eq!(rig.ask("GET", &path, &again).await.status, 304);
    }
}

#[tokio::test]
async fn initials_are_drawn_in_every_supported_script() {
    let rig = Rig::start().await;
    for name in NAMES {
        let letters = pixels(&rig, &named(name)).await;
        let silhouette = pixels(&rig, "").await;
        let ink = count_inked(&letters);
        assert!((60..4000).contains(&ink), "{name}: {ink} pixels");
        assert_ne!(letters, silhouette, "{name}");
    }
}

/// With FACEPLATE_WRITE_DOCS, this replaces the picture in the documents.
#[tokio::test]
async fn all_placeholders_fit_on_one_sheet() {
    const COLUMNS: u32 = 9;
    const STEP: u32 = 100;
    let rig = Rig::start().await;
    let looks = [
        "d=mp",
        "d=identicon",
        "name=A+B&background=0D8ABC&rounded=1",
        "name=A+B&bold=1",
        "name=A+B&background=ffe",
        "name=A+B&length=1&color=ff0",
        "d=mp&rounded=1",
        "d=identicon&background=fff&color=0D8ABC",
        "name=",
    ];
    let queries = NAMES
        .map(named)
        .into_iter()
        .chain(["name=Queen+Gaia".into()]);
    let queries: Vec<_> = queries.chain(looks.map(str::to_owned)).collect();
    let rows = (queries.len() as u32).div_ceil(COLUMNS);
    let white = image::Rgba([255; 4]);
    let mut sheet = RgbaImage::from_pixel(COLUMNS * STEP - 4, rows * STEP - 4, white);
    let mut seen = Vec::new();
    for (query, place) in queries.iter().zip(0_u32..) {
        let drawing = pixels(&rig, query).await;
        let (left, top) = (place % COLUMNS * STEP, place / COLUMNS * STEP);
        image::imageops::overlay(&mut sheet, &drawing, left.into(), top.into());
        assert!(!seen.contains(&drawing), "{query} looks like another one");
        seen.push(drawing);
    }
    if std::env::var_os("FACEPLATE_WRITE_DOCS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/drawings.png");
        sheet.save(path).unwrap();
    }
}

#[tokio::test]
async fn a_name_in_an_unsupported_script_gives_a_silhouette() {
    let rig = Rig::start().await;
    // Cuneiform.
    assert_eq!(pixels(&rig, &named("𒀀𒀀")).await, pixels(&rig, "").await);
}

#[tokio::test]
async fn a_letter_that_no_font_has_does_not_lose_the_name() {
    let rig = Rig::start().await;
    for (name, plain) in [
        ("🇧🇷 João", "J"),
        ("✿ Mia", "M"),
        ("🛸 Ufo", "U"),
        ("1️⃣ Um", "1 U"),
        ("𝓐𝓷𝓪 𝓢𝓲𝓵𝓿𝓪", "A S"),
        ("Ａｎａ", "A"),
        ("ᴀɴᴀ sɪʟᴠᴀ", "A S"),
        ("ﬁona", "F"),
    ] {
        let drawn = pixels(&rig, &named(name)).await;
        assert!(drawn == pixels(&rig, &named(plain)).await, "{name}");
        assert!(drawn != pixels(&rig, "").await, "{name}");
    }
}

#[tokio::test]
async fn a_name_that_is_a_number_gives_a_silhouette() {
    let rig = Rig::start().await;
    let silhouette = pixels(&rig, "").await;
    for name in [
        "628123456789",
        "+62 812 3456",
        "(11) 98765-4321",
        "628123@c.us",
    ] {
        assert!(pixels(&rig, &named(name)).await == silhouette, "{name}");
        let svg = draw(&rig, &format!("{}&format=svg", named(name))).await;
        assert!(!svg.text().contains("<text"), "{}", svg.text());
    }
    let ana = pixels(&rig, "name=Ana").await;
    assert!(pixels(&rig, &named("Ana +62 812 3456")).await == ana);
}

#[tokio::test]
async fn initials_in_the_url_are_shown_in_place_of_the_name_s() {
    let rig = Rig::start().await;
    let given = pixels(&rig, "initials=JD&name=Ana").await;
    assert!(given == pixels(&rig, "name=John+Doe").await);
    assert!(given != pixels(&rig, "name=Ana").await);
    let single = pixels(&rig, "initials=JD&length=1").await;
    assert!(single == pixels(&rig, "name=John").await);
    let long = pixels(&rig, "initials=ABCDEFGH").await;
    assert!(long == pixels(&rig, "initials=ABC").await);
    // What cannot be shown leaves the name.
    let number = pixels(&rig, "initials=628123456&name=Ana").await;
    assert!(number == pixels(&rig, "name=Ana").await);
    let svg = draw(&rig, "initials=%3Cb%3E&format=svg").await;
    assert!(svg.text().contains("&lt;b&gt;"), "{}", svg.text());
}

#[tokio::test]
async fn wide_letters_stay_inside_the_disc() {
    let rig = Rig::start().await;
    let zalgo = format!("Z{0} Z{0}", "\u{300}\u{301}\u{302}\u{303}".repeat(9));
    let queries = [
        "அகு அகு",
        "ஔ ஔ",
        "🌸🌸 🌸",
        "ǆuro ǆeko",
        "ဪ ဪ",
        "මලෞ ඎ",
        "ഐ ഐ",
        "ᾫ Щ",
        "W M",
        "龍",
        &zalgo,
    ]
    .map(named);
    for query in queries.into_iter().chain(["initials=WWW".into()]) {
        let drawn = pixels(&rig, &format!("{query}&background=000&color=fff")).await;
        let far = |(x, y, pixel): &(u32, u32, &image::Rgba<u8>)| {
            let from_middle = (*x as f32 - 47.5).hypot(*y as f32 - 47.5);
            from_middle > 47.0 && pixel.0[..3].iter().any(|channel| *channel > 60)
        };
        let outside = drawn.enumerate_pixels().filter(far).count();
        assert_eq!(outside, 0, "{query}");
        assert!(
            count_inked(&drawn) > 150,
            "{query}: {}",
            count_inked(&drawn)
        );
    }
}

#[tokio::test]
async fn a_placeholder_has_the_colors_and_shape_of_its_url() {
    let rig = Rig::start().await;
    let ana = named("Ana Silva");
    let plain = pixels(&rig, &ana).await;

    let blue = pixels(&rig, &format!("{ana}&background=0D8ABC&color=ff0")).await;
    assert_eq!(blue.get_pixel(2, 2).0, [0x0D, 0x8A, 0xBC, 255]);
    assert!(blue.pixels().any(|pixel| pixel.0 == [255, 255, 0, 255]));

    // On a light background, letters are black unless the URL sets their color.
    let light = pixels(&rig, &format!("{ana}&background=ffe")).await;
    assert!(light.pixels().any(|pixel| pixel.0 == [0, 0, 0, 255]));

    let disc = pixels(&rig, &format!("{ana}&rounded=true")).await;
    assert_eq!(disc.get_pixel(2, 2).0[3], 0);
    assert_eq!(disc.get_pixel(48, 2), plain.get_pixel(48, 2));

    let bold = pixels(&rig, &format!("{ana}&bold=true")).await;
    assert!(count_inked(&bold) > count_inked(&plain) * 11 / 10);

    let single = pixels(&rig, &format!("{ana}&length=1")).await;
    assert_eq!(single, pixels(&rig, &named("Ana")).await);
    assert_ne!(single, plain);
    assert_eq!(
        plain,
        pixels(&rig, &format!("{ana}&length=2&background=random")).await
    );

    for style in ["mp", "identicon", "blank"] {
        let red = pixels(&rig, &format!("d={style}&background=f00&rounded=1")).await;
        assert_eq!(red.get_pixel(48, 2).0, [255, 0, 0, 255], "{style}");
        assert_eq!(red.get_pixel(2, 2).0[3], 0, "{style}");
    }
    let svg = draw(
        &rig,
        &format!("{ana}&background=0D8ABC&color=ff0&rounded=1&bold=1&format=svg"),
    )
    .await;
    for part in ["#0d8abc", "#ffff00", "clip-path", "font-weight=\"700\""] {
        assert!(svg.text().contains(part), "{part}: {}", svg.text());
    }
}

#[tokio::test]
async fn a_placeholder_s_color_depends_on_the_face_and_not_on_the_format() {
    let rig = Rig::start().await;
    let svg = draw(&rig, "name=Ana&format=svg").await;
    let (_, after) = svg.text().split_once("fill=\"#").unwrap();
    let color = u32::from_str_radix(&after[..6], 16).unwrap().to_be_bytes();
    let image = pixels(&rig, "name=Ana").await;
    assert_eq!(image.get_pixel(2, 2).0[..3], color[1..]);
    let other = rig
        .get("/avatar/waha/628100000103?name=Ana&format=png&s=96")
        .await;
    let other = image::load_from_memory(&other.body).unwrap().to_rgba8();
    assert_ne!(other.get_pixel(2, 2), image.get_pixel(2, 2));
}

#[tokio::test]
async fn f_gives_a_placeholder_in_pixels_although_there_is_a_picture() {
    let rig = Rig::start().await;
    let path = "/avatar/waha/628100000001?f=y&name=Ana&format=png&s=96";
    for _ in 0..2 {
        let answer = rig.get(path).await;
        assert_eq!(answer.reason(), "forced");
        assert_eq!(answer.header("content-type"), "image/png");
    }
    assert_eq!(rig.traffic(), (0, 0));
}
