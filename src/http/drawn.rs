//! Text and curves for a page. Pure. What databases say is text there and nothing else.

use std::fmt::Write;

/// Text as HTML shows it, in content and in attributes between double quotes; what can't be seen, or turns the direction of what
/// stands around it, is shown as a sign of its own.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                safe.push('\u{fffd}');
            }
            _ if letter.is_control() => safe.push('\u{fffd}'),
            _ => safe.push(letter),
        }
    }
    safe
}

const HEIGHT: f64 = 40.0;
/// Room above and below, so that no line is cut off.
const ROOM: f64 = 2.0;

/// A curve with what it is now and at most; gaps stay gaps. `said` says a value. What is below `full` doesn't reach the top, or a few
/// milliseconds would look like trouble.
pub(super) fn curve(
    (kind, name): (&str, &str),
    points: &[Option<f64>],
    full: f64,
    said: impl Fn(f64) -> String,
) -> String {
    let most = points.iter().flatten().copied().fold(0.0, f64::max);
    let last = points.iter().rev().flatten().next();
    let words = match last {
        None => format!("{name}: nothing was measured yet"),
        Some(last) => format!(
            "{name}: {} now, at most {} in the last hour",
            said(*last),
            said(most)
        ),
    };
    let words = escaped(&words);
    let (line, below) = paths(points, most.max(full));
    let width = points.len().max(1);
    format!(
        "<figure class=\"{kind}\"><figcaption>{words}</figcaption><svg viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{words}\">\
         <path class=\"below\" d=\"{below}\"/><path d=\"{line}\"/></svg></figure>"
    )
}

/// The line, and the area below it.
fn paths(points: &[Option<f64>], most: f64) -> (String, String) {
    let ground = HEIGHT - ROOM;
    let height = |value: f64| match most > 0.0 {
        true => ground - value / most * (HEIGHT - 2.0 * ROOM),
        false => ground,
    };
    let (mut line, mut below) = (String::new(), String::new());
    let mut begun = None;
    for (at, point) in points.iter().enumerate() {
        match (point, begun) {
            (Some(value), None) => {
                let y = height(*value);
                // A point is as wide as its time: one alone is seen, too.
                let _ = write!(line, "M{at} {y:.1}h1");
                let _ = write!(below, "M{at} {ground}V{y:.1}");
                begun = Some(at);
            }
            (Some(value), Some(_)) => {
                let y = height(*value);
                let _ = write!(line, "L{at} {y:.1}");
                let _ = write!(below, "L{at} {y:.1}");
            }
            (None, Some(_)) => {
                let _ = write!(below, "V{ground}Z");
                begun = None;
            }
            (None, None) => {}
        }
    }
    if begun.is_some() {
        let _ = write!(below, "V{ground}Z");
    }
    (line, below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p16_text_is_text() {
        assert_eq!(
            escaped("<img src=x onerror='a(\"b\")'>&\u{202e}\u{1b}\0\n"),
            "&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt;&amp;\u{fffd}\u{fffd}\u{fffd} "
        );
        assert_eq!(escaped("größe 表"), "größe 表");
    }

    #[test]
    fn gaps_stay_gaps_and_the_highest_is_at_the_top() {
        let points = [None, Some(10.0), Some(0.0), None, Some(5.0)];
        let (line, below) = paths(&points, 10.0);
        assert_eq!(line, "M1 2.0h1L2 38.0M4 20.0h1");
        assert_eq!(below, "M1 38V2.0L2 38.0V38ZM4 38V20.0V38Z");
        assert_eq!(paths(&[Some(0.0), Some(0.0)], 0.0).0, "M0 38.0h1L1 38.0");
        let drawn = curve(("lag", "behind"), &points, 1.0, |value| {
            format!("{value} <s>")
        });
        assert!(
            drawn.contains("behind: 5 &lt;s&gt; now, at most 10 &lt;s&gt; in the last hour"),
            "{drawn}"
        );
        assert!(
            curve(("lag", "behind"), &[None], 1.0, |_| String::new())
                .contains("nothing was measured yet")
        );
    }
}
