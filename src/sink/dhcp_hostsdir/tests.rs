use super::name::{BULK, line};
use super::*;
use crate::sink::folder::STAGING;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use tempfile::TempDir;

fn mac(number: u16) -> Who {
    let [high, low] = number.to_be_bytes();
    Who::Mac(Mac([0x52, 0x54, 0, 0, high, low]))
}

fn allow(numbers: std::ops::Range<u16>) -> Vec<(Who, Access)> {
    numbers.map(|number| (mac(number), Access::Allow)).collect()
}

fn deny(numbers: std::ops::Range<u16>) -> Vec<(Who, Access)> {
    numbers.map(|number| (mac(number), Access::Deny)).collect()
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn open(folder: &TempDir) -> HostsDir {
    HostsDir::open(folder.path(), FileNames::Colons).unwrap()
}

/// All files and what they say.
fn files(folder: &TempDir) -> BTreeMap<String, String> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    all.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .collect()
}

fn written(writes: &[(Who, Access)]) -> BTreeMap<String, String> {
    writes.iter().map(|(who, access)| (FileNames::Colons.of(*who), line(*who, *access))).collect()
}

fn said(contents: &Contents) -> Vec<(Who, Access)> {
    let macs = contents.found.macs.iter().map(|(mac, access)| (Who::Mac(*mac), access.unwrap()));
    macs.chain(contents.found.unknown.map(|access| (Who::Unknown, access))).collect()
}

/// Waits until the file of many answers, which somebody has read, is gone.
async fn bulk_ends(dir: &mut HostsDir, folder: &TempDir) {
    let ended = async {
        while folder.path().join(BULK).exists() {
            tokio::select! {
                () = dir.changed() => {}
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
}

#[tokio::test]
async fn few_files_are_written_one_by_one_and_many_by_one_more() {
    let folder = folder();
    let mut dir = open(&folder);
    assert_eq!(dir.look().unwrap(), Contents::default());
    dir.write(&[(mac(1), Access::Allow), (Who::Unknown, Access::Deny)]).await.unwrap();
    assert_eq!(files(&folder), written(&[(mac(1), Access::Allow), (Who::Unknown, Access::Deny)]));
    let many = [deny(0..200), allow(200..300)].concat();
    dir.write(&many).await.unwrap();
    // Nobody has read it; the first two we have read ourselves.
    assert_eq!(dir.look().unwrap().unread, 1);
    let bulk = files(&folder).remove(BULK).unwrap();
    assert_eq!(bulk, many.iter().map(|(who, access)| line(*who, *access)).collect::<String>());
    // What changes meanwhile is in it, too.
    dir.write(&[(mac(7), Access::Allow)]).await.unwrap();
    // Unless we took so long that it is gone.
    let text = fs::read_to_string(folder.path().join(BULK));
    assert!(text.map_or(true, |text| text.contains(&line(mac(7), Access::Allow))));
    // Nor is it lost if somebody takes it away before dnsmasq has read it.
    dir.write(&deny(300..310)).await.unwrap();
    fs::remove_file(folder.path().join(BULK)).unwrap();
    dir.look().unwrap();
    dir.write(&[]).await.unwrap();
    assert!(fs::read_to_string(folder.path().join(BULK)).unwrap().contains(&line(mac(309), Access::Deny)));
    bulk_ends(&mut dir, &folder).await;
    let mut expected = written(&[many, deny(300..310)].concat());
    expected.extend(written(&[(mac(7), Access::Allow), (Who::Unknown, Access::Deny)]));
    assert_eq!(files(&folder), expected);
    let contents = dir.look().unwrap();
    assert_eq!(contents.notices, BTreeSet::new());
    assert_eq!(
        said(&contents)
            .into_iter()
            .map(|(who, access)| (FileNames::Colons.of(who), line(who, access)))
            .collect::<BTreeMap<_, _>>(),
        expected
    );
    for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.nlink()), (0o644, 1), "{}", path.display());
    }
    drop(dir);
    assert!(!folder.path().join(STAGING).exists());
}

#[tokio::test]
async fn what_others_do_to_files_shows() {
    let folder = folder();
    let path = |number| folder.path().join(FileNames::Colons.of(mac(number)));
    let mut dir = open(&folder);
    dir.write(&deny(1..4)).await.unwrap();
    let own = tokio::time::timeout(Duration::from_millis(50), dir.changed()).await;
    assert!(own.is_err(), "what we do ourselves is no news");
    fs::remove_file(path(1)).unwrap();
    dir.changed().await;
    assert_eq!(said(&dir.look().unwrap()), deny(2..4));
    fs::write(path(2), "52:54:00:00:00:02\n").unwrap();
    dir.changed().await;
    assert_eq!(said(&dir.look().unwrap()), [allow(2..3), deny(3..4)].concat());
    // Half of it, more than it, as long as a disk.
    for content in ["52:54:00:00:00", "52:54:00:00:00:03,ignore\n\n", &"52:54:00:00:00:03\n".repeat(1 << 20), ""] {
        fs::write(path(3), content).unwrap();
        dir.changed().await;
        assert_eq!(dir.look().unwrap().found.macs.into_values().collect::<Vec<_>>(), [Some(Access::Allow), None]);
    }
    fs::write(folder.path().join("52:54:00:00:00:0A"), "52:54:00:00:00:0a\n").unwrap();
    dir.changed().await;
    assert_eq!(dir.look().unwrap().foreign, ["52:54:00:00:00:0A"]);
}

#[tokio::test]
async fn what_is_no_file_is_neither_followed_nor_waited_for_and_named() {
    let (folder, elsewhere) = (folder(), folder());
    let path = |number| folder.path().join(FileNames::Colons.of(mac(number)));
    let target = elsewhere.path().join("target");
    fs::write(&target, "52:54:00:00:00:01\n").unwrap();
    symlink(&target, path(1)).unwrap();
    let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, path(2), fifo, mode, 0).unwrap();
    fs::create_dir(path(3)).unwrap();
    let mut dir = open(&folder);
    let mut expected = BTreeMap::new();
    for number in [0, 5] {
        let contents = dir.look().unwrap();
        let said = |number: u16| contents.found.macs.values().nth(number.into()).unwrap().as_ref();
        assert_eq!([said(0), said(2)], [None, None]);
        let notices = contents.notices.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
        assert!(notices.contains("00:03 says nothing: it is a folder"), "{notices}");
        // One by one, and many at once.
        let writes = [deny(1..4), deny(4..4 + number)].concat();
        let failure = dir.write(&writes).await.unwrap_err().to_string();
        assert!(failure.contains("00:03: Is a directory; move what is there out of the way"), "{failure}");
        expected.extend(written(&writes));
        expected.remove("52:54:00:00:00:03");
        let mut files = files(&folder);
        files.remove(BULK);
        assert_eq!(files, expected);
        bulk_ends(&mut dir, &folder).await;
        fs::remove_file(path(1)).unwrap();
        symlink(&target, path(1)).unwrap();
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "52:54:00:00:00:01\n");
    assert!(path(3).is_dir());
}

#[tokio::test]
async fn files_called_in_the_other_way_give_way() {
    for number in [2, 40] {
        let folder = folder();
        let mut colons = open(&folder);
        colons.write(&[allow(0..number), deny(number..number + 1)].concat()).await.unwrap();
        drop((files(&folder), colons));
        let mut dir = HostsDir::open(folder.path(), FileNames::Dashes).unwrap();
        // One says something else in both ways: that must not stay.
        fs::write(folder.path().join("52-54-00-00-00-00"), line(mac(0), Access::Deny)).unwrap();
        let contents = dir.look().unwrap();
        assert_eq!(
            contents.found.macs.values().filter(|access| **access == Some(Access::Allow)).count(),
            usize::from(number) - 1
        );
        assert_eq!(contents.found.macs.values().next(), Some(&None));
        dir.write(&[(mac(0), Access::Allow)]).await.unwrap();
        let mut files = files(&folder);
        files.remove(BULK);
        assert_eq!(files.len(), usize::from(number) + 1);
        assert!(files.keys().all(|name| name.contains('-')), "{files:?}");
        assert_eq!(said(&dir.look().unwrap()), [allow(0..number), deny(number..number + 1)].concat());
    }
}

#[tokio::test]
async fn what_a_killed_filter_left_is_put_again_before_it_goes() {
    let folder = folder();
    // Half-way: 0 exchanged, 1 not yet, 2 in between, 3 new; 4 was not concerned.
    for (who, access) in [(mac(0), Access::Deny), (mac(1), Access::Allow), (mac(4), Access::Allow)] {
        fs::write(folder.path().join(FileNames::Colons.of(who)), line(who, access)).unwrap();
    }
    let bulk: String = deny(0..4).iter().map(|(who, access)| line(*who, *access)).collect();
    fs::write(folder.path().join(BULK), bulk).unwrap();
    fs::create_dir(folder.path().join(STAGING)).unwrap();
    for name in ["old", "new", BULK, "52:54:00:00:00:09"] {
        fs::write(folder.path().join(STAGING).join(name), "52:54:00:00:00:00\n").unwrap();
    }
    let mut dir = open(&folder);
    assert_eq!(fs::read_dir(folder.path().join(STAGING)).unwrap().count(), 0);
    let contents = dir.look().unwrap();
    assert_eq!(
        contents.found.macs.into_values().collect::<Vec<_>>(),
        [Some(Access::Deny), None, None, None, Some(Access::Allow)]
    );
    dir.write(&deny(1..4)).await.unwrap();
    assert!(files(&folder).remove(BULK).unwrap().contains(&line(mac(0), Access::Deny)));
    bulk_ends(&mut dir, &folder).await;
    assert_eq!(files(&folder), written(&[deny(0..4), allow(4..5)].concat()));
    assert_eq!(said(&dir.look().unwrap()), [deny(0..4), allow(4..5)].concat());
}

#[tokio::test]
async fn given_up_half_way_the_rest_is_written_the_next_time() {
    let folder = folder();
    let mut dir = open(&folder);
    dir.write(&deny(0..500)).await.unwrap();
    bulk_ends_by_reading(&mut dir, &folder).await;
    // At each point where others have their turn.
    for turns in [0, 1, 3, 8] {
        let mut left = turns;
        let all = allow(0..500);
        let mut work = Box::pin(dir.write(&all));
        std::future::poll_fn(|context| {
            if left == 0 || work.as_mut().poll(context).is_ready() {
                return std::task::Poll::Ready(());
            }
            left -= 1;
            std::task::Poll::Pending
        })
        .await;
        drop(work);
        let contents = dir.look().unwrap();
        let unclear: Vec<_> = contents
            .found
            .macs
            .iter()
            .filter(|(_, access)| access.is_none())
            .map(|(mac, _)| (Who::Mac(*mac), Access::Deny))
            .collect();
        assert!(contents.found.macs.len() == 500);
        dir.write(&[unclear, deny(0..500)].concat()).await.unwrap();
        let mut files = files(&folder);
        files.remove(BULK);
        assert_eq!(files, written(&deny(0..500)));
    }
}

async fn bulk_ends_by_reading(dir: &mut HostsDir, folder: &TempDir) {
    drop(files(folder));
    bulk_ends(dir, folder).await;
}

#[tokio::test]
async fn a_folder_has_one_filter() {
    let folder = folder();
    let dir = open(&folder);
    let path = folder.path();
    let failure = HostsDir::open(path, FileNames::Colons).err().unwrap().to_string();
    let expected = format!("{} is kept in step by process {} already; ", path.display(), std::process::id());
    assert!(failure.starts_with(&expected), "{failure}");
    // Looking is for everybody.
    assert_eq!(contents(path, FileNames::Colons).unwrap(), Contents::default());
    assert_eq!(identity(path).unwrap(), dir.identity());
    drop(dir);
    open(&folder);
    let failure = HostsDir::open(&path.join("missing"), FileNames::Colons).err().unwrap().to_string();
    assert!(failure.contains("there is none; make it: install -d -m 755 "), "{failure}");
    fs::write(path.join("file"), "").unwrap();
    let failure = HostsDir::open(&path.join("file"), FileNames::Colons).err().unwrap().to_string();
    assert!(failure.contains("it is no folder"), "{failure}");
}

#[tokio::test]
async fn a_folder_that_is_replaced_is_followed_and_named() {
    let above = folder();
    let path = above.path().join("hosts");
    fs::create_dir(&path).unwrap();
    let mut dir = HostsDir::open(&path, FileNames::Colons).unwrap();
    dir.write(&deny(1..3)).await.unwrap();
    fs::rename(&path, above.path().join("away")).unwrap();
    dir.changed().await;
    assert!(dir.look().unwrap_err().to_string().contains("there is none"));
    assert!(dir.write(&deny(1..3)).await.is_err());
    fs::create_dir(&path).unwrap();
    let failure = dir.write(&deny(1..3)).await.unwrap_err().to_string();
    assert!(failure.contains("is another folder than before"), "{failure}");
    assert_eq!(fs::read_dir(&path).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file()).count(), 0);
    let contents = dir.look().unwrap();
    assert!(contents.found.macs.is_empty());
    assert!(contents.notices.iter().any(|notice| notice.contains("restart dnsmasq")), "{contents:?}");
    dir.write(&deny(1..3)).await.unwrap();
    assert_eq!(said(&dir.look().unwrap()), deny(1..3));
}

#[tokio::test]
async fn only_others_files_that_hold_answers_and_nothing_else_are_purged() {
    let folder = folder();
    let mut dir = open(&folder);
    dir.write(&deny(1..3)).await.unwrap();
    let put = |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
    put("52:54:00:00:00:AA", "52:54:00:00:00:aa\n");
    put("old", "52:54:00:00:00:AB,ignore\n*:*:*:*:*:*\n");
    put("passwd", "root:x:0:0:root:/root:/bin/bash\n");
    put("empty", "");
    put(".hidden", "52:54:00:00:00:ac\n");
    symlink(folder.path().join("old"), folder.path().join("link")).unwrap();
    assert_eq!(dir.look().unwrap().foreign, ["52:54:00:00:00:AA", "empty", "link", "old", "passwd"]);
    let mut purged = dir.purge().unwrap();
    purged.sort();
    assert_eq!(purged, ["52:54:00:00:00:AA", "old"]);
    assert_eq!(dir.look().unwrap().foreign, ["empty", "link", "passwd"]);
    assert_eq!(said(&dir.look().unwrap()), deny(1..3));
    let Who::Mac(first) = mac(1) else { return };
    dir.delete(&[first]).unwrap();
    assert_eq!(said(&dir.look().unwrap()), deny(2..3));
}
