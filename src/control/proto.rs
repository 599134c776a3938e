//! The generated half of the control channel: what `build.rs` makes out of `proto/headwater/v1/`.
//!
//! Used by the conversions, `client` and `server` only; no other folder sees a protobuf type.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code has its own style; the .proto file is documented"
)]

tonic::include_proto!("headwater.v1");
