//! Keys and messages made by the tests, two messages made by GnuPG, and the archives' own keyrings.

use super::*;

#[path = "../../../tests/support/archive.rs"]
mod support;
use support::{DAY, KeyTraits, MADE, Signer, sign_all};

const TEXT: &str = "Suite: test\n- dash\n\ttab, then spaces\nlast\n";

fn at(seconds: u32) -> Epoch {
    Epoch(u64::from(seconds))
}

fn ring(keys: &[&Signer]) -> Keyring {
    let bytes: Vec<u8> = keys.iter().flat_map(|key| key.keyring()).collect();
    Keyring::parse("keyring.gpg", &bytes, &[]).unwrap()
}

/// What is wrong with a message, and what to do.
fn fault(message: &str, keyring: &Keyring, now: u32) -> (String, String) {
    let error = verify("dists/test/InRelease", message.as_bytes(), keyring, at(now)).unwrap_err();
    assert_eq!((error.kind(), error.object()), (Kind::Trust, "dists/test/InRelease"));
    (error.cause().to_owned(), error.remedy_text().unwrap_or_default().to_owned())
}

#[test]
fn a_good_signature_gives_the_text_and_its_signer() {
    for traits in [KeyTraits::default(), KeyTraits { subkey: true, life: Some(DAY), ..KeyTraits::default() }] {
        let signer = Signer::with(1, &traits);
        let message = signer.sign(TEXT).replace("then spaces", "then spaces \t ");
        let signed = verify("InRelease", message.as_bytes(), &ring(&[&signer]), at(MADE + 60)).unwrap();
        assert_eq!(signed.signer, signer.fingerprint());
        assert_eq!(signed.text, TEXT.trim_end());
    }
}

#[test]
fn line_ends_of_another_system_change_nothing() {
    let signer = Signer::new(1);
    let message = signer.sign(TEXT).replace('\n', "\r\n");
    assert_eq!(verify("InRelease", message.as_bytes(), &ring(&[&signer]), at(MADE)).unwrap().text, TEXT.trim_end());
}

#[test]
fn changed_text_is_refused() {
    let signer = Signer::new(1);
    let ring = ring(&[&signer]);
    let message = signer.sign(TEXT);
    for (old, new) in
        [("last", "lost"), ("last", "last\n"), ("- - dash", "- dash"), ("\ttab", " tab"), ("- - dash\n", "")]
    {
        let changed = message.replacen(old, new, 1);
        assert_ne!(changed, message);
        let (cause, remedy) = fault(&changed, &ring, MADE);
        assert!(cause.contains("does not fit the text") && cause.contains(&signer.fingerprint()), "{cause}");
        assert!(remedy.contains("another mirror"), "{remedy}");
    }
}

#[test]
fn text_outside_the_signed_block_is_refused() {
    let signer = Signer::new(1);
    let ring = ring(&[&signer]);
    let message = signer.sign(TEXT);
    assert!(fault(&format!("Suite: evil\n\n{message}"), &ring, MADE).0.contains("does not begin with"));
    assert!(fault(&format!("{message}Suite: evil\n"), &ring, MADE).0.contains("nobody signed"));
    assert!(fault(TEXT, &ring, MADE).0.contains("does not begin with"));
    let bytes = [message.as_bytes(), &[0xff]].concat();
    assert!(verify("x", &bytes, &ring, at(MADE)).unwrap_err().cause().contains("UTF-8"));
}

#[test]
fn unknown_and_untrusted_keys_are_told_apart() {
    let (known, stranger) = (Signer::new(1), Signer::new(2));
    let message = stranger.sign(TEXT);
    let (cause, remedy) = fault(&message, &ring(&[&known]), MADE);
    assert!(cause.contains("not in the keyring") && cause.contains(&stranger.fingerprint()), "{cause}");
    assert!(remedy.contains("keyring"), "{remedy}");

    let bytes = [known.keyring(), stranger.keyring()].concat();
    let wanted = known.fingerprint().to_lowercase();
    let restricted = Keyring::parse("keyring.gpg", &bytes, std::slice::from_ref(&wanted)).unwrap();
    assert_eq!(restricted.trusted().collect::<Vec<_>>(), [known.fingerprint()]);
    let (cause, remedy) = fault(&message, &restricted, MADE);
    assert!(cause.contains("`signers` does not name") && remedy.contains("`signers`"), "{cause}: {remedy}");
    assert!(verify("x", known.sign(TEXT).as_bytes(), &restricted, at(MADE)).is_ok());
}

#[test]
fn one_good_signature_among_others_is_enough() {
    let (old, good) = (Signer::with(1, &KeyTraits { life: Some(DAY), ..KeyTraits::default() }), Signer::new(2));
    let message = sign_all(&[&Signer::new(3), &old, &good], TEXT, MADE);
    let later = MADE + 2 * DAY;
    let signed = verify("x", message.as_bytes(), &ring(&[&old, &good]), at(later)).unwrap();
    assert_eq!(signed.signer, good.fingerprint());
    // Without the good key every signature is named with its own fault, and the nearest one gives the remedy.
    let (cause, remedy) = fault(&message, &ring(&[&old]), later);
    assert!(cause.contains(&good.fingerprint()) && cause.contains("not in the keyring"), "{cause}");
    assert!(cause.contains(&old.fingerprint()) && cause.contains("valid until 2026-01-02T00:00:00Z"), "{cause}");
    assert!(remedy.contains("update the archive's `keyring`"), "{remedy}");
}

#[test]
fn the_end_of_a_key_is_judged_at_the_given_time() {
    let key = KeyTraits { life: Some(DAY), ..KeyTraits::default() };
    let subkey = KeyTraits { subkey: true, subkey_life: Some(DAY), ..KeyTraits::default() };
    let primary = KeyTraits { subkey: true, life: Some(DAY), ..KeyTraits::default() };
    for traits in [key, subkey, primary] {
        let signer = Signer::with(1, &traits);
        let (message, ring) = (signer.sign(TEXT), ring(&[&signer]));
        assert!(verify("x", message.as_bytes(), &ring, at(MADE + DAY - 1)).is_ok(), "{traits:?}");
        let (cause, _) = fault(&message, &ring, MADE + DAY);
        assert!(cause.contains("is expired"), "{cause} for {traits:?}");
    }
}

#[test]
fn a_signature_of_tomorrow_blames_the_clock() {
    let signer = Signer::new(1);
    let message = sign_all(&[&signer], TEXT, MADE + 2 * DAY);
    let (cause, remedy) = fault(&message, &ring(&[&signer]), MADE);
    assert!(cause.contains("2026-01-03T00:00:00Z") && remedy.contains("clock"), "{cause}: {remedy}");
}

#[test]
fn revoked_keys_never_count() {
    let key = KeyTraits { revoked: true, ..KeyTraits::default() };
    let owner = KeyTraits { revoked: true, subkey: true, ..KeyTraits::default() };
    let subkey = KeyTraits { subkey: true, subkey_revoked: true, ..KeyTraits::default() };
    for traits in [key, owner, subkey] {
        let signer = Signer::with(1, &traits);
        let (cause, _) = fault(&signer.sign(TEXT), &ring(&[&signer]), MADE);
        assert!(cause.contains("was revoked"), "{cause} for {traits:?}");
    }
    // A copy of the certificate from before its revocation does not help.
    let (before, after) = (Signer::new(1), Signer::with(1, &KeyTraits { revoked: true, ..KeyTraits::default() }));
    assert!(fault(&before.sign(TEXT), &ring(&[&before, &after]), MADE).0.contains("was revoked"));
}

#[test]
fn a_subkey_that_did_not_consent_is_refused() {
    let signer = Signer::with(1, &KeyTraits { subkey: true, without_consent: true, ..KeyTraits::default() });
    let (cause, _) = fault(&signer.sign(TEXT), &ring(&[&signer]), MADE);
    assert!(cause.contains("did not agree"), "{cause}");
}

#[test]
fn messages_and_keys_made_by_gnupg() {
    let key = include_bytes!("../../../tests/fixtures/archive/gnupg-key.asc");
    let ring = Keyring::parse("gnupg-key.asc", key, &[]).unwrap();
    let good = include_bytes!("../../../tests/fixtures/archive/gnupg-sha512.asc");
    let made = verify("good", good, &ring, Epoch(GNUPG_MADE)).unwrap();
    assert_eq!(made.text, "Suite: test\n- a line with a dash\n\nFrom the test\nlast line");
    let weak = include_bytes!("../../../tests/fixtures/archive/gnupg-sha1.asc");
    let error = verify("weak", weak, &ring, Epoch(GNUPG_MADE)).unwrap_err();
    assert!(error.kind() == Kind::Trust && error.cause().contains("uses SHA1"), "{error}");
    // The same bytes with the weak hash relabelled are simply wrong.
    let relabelled = String::from_utf8_lossy(weak).replace("Hash: SHA1", "Hash: SHA512");
    assert!(verify("weak", relabelled.as_bytes(), &ring, Epoch(GNUPG_MADE)).is_err());
}

/// When the fixtures were made.
const GNUPG_MADE: u64 = 1_767_225_600;

#[test]
fn keyrings_in_every_form() {
    let (one, two) = (Signer::new(1), Signer::with(2, &KeyTraits { subkey: true, ..KeyTraits::default() }));
    let both: Vec<String> =
        [&one, &two].map(|key| key.fingerprint()).into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let binary = [one.keyring(), two.keyring()].concat();
    let armoured = format!("One key:\n{}\nAnother:\n{}", one.armoured(), two.armoured()).into_bytes();
    for bytes in [binary, armoured] {
        let ring = Keyring::parse("ring", &bytes, &[]).unwrap();
        assert_eq!(ring.trusted().collect::<Vec<_>>(), both);
        assert!(verify("x", two.sign(TEXT).as_bytes(), &ring, at(MADE)).is_ok());
    }
    let cut = &one.keyring()[..40];
    for bytes in [&b""[..], b"not a keyring", cut, b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!\n"] {
        let error = Keyring::parse("ring", bytes, &[]).unwrap_err();
        assert!(error.kind() == Kind::Trust && error.object() == "ring", "{error}");
    }
    let absent = "0123456789012345678901234567890123456789".to_owned();
    let error = Keyring::parse("ring", &one.keyring(), std::slice::from_ref(&absent)).unwrap_err();
    assert!(error.cause().contains(&absent) && error.cause().contains(&one.fingerprint()), "{error}");
}

#[test]
fn the_keyrings_of_this_project_hold_debians_keys() {
    let automatic = |release: &str, fingerprints: &[&str], bytes: &[u8]| {
        let ring = Keyring::parse(release, bytes, &[]).unwrap();
        assert_eq!(ring.trusted().collect::<Vec<_>>(), fingerprints, "{release}");
    };
    automatic(
        "bookworm",
        &["4D64FEC119C2029067D6E791F8D2585B8783D481", "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8"],
        include_bytes!("../../../images/keys/debian-archive-bookworm.gpg"),
    );
    automatic(
        "trixie",
        &["04B54C3CDCA79751B16BC6B5225629DF75B188BD", "41587F7DB8C774BCCF131416762F67A0B2C39DE4"],
        include_bytes!("../../../images/keys/debian-archive-trixie.gpg"),
    );
}

#[test]
fn of_ubuntus_keys_the_definition_believes_one() {
    let definition = include_str!("../../../images/ubuntu-22.04.toml");
    let definition = crate::definition::ImageDefinition::parse("ubuntu-22.04.toml", definition).unwrap();
    assert_eq!(definition.archive.as_ref().unwrap().keyring, "keys/ubuntu-archive.gpg");
    let bytes = include_bytes!("../../../images/keys/ubuntu-archive.gpg");
    let all = Keyring::parse("ubuntu", bytes, &[]).unwrap();
    let (archive, old, media) = (
        "F6ECB3762474EDA9D21B7022871920D1991BC93C",
        "790BC7277767219C42C86F933B4FE6ACC0B21F32",
        "843938DF228D22F7B3742BC0D94AA3F0EFE21092",
    );
    assert_eq!(all.trusted().collect::<Vec<_>>(), [old, media, archive]);
    let believed = Keyring::parse("ubuntu", bytes, &definition.archive.unwrap().signers).unwrap();
    assert_eq!(believed.trusted().collect::<Vec<_>>(), [archive]);
}
