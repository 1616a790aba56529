//! Random sequences of calls, played on the simulated forge and on the embedded one over HTTP with
//! real git. Every answer has to be the same.

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::time::Duration;

use timmy_core::Clock;
use timmy_forge::Comment;
use timmy_forge::Forge;
use timmy_forge::IssueFilter;
use timmy_forge::IssueState;
use timmy_forge::MergeRequest;
use timmy_forge::MergeStyle;
use timmy_forge::NewIssue;
use timmy_forge::NewLabel;
use timmy_forge::NewPull;
use timmy_forge::Opened;
use timmy_forge::PullFilter;
use timmy_forge::PullRequest;
use timmy_forge::PullState;
use timmy_forge::PullUpdate;
use timmy_forge::StateFilter;
use timmy_forge::StatusState;
use timmy_git::Expect;
use timmy_git::PushRef;
use timmy_git::PushStatus;
use timmy_git::RefName;
use timmy_store::forge::IssueEdit;

use super::pair::Pair;
use super::*;

/// Sequences that one test plays; there are four tests, so that they run side by side.
const SEQUENCES: u64 = 6;
const CALLS: usize = 22;
const LABELS: [&str; 3] = ["P1", "bug", "unheard-of"];

impl Pair {
    async fn step(&mut self, trace: &mut Vec<String>) {
        self.clock.advance(Duration::from_secs(1));
        self.sim.clock = self.clock.now();
        match self.random.below(16) {
            0 | 1 => self.create_issue(trace).await,
            2 => self.close(trace).await,
            3 | 4 => self.comment(trace).await,
            5 => self.labels(trace).await,
            6 => self.block(trace).await,
            7..=9 => self.push(trace).await,
            10 | 11 => self.create_pull(trace).await,
            12 => self.update_pull(trace).await,
            13 => self.merge(trace).await,
            14 => self.edit(trace).await,
            _ => self.status(trace).await,
        }
        self.compare(trace).await;
    }

    async fn create_issue(&mut self, trace: &mut Vec<String>) {
        let labels = match self.random.below(3) {
            0 => vec![(*self.random.pick(&LABELS).unwrap()).to_owned()],
            _ => Vec::new(),
        };
        let titles = ["Sum is wrong", " padded ", ""];
        let new = NewIssue {
            title: (*self.random.pick(&titles).unwrap()).to_owned(),
            body: self.text(),
            labels,
        };
        trace.push(format!("create {new:?}"));
        let real = self.bot.create_issue(&self.repo, &new).await;
        let sim = self.sim.create_issue(&self.repo, "bot", &new);
        same(trace, sim.map(issue), real.map(issue));
    }

    async fn close(&mut self, trace: &mut Vec<String>) {
        let number = self.number();
        trace.push(format!("close #{number}"));
        let real = self.bot.close_issue(&self.repo, number).await;
        let sim = self.sim.close(&self.repo, number);
        same(trace, sim.map(drop), real.map(drop));
    }

    async fn comment(&mut self, trace: &mut Vec<String>) {
        let (number, body) = (self.number(), self.text());
        let by_alice = self.random.chance(0.4);
        let author = if by_alice { "alice" } else { "bot" };
        trace.push(format!("comment #{number} by {author}: {body:?}"));
        let client = if by_alice { &self.alice } else { &self.bot };
        let real = client.comment(&self.repo, number, &body).await;
        let sim = self.sim.comment(&self.repo, number, author, &body);
        same(trace, sim, real);
    }

    async fn labels(&mut self, trace: &mut Vec<String>) {
        let (number, label) = (self.number(), *self.random.pick(&LABELS).unwrap());
        trace.push(format!("labels #{number} {label}"));
        match self.random.below(3) {
            0 if label != LABELS[2] => {
                let new = NewLabel {
                    name: label.to_owned(),
                    color: "ff0000".to_owned(),
                    description: String::new(),
                };
                let real = self.bot.create_label(&self.repo, &new).await;
                let sim = self.sim.create_label(&self.repo, &new);
                let name = |label: Label| (label.name, label.color);
                same(trace, sim.map(name), real.map(name));
            }
            1 => {
                let real = self.bot.remove_label(&self.repo, number, label).await;
                let sim = self.sim.remove_label(&self.repo, number, label);
                same(trace, sim, real);
            }
            _ => {
                let real = self.bot.add_labels(&self.repo, number, &[label]).await;
                let labels = [label.to_owned()];
                let sim = self.sim.add_labels(&self.repo, number, &labels);
                same(trace, sim, real);
            }
        }
    }

    async fn block(&mut self, trace: &mut Vec<String>) {
        let (number, blocker) = (self.number(), self.number());
        trace.push(format!("block #{number} by #{blocker}"));
        let real = self.bot.add_blocker(&self.repo, number, blocker).await;
        let sim = self.sim.add_blocker(&self.repo, number, blocker);
        // A forge answers 500 where the simulated one says no.
        assert_eq!(sim.unwrap_or(false), real.is_ok(), "{trace:#?}");
        let real = self.bot.blockers(&self.repo, number).await;
        let sim = self.sim.blockers(&self.repo, number);
        let numbers = |list: Vec<Issue>| list.iter().map(|one| one.number).collect::<Vec<_>>();
        same(trace, sim.map(numbers), real.map(numbers));
    }

    /// A new commit in both, on top of a branch.
    async fn commit(&mut self, on: &str) -> ObjectName {
        let tips = self.sim.references(&self.repo, &branch_ref(on)).unwrap();
        let main = self.sim.reference(&self.repo, &branch_ref(MAIN)).unwrap();
        let parent = tips
            .into_iter()
            .next()
            .map_or(main.unwrap(), |(_, tip)| tip);
        self.contents += 1;
        let path = u32::try_from(self.random.below(4)).unwrap() + 1;
        let changes = [(path, self.contents)];
        let sim = self.sim.objects.change(&parent, &changes, Maker::Timmy);
        let tree = self.sim.objects.tree(&sim);
        let files: Vec<(String, String)> = tree
            .iter()
            .map(|(path, content)| (format!("f{path}"), format!("{content}\n")))
            .collect();
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_bytes()))
            .collect();
        let tree = self.bare.tree_of_files(&files).await.unwrap();
        let parents = [&self.real[&parent]];
        let made = self
            .bare
            .commit_tree(&tree, &parents, "work", self.clock.now());
        let made = made.await.unwrap();
        self.real.insert(sim.clone(), made);
        sim
    }

    async fn push(&mut self, trace: &mut Vec<String>) {
        let branch = branch_ref(self.branch());
        let claim = format!("refs/timmy/claims/{}", self.number());
        let targets = match self.random.below(3) {
            0 => vec![branch],
            1 => vec![claim],
            _ => vec![claim, branch],
        };
        let mut refs = Vec::new();
        for target in targets {
            let now = self.sim.reference(&self.repo, &target).unwrap();
            let expected = match self.random.below(6) {
                0 => None,
                1 => self.real.keys().next().cloned(),
                _ => now,
            };
            let delete = target != branch_ref(MAIN) && self.random.chance(0.25);
            let source = match delete && expected.is_some() {
                true => None,
                false => Some(self.commit(target.trim_start_matches("refs/heads/")).await),
            };
            let expect = expected.map_or(Expect::Absent, Expect::At);
            refs.push(PushRef {
                source,
                target: target.parse::<RefName>().unwrap(),
                expect,
            });
        }
        trace.push(format!("push {refs:?}"));
        let real = refs.iter().map(|one| PushRef {
            source: one.source.as_ref().map(|name| self.real[name].clone()),
            target: one.target.clone(),
            expect: match &one.expect {
                Expect::Absent => Expect::Absent,
                Expect::At(name) => Expect::At(self.real[name].clone()),
            },
        });
        let real = real.collect::<Vec<_>>();
        let real = self.bare.push(&self.remote, &real).await.unwrap();
        let real: Vec<PushStatus> = real.into_iter().map(|result| result.status).collect();
        let sim = self.sim.push(&self.repo, &refs).unwrap();
        if sim.iter().all(PushStatus::done) {
            // Results come in the order of git's report.
            let mut pair = [real, sim];
            pair.iter_mut()
                .for_each(|one| one.sort_by_key(|status| format!("{status:?}")));
            assert_eq!(pair[0], pair[1], "{trace:#?}");
        } else {
            assert!(
                real.iter().all(|status| !status.done()),
                "{real:?} {trace:#?}"
            );
            assert!(real.contains(&PushStatus::Stale), "{real:?} {trace:#?}");
        }
    }

    async fn create_pull(&mut self, trace: &mut Vec<String>) {
        let base = if self.random.chance(0.8) {
            MAIN
        } else {
            self.branch()
        };
        let new = NewPull {
            title: format!("Work {}", self.number()),
            body: self.text(),
            head: self.branch().to_owned(),
            base: base.to_owned(),
            draft: self.random.chance(0.2),
        };
        trace.push(format!("open {new:?}"));
        let real = self.bot.create_pull(&self.repo, &new).await;
        let sim = self.sim.create_pull(&self.repo, "bot", &new);
        let opened = |opened: Opened| (opened.pull.number, opened.adopted, opened.pull.title);
        same(trace, sim.map(opened), real.map(opened));
    }

    async fn update_pull(&mut self, trace: &mut Vec<String>) {
        let number = self.number();
        let texts = [None, Some("Other".to_owned())];
        let update = PullUpdate {
            title: self.random.pick(&texts).unwrap().clone(),
            body: self.random.pick(&texts).unwrap().clone(),
            draft: *self.random.pick(&[None, Some(true), Some(false)]).unwrap(),
            state: *self
                .random
                .pick(&[None, None, Some(IssueState::Open), Some(IssueState::Closed)])
                .unwrap(),
        };
        trace.push(format!("update #{number} {update:?}"));
        let real = self.bot.update_pull(&self.repo, number, &update).await;
        let sim = self.sim.update_pull(&self.repo, number, &update);
        same(trace, sim.map(drop), real.map(drop));
    }

    async fn merge(&mut self, trace: &mut Vec<String>) {
        let open = PullFilter::default();
        let pulls = self.sim.pulls(&self.repo, &open).unwrap();
        let Some(number) = self.random.pick(&pulls).map(|pull| pull.number) else {
            return;
        };
        trace.push(format!("merge #{number}"));
        let real = self.bot.checked_pull(&self.repo, number).await.unwrap();
        let sim = self.sim.checked_pull(&self.repo, number).unwrap();
        assert_eq!(sim.mergeable, real.mergeable, "{trace:#?}");
        let stale = self.random.chance(0.2);
        let known = self.real.keys().next().cloned().unwrap();
        let head = if stale { known } else { sim.head };
        let request = |head: ObjectName| MergeRequest {
            style: MergeStyle::Squash,
            head,
        };
        let asked = request(self.real[&head].clone());
        let real = self.bot.merge_pull(&self.repo, number, &asked).await;
        let sim = self.sim.merge_pull(&self.repo, number, &request(head));
        if let (Ok(sim), Ok(real)) = (&sim, &real) {
            assert!(
                self.learn(&sim.merge_commit, &real.merge_commit),
                "{trace:#?}"
            );
            self.fetch().await;
        }
        same(trace, sim.map(drop), real.map(drop));
    }

    /// A person edits an issue on the forge's own pages, which is the same code behind the API.
    async fn edit(&mut self, trace: &mut Vec<String>) {
        let (number, body) = (self.number(), self.text());
        trace.push(format!("edit #{number} {body:?}"));
        let row = self.tables.repository("bot", "project").await.unwrap();
        let number_there = i64::try_from(number).unwrap();
        let row = self
            .tables
            .issue(row.unwrap().id, number_there)
            .await
            .unwrap();
        let sim = self.sim.edit_body(&self.repo, number, &body);
        assert_eq!(row.is_some(), sim.is_ok(), "{trace:#?}");
        if let Some(row) = row {
            let edit = IssueEdit {
                body: Some(body),
                ..IssueEdit::default()
            };
            self.tables.edit_issue(row.id, edit).await.unwrap();
        }
    }

    async fn status(&mut self, trace: &mut Vec<String>) {
        let main = self.sim.reference(&self.repo, &branch_ref(MAIN)).unwrap();
        let commit = main.unwrap();
        let states = [
            StatusState::Success,
            StatusState::Failure,
            StatusState::Pending,
        ];
        let status = Status {
            context: format!("ci/{}", self.number() % 2),
            state: *self.random.pick(&states).unwrap(),
            description: String::new(),
            target_url: String::new(),
        };
        trace.push(format!("status {status:?}"));
        let real_commit = self.real[&commit].clone();
        let real = self.bot.set_status(&self.repo, &real_commit, &status).await;
        let sim = self.sim.set_status(&self.repo, &commit, &status);
        same(trace, sim, real);
        let sorted = |mut list: Vec<Status>| {
            list.sort_by_key(|status| status.context.clone());
            list
        };
        let real = self
            .bot
            .statuses(&self.repo, &real_commit)
            .await
            .map(sorted);
        let sim = self.sim.statuses(&self.repo, &commit).map(sorted);
        same(trace, sim, real);
    }

    /// Everything that can be listed.
    async fn compare(&mut self, trace: &[String]) {
        let all = IssueFilter {
            state: StateFilter::All,
            labels: Vec::new(),
        };
        let real = self.bot.issues(&self.repo, &all).await;
        let sim = self.sim.issues(&self.repo, StateFilter::All);
        let issues = |list: Vec<Issue>| list.into_iter().map(issue).collect::<Vec<_>>();
        same(trace, sim.map(issues), real.map(issues));
        let all = PullFilter {
            state: StateFilter::All,
            head: None,
        };
        let real = self.bot.pulls(&self.repo, &all).await.unwrap();
        let sim = self.sim.pulls(&self.repo, &all).unwrap();
        assert_eq!(sim.len(), real.len(), "{trace:#?}");
        for (sim, real) in sim.into_iter().zip(real) {
            let merged = sim.state == PullState::Merged;
            let heads = (Some(sim.head.clone()), Some(real.head.clone()));
            assert!(self.learn(&heads.0, &heads.1), "{trace:#?}");
            let merges = (&sim.merge_commit, &real.merge_commit);
            assert!(!merged || self.learn(merges.0, merges.1), "{trace:#?}");
            assert_eq!(pull(sim), pull(real), "{trace:#?}");
        }
        let number = self.number();
        let real = self.bot.comments(&self.repo, number).await;
        let sim = self.sim.comments(&self.repo, number);
        same::<Vec<Comment>>(trace, sim, real);
        let real = self.listed().await;
        let sim: BTreeMap<String, ObjectName> = self
            .sim
            .references(&self.repo, "refs/")
            .unwrap()
            .into_iter()
            .collect();
        let named = sim
            .into_iter()
            .map(|(name, at)| (name, self.real[&at].clone()));
        assert_eq!(named.collect::<BTreeMap<_, _>>(), real, "{trace:#?}");
    }
}

/// An issue without its address.
fn issue(issue: Issue) -> Issue {
    Issue {
        web_url: String::new(),
        ..issue
    }
}

/// A pull request without what is named differently or found out later.
fn pull(pull: PullRequest) -> PullRequest {
    PullRequest {
        head: "0".repeat(40).parse().unwrap(),
        merge_commit: None,
        mergeable: None,
        web_url: String::new(),
        ..pull
    }
}

/// Equal values, or errors of the same kind.
#[track_caller]
fn same<T: PartialEq + std::fmt::Debug>(
    trace: &[String],
    sim: Result<T, ForgeError>,
    real: Result<T, ForgeError>,
) {
    match (sim, real) {
        (Ok(sim), Ok(real)) => assert_eq!(sim, real, "{trace:#?}"),
        (Err(sim), Err(real)) => {
            let equal = discriminant(&sim) == discriminant(&real);
            assert!(equal, "simulated {sim:?}, real {real:?}: {trace:#?}");
        }
        (sim, real) => panic!("simulated {sim:?}, real {real:?}: {trace:#?}"),
    }
}

async fn play(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut pair = Pair::new(seed).await;
        let mut trace = vec![format!("seed {seed}")];
        for _ in 0..CALLS {
            pair.step(&mut trace).await;
        }
    }
}

#[tokio::test]
async fn both_forges_answer_alike() {
    play(0..SEQUENCES).await;
}

#[tokio::test]
async fn both_forges_answer_alike_to_others() {
    play(SEQUENCES..2 * SEQUENCES).await;
}

#[tokio::test]
async fn both_forges_answer_alike_to_further_ones() {
    play(2 * SEQUENCES..3 * SEQUENCES).await;
}

#[tokio::test]
async fn both_forges_answer_alike_to_the_last() {
    play(3 * SEQUENCES..4 * SEQUENCES).await;
}
