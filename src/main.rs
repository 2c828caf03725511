//! Arguments in, exit code out: the only exit.

fn main() -> std::process::ExitCode {
    tandem::platform::give_memory_back();
    std::process::ExitCode::from(tandem::cli::main())
}
