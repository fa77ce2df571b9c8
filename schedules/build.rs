//! Lets the cache's own files take shuttle's locks and atomics: see `cache/sync.rs` there.

fn main() {
    println!("cargo:rustc-check-cfg=cfg(shuttle)");
    println!("cargo:rustc-cfg=shuttle");
    println!("cargo:rerun-if-changed=build.rs");
}
