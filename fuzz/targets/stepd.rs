//! Answers of slurmstepd.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use proto::Version;
use proto::stepd::{
    ADOPT_ANSWER, NotAdopted, OWNER_ANSWER, State, X11_ANSWER, read_adopted, read_owner,
    read_state, read_x11,
};

fuzz_target!(|answer: &[u8]| {
    let word = |at: usize| {
        answer
            .get(at..at + 4)?
            .try_into()
            .ok()
            .map(i32::from_ne_bytes)
    };
    let state = |at: usize| answer.get(at..at + 4)?.try_into().ok().map(read_state);
    match read_owner(answer) {
        Ok(owner) => {
            assert_eq!(answer.len(), OWNER_ANSWER);
            assert!(owner.uid != u32::MAX);
            // As sent: in `stepd_api.c` version, uid and state are ints.
            let version = word(0).and_then(Version::from_stepd);
            assert_eq!(Some(owner.version), version);
            let said = (Some(owner.uid as i32), Some(owner.state));
            assert_eq!(said, (word(4), state(8)));
            let asked = owner.version.hands_over_namespaces_by().request();
            assert_eq!(asked.is_some(), owner.version >= Version::V20_11);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let said_wrong = word(0).is_some_and(|it| it <= 0) || word(4) == Some(-1);
            assert!(answer.len() != OWNER_ANSWER || said_wrong);
        }
    }
    match read_adopted(answer) {
        Ok(()) => {
            assert_eq!((answer.len(), word(0)), (ADOPT_ANSWER, Some(0)));
            assert_ne!(state(4), Some(State::Ending));
        }
        Err(NotAdopted::Refused(code)) => assert!(code != 0 && word(0) == Some(code)),
        Err(NotAdopted::Ending) => assert_eq!(state(4), Some(State::Ending)),
        Err(error @ NotAdopted::Nonsense(_)) => {
            assert!(!error.to_string().is_empty() && answer.len() != ADOPT_ANSWER);
        }
    }
    match read_x11(answer) {
        Ok(x11) => {
            assert!(answer.len() == X11_ANSWER && x11.authority <= 4096);
            assert_eq!(word(0), Some(x11.display));
            assert_eq!(word(4).map(i64::from), i64::try_from(x11.authority).ok());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
