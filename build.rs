//! Makes Rust out of `proto/`, with a protobuf compiler that is itself Rust: no `protoc` is needed on any machine.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["headwater/v1/operator.proto"], ["proto"])?;
    tonic_prost_build::configure().bytes(".headwater.v1").compile_fds(descriptors)?;
    Ok(())
}
