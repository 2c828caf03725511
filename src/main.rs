//! Arguments in, exit code out: the only exit.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(tandem::cli::main())
}
