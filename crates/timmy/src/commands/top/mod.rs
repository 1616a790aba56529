//! stub
use super::Ended;
pub(super) async fn run(_host: &crate::host::Host, _arguments: &crate::cli::TopArguments) -> Ended {
    unimplemented!()
}
