//! The `blackbox-daemon` command.

fn main() {
    let dir = std::env::args().nth(2).unwrap_or_default();
    let out = blackbox_daemon::replay::run(
        dir.as_ref(),
        "node1",
        blackbox_daemon::core::incident::Severity::Low,
        &mut std::io::stdout().lock(),
    );
    eprintln!("{out:?}");
}
