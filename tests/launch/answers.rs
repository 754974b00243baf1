//! What QEMUs answer when the launcher asks them. `UPSTREAM` and `OLD` were recorded from Debian's 10.0.13 (11.1.3 answers
//! alike) and 7.2.22, `AMD_8_2` from AMD's branch snp-latest at f246dd2ad51d as this project builds it. The other trees of
//! AMD's were not run: their answers are the properties that target/i386/sev.c of branches snp-latest-gmem-v12 (8.0.0) and
//! snp-v3 (6.1.50) registers, in the form that all QEMUs print.

/// One QEMU: the first line of --version, and what `-object TYPE,help` prints.
pub struct Answers {
    pub version: &'static str,
    pub snp: Option<&'static str>,
    pub sev: &'static str,
}

pub const UPSTREAM: Answers = Answers {
    version: "QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)",
    snp: Some(
        "sev-snp-guest options:
  author-key-enabled=<bool>
  guest-visible-workarounds=<string>
  host-data=<string>
  id-auth=<string>
  id-block=<string>
  kernel-hashes=<bool>   - add kernel hashes to guest firmware for measured Linux boot
  policy=<uint64>
  sev-device=<string>    - SEV device to use
  vcek-disabled=<bool>
",
    ),
    sev: "sev-guest options:
  dh-cert-file=<string>  - guest owners DH certificate (encoded with base64)
  kernel-hashes=<bool>   - add kernel hashes to guest firmware for measured Linux boot
  legacy-vm-type=<OnOffAuto> - use legacy VM type to maintain measurement compatibility with older QEMU or kernel versions.
  session-file=<string>  - guest owners session parameters (encoded with base64)
  sev-device=<string>    - SEV device to use
",
};

/// Knows SEV and SEV-ES, but no SNP.
pub const OLD: Answers = Answers {
    version: "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)",
    snp: None,
    sev: "sev-guest options:
  dh-cert-file=<string>  - guest owners DH certificate (encoded with base64)
  kernel-hashes=<bool>   - add kernel hashes to guest firmware for measured Linux boot
  session-file=<string>  - guest owners session parameters (encoded with base64)
  sev-device=<string>    - SEV device to use
",
};

pub const AMD_8_2: Answers = Answers {
    version: "QEMU emulator version 8.2.0 (snpforge 8.2.0-gf246dd2ad51d)",
    snp: Some(
        "sev-snp-guest options:
  auth-key-enabled=<bool>
  certs-path=<string>
  guest-visible-workarounds=<string>
  host-data=<string>
  id-auth=<string>
  id-block=<string>
  init-flags=<uint64>    - guest initialization flags
  kernel-hashes=<bool>   - add kernel hashes to guest firmware for measured Linux boot
  policy=<uint64>
  sev-device=<string>    - SEV device to use
",
    ),
    sev: OLD.sev,
};

pub const AMD_8_0: Answers = Answers {
    version: "QEMU emulator version 8.0.0",
    snp: Some(
        "sev-snp-guest options:
  auth-key-enabled=<bool>
  discard=<string>
  guest-visible-workarounds=<string>
  host-data=<string>
  id-auth=<string>
  id-block=<string>
  init-flags=<uint64>    - guest initialization flags
  kernel-hashes=<bool>   - add kernel hashes to guest firmware for measured Linux boot
  policy=<uint64>
  sev-device=<string>    - SEV device to use
",
    ),
    sev: OLD.sev,
};

pub const AMD_6_1: Answers = Answers {
    version: "QEMU emulator version 6.1.50",
    snp: Some(
        "sev-snp-guest options:
  auth-key-enabled=<bool>
  guest-visible-workarounds=<string>
  host-data=<string>
  id-auth=<string>
  id-block=<string>
  init-flags=<uint64>    - guest initialization flags
  policy=<uint64>
  sev-device=<string>    - SEV device to use
",
    ),
    sev: "sev-guest options:
  dh-cert-file=<string>  - guest owners DH certificate (encoded with base64)
  session-file=<string>  - guest owners session parameters (encoded with base64)
  sev-device=<string>    - SEV device to use
",
};
