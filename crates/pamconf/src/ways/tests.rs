use super::*;
use crate::control::Control;
use crate::walk::Walk;

/// The modules' return values: one that counts as success, one that is ignored, one that fails.
const CODES: [Code; 3] = [Code::SUCCESS, Code::IGNORE, Code::AUTH_ERR];

/// xorshift: the same seed gives the same numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}

/// A stack of five modules, some of them in substacks. Codes other than [`CODES`] act as the last one.
fn stack(dice: &mut Dice) -> Vec<Handler> {
    const ACTIONS: [&str; 9] = ["ignore", "ok", "done", "bad", "die", "reset", "1", "2", "3"];
    let mut stack = Vec::new();
    let mut level = 0;
    for line in 0..5 {
        if level < 2 && dice.below(4) == 0 {
            stack.push(Handler {
                line,
                role: Role::Substack,
                control: Control::FAILURE,
                level,
            });
            level += 1;
        }
        let [success, ignore, default] = [0; 3].map(|_| ACTIONS[dice.below(ACTIONS.len())]);
        let control = format!("success={success} ignore={ignore} default={default}");
        stack.push(Handler {
            line,
            role: if dice.below(10) == 0 {
                Role::Fail
            } else {
                Role::Module
            },
            control: Control::parse(control.as_bytes()).expect("a control"),
            level,
        });
        if level > 0 && dice.below(3) == 0 {
            level -= 1;
        }
    }
    stack
}

/// Walks with all results of all modules.
fn walks(stack: &[Handler]) -> impl Iterator<Item = Walk> + '_ {
    (0..CODES.len().pow(5)).map(|number| {
        let result = |_, handler: &Handler| {
            let digit = number / CODES.len().pow(u32::try_from(handler.line).expect("five"));
            CODES[digit % CODES.len()]
        };
        Walk::of(stack, result)
    })
}

#[test]
fn ways_are_what_walks_with_all_results_find() {
    let (mut bypassed, mut bound) = (0, 0);
    for seed in 1..=300 {
        let stack = stack(&mut Dice(seed * 0x9e37_79b9));
        let ways = Ways::new(&stack, &|_| None);
        for (entry, handler) in stack.iter().enumerate() {
            if handler.role != Role::Module {
                continue;
            }
            let ran = |walk: &Walk, code: Option<Code>| {
                let mut steps = walk.steps.iter();
                steps.any(|it| it.entry == entry && code.is_none_or(|code| code == it.code))
            };
            let mut passed = false;
            let mut survived = false;
            for walk in walks(&stack).filter(|it| it.code == Code::SUCCESS) {
                passed |= !ran(&walk, None);
                survived |= ran(&walk, Some(Code::AUTH_ERR));
            }
            let shown = || format!("seed {seed}, entry {entry}: {stack:#?}");
            let bypass = ways.bypass(&[entry]);
            assert_eq!(bypass.is_some(), passed, "{bypass:?} {}", shown());
            let binding = ways.binding(&[entry], Code::AUTH_ERR);
            assert_eq!(binding.is_empty(), survived, "{}", shown());
            bypassed += usize::from(passed);
            bound += usize::from(!survived);
        }
    }
    assert!(bypassed > 100 && bound > 100, "{bypassed} {bound}");
}

#[test]
fn a_known_result_is_the_only_one() {
    let control = |word: &str| Handler {
        line: 0,
        role: Role::Module,
        control: Control::parse(word.as_bytes()).expect("a control"),
        level: 0,
    };
    let stack = [control("sufficient"), control("required")];
    let unknown = Ways::new(&stack, &|_| None);
    assert_eq!(unknown.bypass(&[1]), Some(Bypass::By(0)));
    let fails = |entry: usize| (entry == 0).then_some(Code::MODULE_UNKNOWN);
    let known = Ways::new(&stack, &fails);
    assert_eq!(known.bypass(&[1]), None);
    assert!(known.can_succeed());
    let none = |_| Some(Code::AUTH_ERR);
    assert!(!Ways::new(&stack, &none).can_succeed());
    let all = |_| Some(Code::SUCCESS);
    let first_ends = Ways::new(&stack, &all);
    assert_eq!(first_ends.reached().into_iter().collect::<Vec<_>>(), [0]);
    assert_eq!(unknown.reached().len(), 2);
}

#[test]
fn too_many_ways_are_no_proof() {
    // Each substack saves the verdict of its outer stack, for its reset.
    let word = "success=ok try_again=ok auth_err=reset perm_denied=bad default=ignore";
    let mut stack = Vec::new();
    let module = |level| Handler {
        line: 0,
        role: Role::Module,
        control: Control::parse(word.as_bytes()).expect("a control"),
        level,
    };
    for level in 0..15 {
        stack.extend([module(level), module(level)]);
        stack.push(Handler {
            role: Role::Substack,
            ..module(level)
        });
    }
    stack.push(module(15));
    let ways = Ways::new(&stack, &|_| None);
    assert_eq!(ways.bypass(&[stack.len() - 1]), Some(Bypass::TooManyWays));
    assert!(
        ways.binding(&[stack.len() - 1], Code::PERM_DENIED)
            .is_empty()
    );
}
