//! kill -9 while a workspace is made, reset or removed: the same command then does its work.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::AsyncBufReadExt;
use tokio::io::BufReader;
use tokio::net::unix::pipe;

use crate::home::Home;
use crate::home::entries;

/// A git that stops for good at one of its calls.
struct StoppingGit {
    directory: PathBuf,
    fifo: PathBuf,
}

impl StoppingGit {
    /// Says that it is there, and who it is, at the call of this number.
    fn at(home: &Home, call: u32) -> Self {
        let directory = home.beside("stopping");
        std::fs::create_dir_all(&directory).unwrap();
        let (fifo, count) = (directory.join("fifo"), directory.join("count"));
        if !fifo.exists() {
            let made = std::process::Command::new("mkfifo").arg(&fifo).status();
            assert!(made.unwrap().success());
        }
        std::fs::write(&count, "").unwrap();
        let script = format!(
            "#!/bin/sh\necho >> {count}\nif [ $(wc -l < {count}) -eq {call} ]; then echo $$ > {fifo}; \
             exec sleep 600; fi\nexec /usr/bin/git \"$@\"\n",
            count = count.display(),
            fifo = fifo.display()
        );
        let program = directory.join("git");
        std::fs::write(&program, script).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        Self { directory, fifo }
    }

    /// Runs a command with this git and kills it at that call. False when it came to its end.
    async fn kill(&self, home: &Home, arguments: &[&str]) -> bool {
        let mut options = pipe::OpenOptions::new();
        let fifo = options.read_write(true).open_receiver(&self.fifo).unwrap();
        let mut lines = BufReader::new(fifo).lines();
        let mut command = home.command(&[&["workspace"], arguments].concat());
        command.env(
            "PATH",
            format!("{}:/usr/bin:/bin", self.directory.display()),
        );
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        tokio::select! {
            line = lines.next_line() => {
                child.kill().await.unwrap();
                let pid: i32 = line.unwrap().unwrap().parse().unwrap();
                let pid = rustix::process::Pid::from_raw(pid).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
                true
            }
            ended = child.wait() => {
                assert!(ended.unwrap().success(), "{arguments:?}");
                false
            }
        }
    }
}

/// Kills a command at every call of git that it makes, and asserts that the same command then does
/// what it is for.
async fn killed_at_every_call(home: &Home, arguments: &[&str], prepare: &[&str]) -> u32 {
    let mut call = 1;
    loop {
        if !prepare.is_empty() {
            home.workspace(prepare).await;
        }
        if !StoppingGit::at(home, call).kill(home, arguments).await {
            return call - 1;
        }
        let again = home.workspace(arguments).await;
        let done = again.code == 0;
        assert!(done, "{arguments:?} after a kill at call {call}: {again:?}");
        let name = arguments[1];
        if arguments[0] != "destroy" {
            let found = home.workspace(&["resume", name]).await.well().json();
            assert_eq!(format!("work/{name}"), found["state"]["branch"]);
            let left = entries(&home.root().join("workspaces").join(name));
            let odd = |path: &&PathBuf| {
                let name = path.file_name().unwrap().to_string_lossy();
                name == "fresh" || name.starts_with('.')
            };
            assert_eq!(0, left.iter().filter(odd).count(), "{left:?}");
            home.workspace(&["destroy", name, "--force"]).await.well();
        }
        call += 1;
    }
}

#[tokio::test]
async fn kill_9_at_every_call_of_git_while_a_workspace_is_made() {
    let home = Home::with_project().await;
    let calls = killed_at_every_call(&home, &["init", "kimi"], &[]).await;
    assert!(calls >= 8, "{calls}");
}

#[tokio::test]
async fn kill_9_at_every_call_of_git_while_a_workspace_is_reset() {
    let home = Home::with_project().await;
    let reset = ["reset", "kimi", "--force"];
    let calls = killed_at_every_call(&home, &reset, &["init", "kimi"]).await;
    assert!(calls >= 8, "{calls}");
}

#[tokio::test]
async fn kill_9_at_every_call_of_git_while_a_workspace_is_destroyed() {
    let home = Home::with_project().await;
    let calls = killed_at_every_call(&home, &["destroy", "kimi"], &["init", "kimi"]).await;
    assert!(calls >= 4, "{calls}");
}

#[tokio::test]
async fn what_a_kill_between_two_renames_leaves_is_put_right() {
    let home = Home::with_project().await;
    home.workspace(&["init", "kimi"]).await.well();
    let place = home.root().join("workspaces/kimi");
    // A reset moved the old clone away and was about to put the new one there.
    std::fs::rename(place.join("clone"), place.join("fresh")).unwrap();
    std::fs::create_dir_all(place.join(".gone-clone/sub")).unwrap();
    // A destroy took another one away and was about to empty it.
    let gone = home.root().join("workspaces/.gone-kimi~17");
    std::fs::create_dir_all(gone.join("clone")).unwrap();
    let other = home.root().join("workspaces/.gone-kimi-2~17");
    std::fs::create_dir_all(other.join("clone")).unwrap();
    home.workspace(&["resume", "kimi"]).await.well();
    assert!(place.join("clone/state.txt").exists());
    assert!(!place.join("fresh").exists() && !place.join(".gone-clone").exists());
    assert!(!gone.exists() && other.exists());
    // A reset put the clone by, because git could not read it, and was killed then.
    std::fs::remove_dir_all(place.join("clone")).unwrap();
    let refused = home.workspace(&["resume", "kimi"]).await.refusal();
    assert_eq!((65, "TIMMY-0941".to_owned()), refused);
    home.workspace(&["reset", "kimi"]).await.well();
    home.workspace(&["resume", "kimi"]).await.well();
}
