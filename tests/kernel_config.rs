//! The check that runs before a kernel is compiled: every wish of a fragment that did not come true must be named, with
//! the reason. The Kconfig trees are made here, a few lines each; images/kernel/check-config runs as the recipe runs it.
//! Ignored, with the reason, where there is no Python.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests write only scratch files")]

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::path::Path;
use std::process::{Command, ExitCode, Output};

const KCONFIG: &str = r#"
mainmenu "test"
source "arch/$(SRCARCH)/Kconfig"

config MODULES
	bool "modules"

config A_BOOL
	bool "a bool"
	help
	  The words of a help text are no attributes:
	  depends on NONSENSE
	  select RAISED_ONE

config A_TRISTATE
	tristate "a tristate"
	depends on MODULES && \
		(A_BOOL || !OTHER)

config OTHER
	bool "other"
	select HIDDEN
	select RAISED_ONE if A_BOOL

config HIDDEN
	bool
	default A_BOOL

config RAISED_ONE
	bool "raised"

menu "a menu"
	depends on MENU_SWITCH

if A_BOOL
config DEEP
	tristate
	prompt "deep"
	depends on OTHER
endif

config TEXT
	string "text"

endmenu

choice
	prompt "a choice"
config FIRST
	bool "first"
config SECOND
	bool "second"
endchoice

config NUMBER
	int "number"
config ADDRESS
	hex "address"
config MENU_SWITCH
	def_bool n
"#;

/// The case's name, the fragment, the resolved configuration, and what the check must say of it: none is "all is well".
type Case = (&'static str, &'static str, &'static str, &'static [&'static str]);

const CASES: &[Case] = &[
    ("a_wish_that_came_true", "CONFIG_A_BOOL=y\n# CONFIG_OTHER is not set\n", "CONFIG_A_BOOL=y\n", &[]),
    ("comments_are_no_wishes", "# About CONFIG_GONE, which is gone.\n\n", "", &[]),
    ("n_and_not_set_are_one", "CONFIG_OTHER=n\n", "# CONFIG_OTHER is not set\n", &[]),
    ("m_is_m", "CONFIG_A_TRISTATE=m\n", "CONFIG_A_TRISTATE=m\n", &[]),
    ("members_of_a_choice", "CONFIG_SECOND=y\n# CONFIG_FIRST is not set\n", "CONFIG_SECOND=y\n", &[]),
    ("a_symbol_of_this_architecture", "CONFIG_ON_X86=y\n", "CONFIG_ON_X86=y\n", &[]),
    (
        "values",
        "CONFIG_NUMBER=-07\nCONFIG_ADDRESS=0xAb\nCONFIG_TEXT=\"a \\\" b\"\n",
        "CONFIG_NUMBER=-7\nCONFIG_ADDRESS=0xab\nCONFIG_TEXT=\"a \\\" b\"\n",
        &[],
    ),
    ("an_empty_text", "CONFIG_TEXT=\"\"\n", "CONFIG_TEXT=\"\"\n", &[]),
    ("unknown", "CONFIG_A_BOOOL=y\n", "CONFIG_A_BOOL=y\n", &["UNKNOWN A_BOOOL (wish.config:1)", "there is A_BOOL"]),
    ("unknown_even_when_unwanted", "# CONFIG_GONE is not set\n", "", &["UNKNOWN GONE (wish.config:1)"]),
    ("a_symbol_of_another_architecture", "CONFIG_ON_ARM=y\n", "", &["UNKNOWN ON_ARM"]),
    ("a_symbol_named_in_a_help_text", "CONFIG_NONSENSE=y\n", "", &["UNKNOWN NONSENSE"]),
    ("a_text_cannot_be_not_set", "# CONFIG_TEXT is not set\n", "", &["BADTYPE TEXT", "its type is string"]),
    ("a_bool_cannot_be_m", "CONFIG_A_BOOL=m\n", "CONFIG_A_BOOL=y\n", &["BADTYPE A_BOOL", "its type is bool"]),
    ("a_number_is_no_text", "CONFIG_NUMBER=\"7\"\n", "CONFIG_NUMBER=7\n", &["BADTYPE NUMBER", "its type is int"]),
    (
        "lost_names_its_conditions_and_what_they_are",
        "\nCONFIG_A_TRISTATE=m\n",
        "CONFIG_MODULES=y\nCONFIG_OTHER=y\n",
        &[
            "LOST    A_TRISTATE (wish.config:2): wanted m, got n",
            "depends on MODULES && (A_BOOL || !OTHER); here A_BOOL=n, OTHER=y",
        ],
    ),
    ("lost_to_a_module", "CONFIG_A_TRISTATE=y\n", "CONFIG_A_TRISTATE=m\n", &["LOST    A_TRISTATE", "wanted y, got m"]),
    (
        "lost_inside_a_menu_and_an_if",
        "CONFIG_DEEP=y\n",
        "CONFIG_A_BOOL=y\n",
        &["LOST    DEEP", "depends on MENU_SWITCH && A_BOOL && OTHER; here MENU_SWITCH=n, OTHER=n"],
    ),
    ("a_text_that_is_nowhere", "CONFIG_TEXT=\"\"\n", "", &["LOST    TEXT", "depends on MENU_SWITCH"]),
    ("lost_without_a_prompt", "CONFIG_HIDDEN=y\n", "", &["LOST    HIDDEN", "it has no prompt", "selected by OTHER"]),
    (
        "raised_names_what_selects_it",
        "# CONFIG_RAISED_ONE is not set\n",
        "CONFIG_RAISED_ONE=y\nCONFIG_OTHER=y\n",
        &["RAISED  RAISED_ONE", "wanted n, got y; selected by OTHER if A_BOOL"],
    ),
    (
        "raised_by_nothing",
        "# CONFIG_FIRST is not set\n",
        "CONFIG_FIRST=y\n",
        &["RAISED  FIRST", "nothing selects it, so its default or another member of its choice decides"],
    ),
    ("raised_from_m", "CONFIG_A_TRISTATE=m\n", "CONFIG_A_TRISTATE=y\n", &["RAISED  A_TRISTATE", "wanted m, got y"]),
    ("changed", "CONFIG_NUMBER=16\n", "CONFIG_NUMBER=64\n", &["CHANGED NUMBER", "wanted 16, got 64"]),
    ("changed_text", "CONFIG_TEXT=\"a\"\n", "CONFIG_TEXT=\"b\"\n", &["CHANGED TEXT"]),
];

/// Fragments that are refused whatever the configuration holds, and the words that say why.
const REFUSED: &[(&str, &str, &str)] = &[
    ("a_space_around_the_sign", "CONFIG_A_BOOL = y\n", "wish.config:1: `CONFIG_A_BOOL = y` is no wish"),
    ("no_space_after_the_hash", "#CONFIG_A_BOOL is not set\n", "is no wish"),
    ("a_wish_with_a_remark", "# CONFIG_A_BOOL is not set, for now\n", "is no wish"),
    ("a_line_end_of_another_system", "CONFIG_A_BOOL=y\r\n", "is no wish"),
    ("the_prefix_left_out", "A_BOOL=y\n", "is no wish"),
    ("asked_for_twice", "CONFIG_A_BOOL=y\nCONFIG_A_BOOL=n\n", "wish.config:2: A_BOOL was asked for in line 1 already"),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let python = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    let trial = |name: String, test: Box<dyn FnOnce() -> Result<(), Failed> + Send>| {
        Trial::ignorable_test(name, move || match python {
            false => Ok(Completion::ignored_with("there is no python3, which check-config is written in")),
            true => test().map(|()| Completion::Completed),
        })
    };
    let mut trials: Vec<Trial> = CASES.iter().map(|case| trial(case.0.into(), Box::new(|| judged(case)))).collect();
    trials.extend(REFUSED.iter().map(|case| trial(format!("refused_{}", case.0), Box::new(|| refused(case)))));
    trials.push(trial("the_later_fragment_decides".into(), Box::new(later_decides)));
    trials.push(trial("an_alternative_stands_for_a_wish".into(), Box::new(alternatives)));
    trials.push(trial("every_fragment_is_well_formed".into(), Box::new(own_fragments)));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs the check on a tree of [`KCONFIG`] with `config` and `fragments`, which are (name, text).
fn check(config: &str, fragments: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    write("source/Kconfig", KCONFIG);
    write("source/arch/x86/Kconfig", "config ON_X86\n\tdef_bool y\n");
    write("source/arch/arm/Kconfig", "config ON_ARM\n\tdef_bool y\n");
    let mut command = Command::new("python3");
    command.arg("-I").arg(recipe().join("check-config")).arg(folder.path().join("source")).arg("x86");
    command.arg(write(".config", config)).arg(write("alternatives", ALTERNATIVES));
    for (name, text) in fragments {
        command.arg(write(name, text));
    }
    command.output().unwrap()
}

fn recipe() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("images/kernel")
}

/// Fails unless the check ended with `code` and said all of `wanted`.
fn expect(output: &Output, code: i32, wanted: &[&str]) -> Result<(), Failed> {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    if output.status.code() != Some(code) {
        return Err(format!("it ended with {}, not with {code}; it said:\n{said}", output.status).into());
    }
    match wanted.iter().find(|text| !said.contains(**text)) {
        Some(text) => Err(format!("it does not say `{text}` but:\n{said}").into()),
        None => Ok(()),
    }
}

fn judged((_, fragment, config, wanted): &Case) -> Result<(), Failed> {
    let output = check(config, &[("wish.config", fragment)]);
    match wanted {
        [] => expect(&output, 0, &["all came true"]),
        wanted => expect(&output, 1, wanted),
    }
}

fn refused((_, fragment, wanted): &(&str, &str, &str)) -> Result<(), Failed> {
    expect(&check("CONFIG_A_BOOL=y\n", &[("wish.config", fragment)]), 2, &[wanted])
}

fn later_decides() -> Result<(), Failed> {
    let fragments = [("first.config", "CONFIG_A_BOOL=y\n"), ("second.config", "# CONFIG_A_BOOL is not set\n")];
    let note = "note: A_BOOL=y of first.config gives way to n of second.config";
    expect(&check("", &fragments), 0, &[note])?;
    expect(&check("CONFIG_A_BOOL=y\n", &fragments), 1, &[note, "RAISED  A_BOOL (second.config:1)"])
}

/// What may stand for a wish in the test's tree.
const ALTERNATIVES: &str = "# Lazy for voluntary.\n\nHIDDEN=y  RAISED_ONE=y\n";

fn alternatives() -> Result<(), Failed> {
    let fragment = [("wish.config", "CONFIG_HIDDEN=y\n")];
    expect(
        &check("CONFIG_RAISED_ONE=y\n", &fragment),
        0,
        &["note: RAISED_ONE=y stands for HIDDEN=y of wish.config", "all came true"],
    )?;
    expect(&check("CONFIG_A_BOOL=y\n", &fragment), 1, &["LOST    HIDDEN"])?;
    // For that wish only, and the recipe's own list can be read.
    expect(&check("CONFIG_RAISED_ONE=y\n", &[("wish.config", "CONFIG_DEEP=y\n")]), 1, &["LOST    DEEP"])?;
    let own = std::fs::read_to_string(recipe().join("alternatives"))?;
    let lines = own.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    match lines.clone().find(|line| line.split_whitespace().filter(|word| word.contains('=')).count() != 2) {
        None if lines.count() > 0 => Ok(()),
        wrong => Err(format!("images/kernel/alternatives: {wrong:?}").into()),
    }
}

/// Whether the wishes are right only a kernel's source can tell; that they are wishes can be seen here.
fn own_fragments() -> Result<(), Failed> {
    let mut seen = 0;
    for entry in std::fs::read_dir(recipe().join("config"))? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        let output = check("", &[(path.file_name().unwrap().to_str().unwrap(), &text)]);
        // None of a kernel's symbols are in the test's tree: all are unknown, and none is malformed.
        expect(&output, 1, &["UNKNOWN"])?;
        seen += 1;
    }
    if seen < 5 { Err(format!("only {seen} fragments were found").into()) } else { Ok(()) }
}
