//! Every kind of image file that a vendor may send, and the right result of each: shown as it is, shown
//! without its metadata, or refused as `vendor_error` while the good picture stays.

use crate::support::{
    Answer, Rig,
    image_files::{self as files, *},
    old_cache,
    rig::Settings,
};
use faceplate::emulator::{Fault, Picture, Rule};
use image::{GenericImageView, ImageFormat, Rgba};
use moxcms::ColorProfile;

const FACE: &str = "628100000001";

/// A server whose CDN sends `file` for every picture.
async fn rig_with(file: &[u8]) -> Rig {
    let rig = Settings::default().start().await;
    serve(&rig, file);
    rig
}

fn serve(rig: &Rig, file: &[u8]) {
    rig.vendors().clear_faults();
    let bytes = file.to_vec();
    rig.inject(Rule::cdn(Fault::File { bytes }));
}

async fn variant(rig: &Rig, query: &str) -> Answer {
    rig.get(&format!("/avatar/waha/{FACE}?{query}")).await
}

/// The colors of a variant in the middle of its upper and of its lower half.
fn halves(answer: &Answer) -> [Rgba<u8>; 2] {
    assert_eq!(answer.source(), "picture", "{}", answer.cache_status());
    let image = image::load_from_memory(&answer.body).unwrap();
    let (width, height) = image.dimensions();
    [height / 4, 3 * height / 4].map(|y| image.get_pixel(width / 2, y))
}

#[track_caller]
fn assert_near(found: Rgba<u8>, expected: [u8; 3], kind: &str) {
    let distance = |(a, b): (u8, u8)| a.abs_diff(b);
    let channels = found.0.into_iter().zip(expected).map(distance);
    assert!(
        channels.max().unwrap() < 24,
        "{kind}: {found:?} is not {expected:?}"
    );
}

#[track_caller]
fn assert_red_above_blue(answer: &Answer, kind: &str) {
    let [above, below] = halves(answer);
    assert_near(above, [220, 30, 30], kind);
    assert_near(below, [30, 30, 220], kind);
}

fn to_profile(profile: &ColorProfile) -> Vec<u8> {
    profile.encode().unwrap()
}

/// A profile whose header claims another color space than its tables describe.
fn claiming(space: &[u8; 4]) -> Vec<u8> {
    let mut profile = to_profile(&ColorProfile::new_display_p3());
    profile[16..20].copy_from_slice(space);
    profile
}

/// A gray profile with this gamma.
fn gray_profile(gamma: f32) -> Vec<u8> {
    to_profile(&ColorProfile::new_gray_with_gamma(gamma))
}

#[tokio::test]
async fn unusual_files_that_browsers_show_are_shown_byte_for_byte() {
    let jpeg = plain(ImageFormat::Jpeg);
    let kinds: Vec<(&str, Vec<u8>)> = vec![
        (
            "JPEG with fill bytes before markers",
            jpeg_with_fill_bytes(),
        ),
        ("JPEG with bytes between segments", jpeg_with_junk()),
        (
            "JPEG with zeros behind its end",
            [&jpeg[..], &[0; 512]].concat(),
        ),
        (
            "JPEG with one scan for each component",
            jpeg_with_separate_scans(),
        ),
        ("CMYK JPEG", cmyk_jpeg(None)),
        (
            "CMYK JPEG with a profile",
            cmyk_jpeg(Some(&claiming(b"CMYK"))),
        ),
        (
            "PNG with zeros behind its end",
            [&plain(ImageFormat::Png)[..], &[0; 512]].concat(),
        ),
        ("PNG of 16 bits", png_bomb(64)),
        ("WebP with scale bits", webp_with_scale_bits()),
        ("lossless WebP", plain(ImageFormat::WebP)),
        (
            "GIF with zeros behind its end",
            [&gif(64, 64)[..], &[0; 512]].concat(),
        ),
        ("GIF with a first frame larger than its canvas", gif(32, 64)),
    ];
    for (kind, file) in kinds {
        let rig = rig_with(&file).await;
        let answer = rig.face("waha", FACE).await;
        assert_eq!(
            answer.source(),
            "picture",
            "{kind}: {}",
            answer.cache_status()
        );
        assert!(answer.body == file, "{kind}: the bytes differ");
    }
}

#[tokio::test]
async fn files_that_no_browser_shows_never_replace_a_good_picture() {
    let header = png_header(40, 8, 2);
    let pixels = png_pixels(true);
    let with_thumbnail = jpeg_with_thumbnail();
    let palette = chunk(b"PLTE", b"abc", true);
    let mut wrong_header = png_of(&header, b"", &pixels);
    wrong_header[30] ^= 1;
    let kinds: Vec<(&str, Vec<u8>)> = vec![
        (
            "JPEG cut inside its thumbnail",
            with_thumbnail[..400].to_vec(),
        ),
        (
            "JPEG cut behind its thumbnail",
            with_thumbnail[..with_thumbnail.len() - 60].to_vec(),
        ),
        ("JPEG without a scan", jpeg_without_scan()),
        ("lossless JPEG", jpeg_with_frame(0xC3, 8)),
        ("JPEG of twelve bits", jpeg_with_frame(0xC1, 12)),
        ("PNG without pixels", png_of(&header, b"", b"")),
        ("PNG with a wrong header checksum", wrong_header),
        (
            "PNG with damaged pixels",
            png_of(&header, b"", &png_pixels(false)),
        ),
        ("PNG whose pixels are not compressed", png_without_sense()),
        (
            "PNG of an impossible color type",
            png_of(&png_header(40, 8, 9), b"", &pixels),
        ),
        (
            "PNG of an impossible depth",
            png_of(&png_header(40, 3, 2), b"", &pixels),
        ),
        (
            "PNG with two palettes",
            png_of(&header, &[&palette[..], &palette].concat(), &pixels),
        ),
        (
            "PNG with an unknown critical chunk",
            png_of(&header, &chunk(b"ABCD", b"x", true), &pixels),
        ),
        (
            "WebP cut with its RIFF size adjusted",
            cut_webp(0.7, |length| length as u32 - 8),
        ),
        ("WebP cut with a RIFF size of zero", cut_webp(0.7, |_| 0)),
        ("WebP with a RIFF size of zero", cut_webp(1.0, |_| 0)),
        (
            "GIF cut before its trailer",
            gif(64, 64)[..gif(64, 64).len() - 1].to_vec(),
        ),
    ];
    for (kind, file) in kinds {
        let rig = Settings::default().start().await;
        let good = rig.face("waha", FACE).await;
        good.assert_picture(&rig.bytes(FACE));
        rig.hours(25);
        rig.vendors().set_picture(FACE, Picture::Face(24)).unwrap();
        serve(&rig, &file);
        let after = variant(&rig, "refresh=true").await;
        assert_eq!(after.reason(), "vendor_error", "{kind}");
        assert!(after.body == good.body, "{kind}: the good picture is gone");
        let stranger = rig.face("waha", "628100000002").await;
        assert_eq!(stranger.source(), "fallback", "{kind}");
        assert_eq!(stranger.header("cache-control"), "no-store", "{kind}");
    }
}

#[tokio::test]
async fn camera_and_place_never_leave_in_an_original_or_a_variant() {
    let kinds = [
        ("JPEG", jpeg_with_metadata(6)),
        ("PNG", png_with_metadata(6)),
        ("WebP", webp_with_metadata(6)),
        ("GIF", gif_with_comment()),
    ];
    for (kind, file) in kinds {
        assert!(holds_private_text(&file), "{kind}");
        let rig = rig_with(&file).await;
        for query in ["", "s=640", "s=96&format=jpeg", "format=png"] {
            let answer = variant(&rig, query).await;
            assert_eq!(answer.source(), "picture", "{kind} {query}");
            assert!(!holds_private_text(&answer.body), "{kind} {query}");
        }
    }
}

fn holds_private_text(bytes: &[u8]) -> bool {
    bytes
        .windows(PRIVATE_TEXT.len())
        .any(|text| text == PRIVATE_TEXT)
}

#[tokio::test]
async fn an_original_without_its_metadata_is_still_turned_upright() {
    for (kind, file) in [
        ("JPEG", jpeg_with_metadata(3)),
        ("PNG", png_with_metadata(3)),
        ("WebP", webp_with_metadata(3)),
    ] {
        let rig = rig_with(&file).await;
        let [above, below] = halves(&variant(&rig, "s=96&format=png").await);
        assert_near(above, [30, 30, 220], kind);
        assert_near(below, [220, 30, 30], kind);
        let original = variant(&rig, "").await;
        let turned = files::orientation(&original.body);
        assert_eq!(turned, 3, "{kind}");
    }
}

#[tokio::test]
async fn colors_of_variants_follow_a_profile_only_where_it_fits_the_pixels() {
    let cmyk = claiming(b"CMYK");
    let kinds: Vec<(&str, Vec<u8>)> = vec![
        ("RGB PNG with a CMYK profile", png_with_profile(&cmyk)),
        (
            "RGB PNG with a Lab profile",
            png_with_profile(&claiming(b"Lab ")),
        ),
        (
            "RGB PNG with a gray profile",
            png_with_profile(&gray_profile(1.0)),
        ),
        (
            "RGB JPEG with a CMYK profile",
            jpeg_with(&icc_segment(&cmyk)),
        ),
        ("RGB WebP with a CMYK profile", webp_with_profile(&cmyk)),
        ("CMYK JPEG without a profile", cmyk_jpeg(None)),
        ("CMYK JPEG with a CMYK profile", cmyk_jpeg(Some(&cmyk))),
        (
            "CMYK JPEG with an RGB profile",
            cmyk_jpeg(Some(&to_profile(&ColorProfile::new_display_p3()))),
        ),
        (
            "CMYK JPEG with a gray profile",
            cmyk_jpeg(Some(&gray_profile(1.0))),
        ),
    ];
    for (kind, file) in kinds {
        let rig = rig_with(&file).await;
        assert_red_above_blue(&variant(&rig, "s=96&format=png").await, kind);
    }
}

fn icc_segment(profile: &[u8]) -> Vec<u8> {
    segment(0xE2, &[b"ICC_PROFILE\0\x01\x01", profile].concat())
}

#[tokio::test]
async fn a_gray_profile_counts_for_gray_pixels() {
    // A linear gray of 127 is a lighter one in sRGB, whose curve is steep in the dark.
    let rig = rig_with(&gray_jpeg(127, &gray_profile(1.0))).await;
    let [above, _] = halves(&variant(&rig, "s=32&format=png").await);
    assert_near(above, [187, 187, 187], "gray JPEG with a linear profile");
}

#[tokio::test]
async fn a_profile_of_another_color_space_leaves_gray_pixels_as_they_are() {
    // The curves of this one are linear, too.
    let rgb = to_profile(&ColorProfile::new_aces_cg_linear());
    for (kind, profile) in [
        ("gray JPEG with a CMYK profile", claiming(b"CMYK")),
        ("gray JPEG with an RGB profile", rgb),
    ] {
        let rig = rig_with(&gray_jpeg(127, &profile)).await;
        let [above, _] = halves(&variant(&rig, "s=32&format=png").await);
        assert_near(above, [127, 127, 127], kind);
    }
}

#[tokio::test]
async fn a_file_that_the_decoder_misreads_is_right_or_the_original() {
    let file = jpeg_with_separate_scans();
    let rig = rig_with(&file).await;
    for query in ["s=32&format=png", "s=32&format=webp", "format=png"] {
        let answer = variant(&rig, query).await;
        if answer.body != file {
            assert_red_above_blue(&answer, query);
        }
    }
}

#[tokio::test]
async fn a_jpeg_with_a_damaged_color_segment_has_variants() {
    // Eleven of the twelve bytes that an Adobe segment has, as in files of some editors.
    let short = jpeg_with(b"\xFF\xEE\0\x0DAdobe\0d\x40\0\0\0\x01");
    for (kind, file) in [
        ("a short Adobe segment", short),
        (
            "an unknown color transform",
            jpeg_with(b"\xFF\xEE\0\x0EAdobe\0d\x40\0\0\0\x09"),
        ),
        ("an empty segment", jpeg_with(b"\xFF\xEE\0\0")),
        ("bytes between segments", jpeg_with_junk()),
    ] {
        let rig = rig_with(&file).await;
        let small = variant(&rig, "s=32&format=png").await;
        assert_eq!(small.source(), "picture", "{kind}");
        assert_red_above_blue(&small, kind);
    }
}

#[tokio::test]
async fn the_canvas_of_a_gif_grows_to_its_first_frame() {
    let rig = rig_with(&gif(32, 64)).await;
    let answer = variant(&rig, "format=png").await;
    let image = image::load_from_memory(&answer.body).unwrap();
    assert_eq!(image.dimensions(), (64, 64));
    assert_red_above_blue(&answer, "GIF");
}

/// Version 0.1.0 stored pictures as they came, and marked nothing in its entries.
#[tokio::test]
async fn a_picture_that_an_earlier_version_stored_loses_its_metadata_when_it_is_read() {
    let with_metadata = jpeg_with_metadata(6);
    let mut rig = rig_with(&with_metadata).await;
    let stripped = variant(&rig, "").await;
    rig.stop().await;
    old_cache::store_as_0_1_0(rig.cache.path(), &with_metadata);
    rig.restart().await;
    rig.traffic();
    for query in ["", "s=640", "format=jpeg", "s=640&format=jpeg"] {
        let answer = variant(&rig, query).await;
        assert_eq!(answer.source(), "picture", "{query}");
        assert!(!holds_private_text(&answer.body), "{query}");
    }
    assert!(variant(&rig, "").await.body == stripped.body);
    assert_eq!(rig.traffic(), (0, 0));
}
