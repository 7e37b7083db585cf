use super::super::tests::{Twin, allow, config, deny, mac, node, port};
use super::*;
use crate::source::ironic::{Asked, Memory};

fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// A filter of two ports, 1 of node 1 and 2 of node 2, and its folder.
fn filter(ironic: &Memory, folder: &Twin) -> Filter<Memory, Twin> {
    Filter::new(ironic.clone(), folder.clone(), &config())
}

async fn steps(filter: &mut Filter<Memory, Twin>, number: usize) {
    for _ in 0..number {
        filter.step().await;
    }
}

#[tokio::test]
async fn nothing_is_written_before_the_last_page_and_then_everything() {
    let (ironic, folder) = (Memory::new([port(1, 1), port(2, 2)], [node(1)]), Twin::default());
    ironic.page_size(1);
    let mut filter = filter(&ironic, &folder);
    // Nodes, node 1's ports, two pages; the third is empty.
    steps(&mut filter, 4).await;
    assert!(folder.writes().is_empty() && !filter.is_in_step());
    steps(&mut filter, 1).await;
    assert!(filter.is_in_step());
    assert_eq!(folder.writes(), [allow(1), deny(2), (Who::Unknown, Access::Allow)]);
}

#[tokio::test]
async fn a_node_that_enters_is_asked_for_its_ports_and_opened_with_one_write() {
    let (ironic, folder) = (Memory::new([port(1, 1), port(2, 2)], []), Twin::default());
    let mut filter = filter(&ironic, &folder);
    steps(&mut filter, 3).await;
    assert_eq!(folder.writes(), [deny(1), deny(2), (Who::Unknown, Access::Deny)]);
    ironic.put_port(port(3, 1));
    ironic.inspect(node(1));
    ironic.asked();
    filter.agenda = Agenda::new(config().poll_interval, None);
    steps(&mut filter, 2).await;
    assert_eq!(ironic.asked(), [Asked::Nodes, Asked::PortsOf(uuid(1))]);
    assert_eq!(folder.writes(), [allow(1), allow(3), (Who::Unknown, Access::Allow)]);
}

#[tokio::test]
async fn ironic_down_at_the_start_denies_all_and_later_changes_nothing() {
    let (ironic, folder) = (Memory::new([port(1, 1)], [node(1)]), Twin::default());
    folder.put(mac(7), Access::Allow);
    ironic.down(Kind::Unreachable, "no route");
    let mut filter = filter(&ironic, &folder);
    steps(&mut filter, 1).await;
    assert_eq!(folder.writes(), [(Who::Unknown, Access::Deny), deny(7)]);
    assert!(filter.is_safe() && !filter.is_in_step());
    assert_eq!(filter.told.status.failure.as_deref(), Some("no route"));
    ironic.up();
    filter.agenda = Agenda::new(config().poll_interval, None);
    steps(&mut filter, 4).await;
    assert_eq!(folder.writes(), [allow(1), (Who::Unknown, Access::Allow)]);
    for kind in [Kind::Unreachable, Kind::Nonsense, Kind::Forbidden] {
        ironic.down(kind, "down again");
        filter.agenda = Agenda::new(config().poll_interval, None);
        steps(&mut filter, 2).await;
    }
    assert!(folder.writes().is_empty() && filter.is_in_step());
}

#[tokio::test]
async fn a_listing_whose_marker_was_deleted_begins_anew() {
    let (ironic, folder) = (Memory::new([port(1, 1), port(2, 2)], []), Twin::default());
    ironic.page_size(1);
    let mut filter = filter(&ironic, &folder);
    steps(&mut filter, 2).await;
    ironic.remove_port(uuid(1));
    steps(&mut filter, 3).await;
    assert_eq!(folder.writes(), [deny(2), (Who::Unknown, Access::Deny)]);
    assert_eq!(filter.told.status.failure, None);
}

#[tokio::test]
async fn what_somebody_else_did_to_the_folder_is_put_right_at_the_next_step() {
    let (ironic, folder) = (Memory::new([port(1, 1)], []), Twin::default());
    let mut filter = filter(&ironic, &folder);
    steps(&mut filter, 3).await;
    folder.writes();
    folder.put(mac(1), Access::Allow);
    steps(&mut filter, 1).await;
    assert!(folder.writes().is_empty());
    filter.folder_changed();
    steps(&mut filter, 1).await;
    assert_eq!(folder.writes(), [deny(1)]);
}

#[tokio::test]
async fn a_folder_whose_changes_would_not_be_noticed_is_compared_with_each_listing() {
    let (ironic, folder) = (Memory::new([port(1, 1)], []), Twin::default());
    let mut filter = filter(&ironic, &folder);
    steps(&mut filter, 3).await;
    folder.writes();
    for is_noticed in [true, false] {
        folder.put(mac(1), Access::Allow);
        filter.agenda.doubt();
        steps(&mut filter, 3).await;
        assert_eq!(folder.writes().is_empty(), is_noticed);
        folder.unwatch();
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_tried_again_and_said() {
    let (ironic, folder) = (Memory::new([port(1, 1)], []), Twin::default());
    folder.fail(true);
    let mut filter = filter(&ironic, &folder);
    steps(&mut filter, 3).await;
    assert_eq!(filter.told.status.folder_failure.as_deref(), Some("the disk is full"));
    assert!(!filter.is_in_step());
    folder.fail(false);
    steps(&mut filter, 1).await;
    assert_eq!(filter.told.status.folder_failure, None);
    assert!(filter.is_in_step());
}
