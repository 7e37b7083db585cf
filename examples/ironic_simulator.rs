//! The tests' simulator of Ironic's API as a program, for where no Ironic can be installed: `make demo-pxe`. It prints where it
//! is, then does what its standard input says, a line each, and ends with that:
//!
//! - `enroll NODE MAC...`: a node that is `manageable`, with these ports
//! - `find NODE MAC`: one more port, as if inspection had found it
//! - `state NODE STATE`: the node's provision state, `inspect wait`, say
//! - `delete NODE`: the node is gone, and so are its ports

#[path = "../tests/common/ironic/mod.rs"]
mod ironic;

use ironic::Simulator;
use std::collections::HashMap;
use std::io::{self, BufRead as _};
use std::process::ExitCode;
use uuid::Uuid;

fn main() -> ExitCode {
    let simulator = Simulator::start();
    println!("{}", simulator.url());
    let mut nodes = HashMap::new();
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        if obey(&simulator, &mut nodes, &line).is_none() {
            eprintln!("ironic_simulator: not understood: {line}");
            return ExitCode::FAILURE;
        }
        // Done.
        println!("{line}");
    }
    ExitCode::SUCCESS
}

/// Does what a line says, if it makes sense.
fn obey(simulator: &Simulator, nodes: &mut HashMap<String, Uuid>, line: &str) -> Option<()> {
    let mut words = line.split(' ');
    let (what, name) = (words.next()?, words.next()?);
    let mut state = simulator.state();
    match what {
        "enroll" => {
            let node = state.add_node();
            state.node(node).name = Some(name.to_owned());
            state.set_state(node, "manageable");
            for mac in words {
                state.add_port(node, mac);
            }
            nodes.insert(name.to_owned(), node);
        }
        "find" => drop(state.add_port(*nodes.get(name)?, words.next()?)),
        "state" => state.set_state(*nodes.get(name)?, &words.collect::<Vec<_>>().join(" ")),
        "delete" => state.remove_node(nodes.remove(name)?),
        _ => return None,
    }
    Some(())
}
