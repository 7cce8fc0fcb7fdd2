// SPDX-License-Identifier: GPL-2.0

//! Escapes for XML, and for the labels of Graphviz that look like HTML.

/// Escapes text for XML, inside of an element or an attribute. What XML allows in no form is shown as in the text of
/// `/proc/nsinspect`: a backslash and three octal digits for each byte.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut buffer = [0; 4];
    for one in text.chars() {
        match one {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ if is_allowed(one) => out.push(one),
            _ => {
                for byte in one.encode_utf8(&mut buffer).bytes() {
                    out.push_str(&format!("\\{byte:03o}"));
                }
            }
        }
    }
    out
}

/// Whether XML 1.0 allows a character that is in no need of an escape. Control characters it discourages are not among
/// them, nor are line breaks and tabs, which would not be shown as they are.
fn is_allowed(one: char) -> bool {
    !one.is_control()
        && !matches!(one, '\u{fdd0}'..='\u{fdef}')
        && u32::from(one) & 0xfffe != 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml() {
        assert_eq!(
            escape("</text><script>alert('a' & \"b\")"),
            "&lt;/text&gt;&lt;script&gt;alert(&#39;a&#39; &amp; &quot;b&quot;)"
        );
        assert_eq!(escape("a\0b\u{1b}[31m\n\t"), "a\\000b\\033[31m\\012\\011");
        assert_eq!(
            escape("\u{85}\u{fffe}\u{1ffff}"),
            "\\302\\205\\357\\277\\276\\360\\237\\277\\277"
        );
        assert_eq!(escape("网站 é 🐳 \\N ]]>"), "网站 é 🐳 \\N ]]&gt;");
    }
}
