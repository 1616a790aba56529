//! The process inside the sandbox, for the tests of this crate. The real one is timmy itself.

fn main() {
    timmy_sandbox::run_inner_helper_if_asked();
}
