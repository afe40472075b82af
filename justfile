# Short names for what is done often; nothing here is needed for a build.

# List the recipes.
default:
    @just --list

# The gate, read-only; names of steps may follow.
verify *steps:
    scripts/verify {{steps}}

# What a machine can repair.
fix:
    cargo fmt --all
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged

# The tests whose name contains the filter.
test *filter:
    cargo test --locked {{filter}}

# A development agent: one server, state in memory.
dev:
    cargo run -- agent -dev

# Tools that the gate and some tests call.
install:
    .ci/install
