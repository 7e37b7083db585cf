//! `--install-rules`, `--remove-rules`, `--print-rules`: from the configuration to the kernel or to text.

use crate::cli::nfdhcpd::{Config, PROGRAM, Rules, RulesBy, RulesFor};
use crate::cli::written;
use crate::error::Result;
use crate::exit::Exit;
use crate::plan::responder::rules::Wishes;
use crate::sink::queue_rules::{self, Form, Way};
use std::io::Write;

/// Does it. What changed goes to `news`.
///
/// # Errors
/// The kernel's rules cannot be changed.
pub(super) fn run(task: Rules, config: &Config, out: &mut dyn Write, news: &mut dyn Write) -> Result<Exit> {
    let mut tell = |text: String| drop(writeln!(news, "{PROGRAM}: {text}"));
    match task {
        Rules::Print(rules_for) => {
            let form = match rules_for {
                RulesFor::Iptables => Form::Iptables,
                RulesFor::Nft => Form::Nft,
                RulesFor::Ferm => Form::Ferm,
            };
            written(queue_rules::print(&wishes(config), form, out))?;
        }
        Rules::Install(rules_by) => {
            let way = rules_by.map(|rules_by| match rules_by {
                RulesBy::Nft => Way::Nft,
                RulesBy::Iptables => Way::Iptables,
            });
            let outcome = queue_rules::install(&wishes(config), way)?;
            for warning in outcome.warnings {
                tell(warning);
            }
            let how = if outcome.changed { "loaded" } else { "there already" };
            tell(format!("rules {how} ({})", outcome.way));
        }
        Rules::Remove => {
            let ways = queue_rules::remove()?;
            if ways.is_empty() {
                tell("there are no rules of ours".to_owned());
            }
            for way in ways {
                tell(format!("rules removed ({way})"));
            }
        }
    }
    Ok(Exit::Done)
}

/// What of the configuration the rules depend on.
pub(super) fn wishes(config: &Config) -> Wishes {
    Wishes { taps: config.taps.clone(), queues: config.queues_in_use(), bypass: config.queue_bypass }
}
