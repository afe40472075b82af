//! Starts the runtime and hands the arguments to the command line.

use anyhow::Context;
use lictor::cli::{self, Console};
use std::path::Path;
use std::pin::Pin;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let mut args = Vec::new();
    for (index, arg) in std::env::args_os().enumerate() {
        let text = arg.into_string().map_err(|arg| anyhow::anyhow!("argument {index} is not UTF-8: {arg:?}"))?;
        args.push(text);
    }
    let program = args.first().and_then(|p| Path::new(p).file_name()?.to_str()).unwrap_or("lictor").to_owned();
    #[cfg(target_os = "linux")]
    announce_barriers();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let mut console = Console {
        out: &mut std::io::stdout(),
        err: &mut std::io::stderr(),
        input: &mut std::io::stdin(),
        env: &|name| std::env::var(name).ok(),
    };
    // Behind a pointer, because the runtime has several loops that drive it, and the whole server would be in each.
    let run: Pin<Box<dyn Future<Output = i32>>> =
        Box::pin(cli::run(&program, args.get(1..).unwrap_or_default(), &mut console));
    let code = runtime.block_on(run);
    std::process::exit(code)
}

/// The concurrent maps announce to the kernel that they will use its barriers. For a process of several threads it waits
/// for all processors then, up to 20 ms of a start; for one that has a single thread yet it has nothing to wait for.
#[cfg(target_os = "linux")]
fn announce_barriers() {
    // Where the kernel has none, the maps do without.
    let _ = rustix::thread::membarrier(rustix::thread::MembarrierCommand::RegisterPrivateExpedited);
}

/// The allocator asks for huge pages; an idle server would then hold 25 MiB for 3 MiB of data.
#[cfg(target_os = "linux")]
extern "C" fn use_small_pages() {
    // Where the kernel refuses, there is more memory in use and nothing else is different.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// It runs before anything allocates: what is there when `main` begins has two huge pages already.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the loader calls what this section holds; the function neither allocates nor panics")]
#[used]
#[unsafe(link_section = ".init_array.00101")]
static FIRST: extern "C" fn() = use_small_pages;
