//! Serves a scripted model until it is ended, for trying other programs against it by hand:
//! `cargo run -p timmy-testkit --example model_server 'text 1' 'text 2'`. Each argument is a reply;
//! `!429`, `!401`, `!500`, `!overflow` and `!empty` are faults. Requests go to standard output, one
//! JSON line each.

use timmy_testkit::model_server::Fault;
use timmy_testkit::model_server::ModelServer;
use timmy_testkit::model_server::Turn;

fn turn(argument: String) -> Turn {
    match argument.as_str() {
        "!429" => Turn::fault(Fault::RateLimited { retry_after_s: 1 }),
        "!401" => Turn::fault(Fault::WrongKey),
        "!500" => Turn::fault(Fault::ServerError),
        "!overflow" => Turn::fault(Fault::ContextOverflow),
        "!empty" => Turn::fault(Fault::EmptyReply),
        _ => Turn::say(argument),
    }
}

#[expect(clippy::print_stdout, reason = "a program for people")]
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let script = std::env::args().skip(1).map(turn).collect();
    let server = ModelServer::start(script).await;
    println!("{}", server.base_url());
    let mut shown = 0;
    let mut watch = tokio::time::interval(std::time::Duration::from_millis(100));
    loop {
        watch.tick().await;
        for request in server.requests().into_iter().skip(shown) {
            shown += 1;
            println!("{} {}", request.line, request.body);
        }
    }
}
