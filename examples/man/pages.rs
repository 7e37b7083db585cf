//! Man pages and completions, from the same clap commands as the help.
//!
//! What follows the options in a help text is laid out by hand: headings, and lines which are either a term and its
//! meaning in two columns, or something to be typed. This layout is read back here, so that a man page has proper
//! sections and fills its lines, and nothing has to be written twice.

use clap::{Arg, ArgAction, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use instances::cli::{nfdhcpd, process, proxmox, pxe_filter, update};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// A program that has a page.
pub(crate) struct Page {
    /// As it describes itself.
    pub(crate) command: Command,
    /// What a page has to say and a help need not.
    prose: &'static [&'static str],
    see_also: &'static str,
}

/// The pages there are, all in section 8.
pub(crate) fn pages() -> [Page; 5] {
    [
        Page {
            // Positional arguments only: OPTIONS would be the wrong heading.
            command: update::command().mut_args(|argument| argument.help_heading("Arguments")),
            prose: &[
                "dnsmasq runs this program for every lease that is given, renewed or found when it starts. The first \
                lease of a MAC address makes an instance with the name that the client asks for, unless another \
                instance has that name; later ones keep its addresses up to date. An address has one holder: whoever \
                gets it takes it away from everybody else. Instances are only ever removed by hand.",
                "Whenever something changes, the registry is replaced as a whole and a flag is raised, for \
                instances-process(8) to see.",
            ],
            see_also: "instances-process(8), dnsmasq(8)",
        },
        Page {
            command: process::Arguments::command(),
            prose: &[
                "The hosts file gives every instance its names. The chains let ARP and neighbour advertisements \
                through only for an address that belongs to the MAC address they come from. The sets hold the \
                addresses of all instances and of some by name, for rules of your own.",
                "With --apply, chains and sets replace those in the kernel in one transaction, which is then read \
                back. If anything fails, the old policy stays in force and the flag stays up.",
                "instances-process.path and instances-process.service do this with systemd; options are set in \
                /etc/default/instances.",
            ],
            see_also: "instances-update(8), nft(8), dnsmasq(8), systemd.path(5)",
        },
        Page {
            command: nfdhcpd::Arguments::command(),
            prose: &[
                "Packet filter rules bring the DHCP, DHCPv6, router and neighbour solicitations of virtual machines \
                here, by NFQUEUE. Each is answered on the tap that it came from, as that tap's binding file says; \
                what comes from other taps is let pass. Router advertisements are sent from time to time, too.",
                "Configuration and binding files are those of nfdhcpd.",
            ],
            see_also: "instances-process(8), iptables(8), nft(8)",
        },
        Page {
            command: pxe_filter::Arguments::command(),
            prose: &[
                "Ironic has a port for each network interface of a machine. Each port's MAC address gets a file in a \
                folder that dnsmasq watches: dnsmasq answers it while the machine is under inspection, and is silent \
                otherwise. Nothing is changed unless everything about it is known; while Ironic does not answer, the \
                last state stays, and at the start everybody is denied until it does.",
                "It takes the place of ironic-inspector's dnsmasq filter and of ironic's pxe_filter service, with \
                their configuration files; --semantics says whose rules count.",
                "instances-pxe-filter.service runs it with systemd. Do not run it beside one of those that it \
                replaces.",
            ],
            see_also: "dnsmasq(8), systemd.exec(5)",
        },
        Page {
            command: proxmox::Arguments::command(),
            prose: &[
                "Each guest of a Proxmox VE cluster has its name in DNS, forward and reverse, with the addresses of all \
                its interfaces: those that are configured (containers, cloud-init), those that it tells (guest agent), \
                those that DHCP gave it, and those that it is heard with on the wire. Names come from Proxmox alone, and \
                an address counts only in a network that the interface is plugged into.",
                "dnsmasq is told by files that it watches, and is never restarted for them. Nothing is forgotten while a \
                node or the API is away. A dnsmasq of our own goes on if this program is killed, and is taken over by \
                the next.",
                "The API token needs the role PVEAuditor for /; before Proxmox VE 9 the privilege VM.Monitor as well, \
                for what the guest agent tells.",
                "instances-proxmox.service runs it with systemd.",
            ],
            see_also: "dnsmasq(8), instances-process(8), systemd.exec(5)",
        },
    ]
}

/// Writes `man/*.8` and `completions/*` into `folder`.
pub(crate) fn write_all(folder: &Path) -> io::Result<()> {
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    for page in pages() {
        let file = format!("{}.8", page.command.get_name());
        fs::write(man.join(file), page.render()?)?;
    }
    for mut command in [
        typed_by_hand(&update::command()),
        process::Arguments::command(),
        nfdhcpd::Arguments::command(),
        pxe_filter::Arguments::command(),
        proxmox::Arguments::command(),
    ] {
        let name = command.get_name().to_owned();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            clap_complete::generate_to(shell, &mut command, &name, &completions)?;
        }
    }
    Ok(())
}

impl Page {
    /// The page in roff.
    pub(crate) fn render(&self) -> io::Result<Vec<u8>> {
        let man = Man::new(self.command.clone())
            .section("8")
            // An empty argument would get lost, and the next ones take its place.
            .date(" ")
            .source(concat!("instances ", env!("CARGO_PKG_VERSION")))
            .manual("System Administration");
        let mut out = Vec::new();
        man.render_title(&mut out)?;
        // Neither hyphens in names of variables nor blanks to fill a line.
        Roff::new().control("nh", []).control("ad", ["l"]).to_writer(&mut out)?;
        man.render_name_section(&mut out)?;
        man.render_synopsis_section(&mut out)?;
        let mut description = Roff::new();
        description.control("SH", ["DESCRIPTION"]);
        for paragraph in self.prose {
            description.control("PP", []).text([roman(*paragraph)]);
        }
        description.to_writer(&mut out)?;
        man.render_options_section(&mut out)?;
        let after_help = self.command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for section in sections(&after_help) {
            section.write(&mut out)?;
        }
        Roff::new().control("SH", ["SEE ALSO"]).text([roman(self.see_also)]).to_writer(&mut out)?;
        Ok(out)
    }
}

/// A part of a help text, `Title (remark): text`, and the indented lines below it.
struct Section<'a> {
    title: &'a str,
    remark: Option<&'a str>,
    text: &'a str,
    lines: Vec<&'a str>,
}

fn sections(help: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section> = Vec::new();
    for line in help.lines().filter(|line| !line.trim().is_empty()) {
        match sections.last_mut() {
            Some(section) if line.starts_with(' ') => section.lines.push(line.trim()),
            _ => {
                let (heading, text) = line.split_once(": ").or_else(|| line.split_once(':')).unwrap_or((line, ""));
                let (title, remark) = match heading.split_once(" (") {
                    Some((title, remark)) => (title, Some(remark.trim_end_matches(')'))),
                    None => (heading, None),
                };
                sections.push(Section { title, remark, text, lines: Vec::new() });
            }
        }
    }
    sections
}

/// The two columns of a line: what stands there, and what it means.
fn columns(line: &str) -> Option<(&str, &str)> {
    line.split_once("  ").map(|(term, meaning)| (term, meaning.trim_start()))
}

/// `0 done, 1 failed, or not, 2 usage` as terms and meanings.
fn statuses(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut statuses: Vec<(&str, &str)> = Vec::new();
    let mut rest = text;
    loop {
        let next = rest
            .match_indices(", ")
            .map(|(at, _)| at)
            .find(|at| rest.get(at + 2..).is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit())));
        let (status, after) = next.and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
        let (code, meaning) = status.split_once(' ')?;
        code.parse::<u8>().ok()?;
        statuses.push((code, meaning));
        if after.is_empty() {
            return Some(statuses);
        }
        rest = after.trim_start_matches(", ");
    }
}

impl Section<'_> {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut roff = Roff::new();
        roff.control("SH", [self.title.to_uppercase().as_str()]);
        if let Some(remark) = self.remark {
            let (first, rest) = remark.split_at_checked(1).unwrap_or((remark, ""));
            roff.text([roman(format!("{}{rest}.", first.to_uppercase()))]);
        }
        if let Some(statuses) = statuses(self.text) {
            define(&mut roff, &statuses);
        } else if !self.text.is_empty() {
            roff.text([roman(self.text)]);
        }
        let table: Option<Vec<_>> = self.lines.iter().map(|line| columns(line)).collect();
        if let Some(table) = table {
            define(&mut roff, &table);
        } else {
            roff.control("PP", []).control("nf", []);
            for line in &self.lines {
                roff.text([roman(*line)]);
            }
            roff.control("fi", []);
        }
        roff.to_writer(out)
    }
}

fn define(roff: &mut Roff, terms: &[(&str, &str)]) {
    for (term, meaning) in terms {
        roff.control("TP", []).text([bold(*term)]).text([roman(*meaning)]);
    }
}

/// `instances-update` as somebody uses it at a prompt: its actions as options, which shells know how to complete.
fn typed_by_hand(described: &Command) -> Command {
    // Clap wants its texts to live forever.
    let help: &str = String::leak(described.get_after_help().map(ToString::to_string).unwrap_or_default());
    let mut command = Command::new(update::PROGRAM).disable_help_flag(true).disable_version_flag(true);
    for line in
        sections(help).into_iter().filter(|section| section.title == "Actions").flat_map(|section| section.lines)
    {
        let Some((usage, meaning)) = columns(line) else { continue };
        for option in usage.split([' ', ',', '[', ']']).filter_map(|word| word.strip_prefix("--")) {
            command = command.arg(Arg::new(option).long(option).help(meaning).action(ArgAction::SetTrue));
        }
    }
    command
}
