use std::os::unix::ffi::OsStringExt;

use proptest::prelude::*;

use super::*;
use crate::wire::decode;
use crate::wire::encode;

fn text() -> impl Strategy<Value = OsString> {
    prop::collection::vec(1_u8.., 0..12).prop_map(OsString::from_vec)
}

fn path() -> impl Strategy<Value = PathBuf> {
    text().prop_map(PathBuf::from)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes)
}

fn supervision() -> impl Strategy<Value = Step> {
    let rlimits = (any::<[u64; 3]>(), any::<bool>(), any::<Option<u64>>());
    let rlimits =
        rlimits.prop_map(
            |([file_bytes, open_files, processes], own, data_bytes)| Rlimits {
                file_bytes,
                open_files,
                processes,
                counted: if own {
                    Counted::Namespace
                } else {
                    Counted::User
                },
                data_bytes,
            },
        );
    let access = prop_oneof![
        Just(Access::Read),
        Just(Access::Write),
        Just(Access::Device)
    ];
    let rules = prop::collection::vec((path(), access), 0..4);
    let network = prop_oneof![Just(Network::Loopback), Just(Network::Denied)];
    let confinement =
        (any::<u32>(), rules, network).prop_map(|(landlock_floor, rules, network)| Confinement {
            landlock_floor,
            rules,
            network,
        });
    let reaping = prop_oneof![Just(Reaping::Namespace), Just(Reaping::Subreaper)];
    (
        reaping,
        prop::collection::vec(text(), 0..4),
        path(),
        prop::collection::vec((text(), text()), 0..4),
        bytes(),
        prop::option::of(rlimits),
        prop::option::of(confinement),
    )
        .prop_map(
            |(reaping, argv, directory, environment, input, rlimits, confinement)| {
                Step::Supervise(Supervision {
                    reaping,
                    argv,
                    directory,
                    environment,
                    input,
                    rlimits,
                    confinement,
                })
            },
        )
}

fn namespaces() -> impl Strategy<Value = Step> {
    let argument = prop_oneof![
        text().prop_map(Argument::Text),
        bytes().prop_map(Argument::Data)
    ];
    let arguments = prop::collection::vec(argument, 0..5);
    let inner = prop::collection::vec(text(), 0..3);
    (path(), arguments, inner, bytes()).prop_map(|(program, arguments, inner, plan)| {
        Step::Bubblewrap(Namespaces {
            program,
            arguments,
            inner,
            plan,
        })
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    let identity = any::<(u32, u32)>().prop_map(|(uid, gid)| Identity { uid, gid });
    (
        prop::collection::vec(path(), 0..3),
        prop::option::of(identity),
        prop::collection::vec(path(), 0..3),
        prop_oneof![supervision(), namespaces()],
    )
        .prop_map(|(cgroups, identity, reach, step)| Plan {
            cgroups,
            identity,
            reach,
            step,
        })
}

proptest! {
    #[test]
    fn a_plan_arrives_as_it_was_sent(plan in plan()) {
        prop_assert_eq!(Ok(plan.clone()), decode(&encode(&plan)));
    }

    #[test]
    fn a_damaged_plan_is_another_or_none(plan in plan(), at: prop::sample::Index, value: u8) {
        let mut bytes = encode(&plan);
        let at = at.index(bytes.len());
        prop_assert!(decode::<Plan>(&bytes[..at]).is_err());
        bytes[at] = value;
        if let Ok(read) = decode::<Plan>(&bytes) {
            prop_assert_eq!(bytes, encode(&read));
        }
    }

    #[test]
    fn any_bytes_are_read(bytes in any::<Vec<u8>>()) {
        let _ = decode::<Plan>(&bytes);
        if let Ok(report) = decode::<Report>(&bytes) {
            prop_assert_eq!(bytes, encode(&report));
        }
    }
}
