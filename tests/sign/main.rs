//! Signing and verifying a release, through the program as a user runs it: every kind of tampering, keys that may and may
//! not sign, exit codes; and against this machine's ssh-keygen in both directions, ignored where there is none.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what went wrong by panicking, and writes only scratch files"
)]

mod content;
mod keys;
mod release;
mod signers;
mod ssh;

use libtest_mimic::{Arguments, Completion, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let plain = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let usable = ssh::usable();
    let against = |name: &str, test: fn()| {
        let usable = usable.clone();
        Trial::ignorable_test(name, move || {
            Ok(usable.map_or_else(Completion::ignored_with, |()| {
                test();
                Completion::Completed
            }))
        })
    };
    let trials = vec![
        plain("a_signed_release_holds_however_it_is_named", content::holds_however_it_is_named),
        plain("signing_again_changes_nothing", content::signing_again_changes_nothing),
        plain("every_change_of_a_file_is_seen", content::every_change_of_a_file_is_seen),
        plain("what_is_no_plain_file_is_refused", content::what_is_no_plain_file_is_refused),
        plain("parts_of_a_release_are_enough_and_said", content::parts_are_enough_and_said),
        plain("sums_alone_are_never_called_good", content::sums_alone),
        plain("what_does_not_hold_is_never_signed", content::never_signed),
        plain("no_release_is_a_wrong_use", content::no_release),
        plain("json_tells_the_same", content::json),
        plain("signatures_that_do_not_count", signers::signatures_that_do_not_count),
        plain("keys_are_counted_not_files_nor_names", signers::keys_are_counted),
        plain("the_allowed_signers_decide", signers::the_allowed_signers_decide),
        plain("hostile_signature_files", signers::hostile_files),
        plain("more_signatures_than_are_looked_at", signers::more_than_are_looked_at),
        plain("a_key_that_cannot_be_used_gets_the_way_out", keys::way_out),
        against("signatures_are_the_bytes_of_ssh_keygen", ssh::same_bytes),
        against("ssh_keygen_verifies_ours_and_we_verify_its", ssh::both_ways),
        against("a_signature_for_another_namespace", ssh::another_namespace),
        against("other_kinds_of_keys_get_the_way_out", ssh::other_kinds),
        against("allowed_signers_are_read_as_ssh_keygen_reads_them", ssh::same_judgement),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}
