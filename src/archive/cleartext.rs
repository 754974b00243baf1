//! The frame of cleartext signed messages (RFC 9580, section 7), read strictly: nothing but the message may stand in
//! the file, so that what is read later is exactly what was signed. Verifies nothing: that is `signature`'s work.

/// A cleartext signed message, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleartext<'a> {
    /// The signed text: dash-escapes undone, white space at line ends cut, lines parted by `\n`, none after the last.
    pub text: String,
    /// The armoured signature block.
    pub signature: &'a str,
}

const HEAD: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// Whether the file claims to be a cleartext signed message.
pub fn is_framed(document: &str) -> bool {
    document.starts_with(HEAD)
}

/// Takes a message apart.
///
/// # Errors
/// What is wrong with the frame, in words.
pub fn split(document: &str) -> Result<Cleartext<'_>, &'static str> {
    let mut rest = document;
    if next_line(&mut rest) != Some(HEAD) {
        return Err("does not begin with a cleartext signed message");
    }
    loop {
        match next_line(&mut rest) {
            Some("") => break,
            // `Hash` is a hint that RFC 9580 deprecates; anything else (`NotDashEscaped`) would change the reading.
            Some(line) if line.starts_with("Hash: ") => {}
            Some(_) => return Err("has a header other than `Hash` before its text"),
            None => return Err("ends before its text"),
        }
    }
    let (text, block) = body(&mut rest)?;
    loop {
        match next_line(&mut rest) {
            Some(END) => break,
            Some(line) if line.starts_with("-----") => return Err("has a second block inside its signature"),
            Some(_) => {}
            None => return Err("ends before its signature does"),
        }
    }
    if !rest.bytes().all(|byte| byte.is_ascii_whitespace()) {
        return Err("has text after the signature, which nobody signed");
    }
    Ok(Cleartext { text, signature: &block[..block.len() - rest.len()] })
}

/// The signed lines, and the rest of the file from the signature's first line on; `rest` goes on after that line.
fn body<'a>(rest: &mut &'a str) -> Result<(String, &'a str), &'static str> {
    let mut text = String::with_capacity(rest.len());
    let mut first = true;
    loop {
        let here = *rest;
        let line = match next_line(rest) {
            None => return Err("has no signature"),
            Some(SIGNATURE) => return Ok((text, here)),
            Some(line) => line,
        };
        let line = match line.strip_prefix("- ") {
            Some(escaped) => escaped,
            None if line.starts_with('-') => return Err("has a line that begins with `-` and is not escaped"),
            None => line,
        };
        // A lone carriage return or a NUL would be read as one thing by the signer and as another by us.
        if line.contains(['\r', '\0']) {
            return Err("has a carriage return or a NUL inside a line");
        }
        if !first {
            text.push('\n');
        }
        first = false;
        text.push_str(line.trim_end_matches([' ', '\t']));
    }
}

/// Takes the next line, without its `\n` or `\r\n`; the last line may lack its end.
fn next_line<'a>(rest: &mut &'a str) -> Option<&'a str> {
    if rest.is_empty() {
        return None;
    }
    let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
    *rest = after;
    Some(line.strip_suffix('\r').unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nA: 1 \t\n- - x\n\n-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn a_good_message_and_its_other_line_ends() {
        let parts = split(GOOD).unwrap();
        assert_eq!(parts.text, "A: 1\n- x\n");
        assert_eq!(parts.signature, "-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n");
        let windows = GOOD.replace('\n', "\r\n");
        let parts = split(&windows).unwrap();
        assert_eq!(parts.text, "A: 1\n- x\n");
        assert!(parts.signature.starts_with(SIGNATURE) && parts.signature.ends_with("-----\r\n"));
        let unended = GOOD.trim_end();
        assert!(split(unended).unwrap().signature.ends_with("SIGNATURE-----"));
    }

    #[test]
    fn what_nobody_signed_is_refused() {
        let cases = [
            (format!("Suite: evil\n\n{GOOD}"), "begin with"),
            (format!("\n{GOOD}"), "begin with"),
            (format!("{GOOD}Suite: evil\n"), "after the signature"),
            (format!("{GOOD}{GOOD}"), "after the signature"),
            (GOOD.replace("Hash: SHA256", "NotDashEscaped: yes"), "header other"),
            (GOOD.replace("Hash: SHA256\n\n", "Hash: SHA256\n"), "header other"),
            (GOOD.replace("- - x", "- x\n-y"), "not escaped"),
            (GOOD.replace("A: 1", "A: 1\rB: 2"), "carriage return"),
            (GOOD.replace("A: 1", "A: 1\0"), "NUL"),
            (GOOD.replace("\nabc", "\nabc\n-----BEGIN PGP SIGNATURE-----"), "second block"),
            (GOOD.replace("-----END PGP SIGNATURE-----\n", ""), "ends before its signature"),
            (GOOD.split("-----BEGIN PGP SIGNATURE").next().unwrap().to_owned(), "no signature"),
            (HEAD.to_owned(), "ends before its text"),
            (format!("{HEAD}\n\nä\n{SIGNATURE}"), "ends before its signature"),
        ];
        for (document, cause) in cases {
            let found = split(&document).unwrap_err();
            assert!(found.contains(cause), "{found} for {document:?}");
        }
    }
}
