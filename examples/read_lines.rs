//! Reads incident lines with the crate's own type, and prints the images that ran out of memory, with the limit.
//!
//! ```text
//! kubectl -n kube-system logs POD | cargo run --example read_lines
//! ```

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use blackbox_daemon::core::reader::Incident;

fn main() -> io::Result<()> {
    let mut kills: BTreeMap<(String, Option<i64>), u64> = BTreeMap::new();
    let (mut read, mut refused) = (0, 0);
    for line in io::stdin().lock().split(b'\n') {
        // Between the lines, a log may have other text.
        let Ok(incident) = Incident::parse(&line?) else {
            refused += 1;
            continue;
        };
        read += 1;
        if incident.kind == "oom" {
            let mut containers = incident.containers.iter();
            let own = containers.find(|one| Some(&one.name) == incident.container.as_ref());
            let limit_bytes = own.and_then(|own| own.resources.memory_limit_bytes);
            *kills.entry((incident.image.unwrap_or_default(), limit_bytes)).or_default() += 1;
        }
    }
    println!("{read} incidents, {refused} other lines");
    for ((image, limit_bytes), count) in kills {
        let limit = limit_bytes
            .map_or_else(|| "no limit".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
        println!("{count:>5}  {image}, {limit}");
    }
    Ok(())
}
