//! Lists of those who need no job, in files that are not there.

use pamconf::{Action, Code};

use crate::host::tree::Tree;
use crate::pam::access::Access;
use crate::pam::account::texts::NO_LIST;
use crate::pam::listfile::{Content, ListFile};
use crate::pam::stack::{Call, Stack};
use crate::{Finding, Notes};

/// Lines that would let some in if their file were there, and pass everyone on without it.
pub(super) fn look(stack: &Stack<'_>, notes: &mut Notes) {
    for entry in stack.find(|it| it.fault.is_none()) {
        let (Some(call), Some(handler)) = (stack.call(entry), stack.handler(entry)) else {
            continue;
        };
        let Some((file, code)) = missing(&stack.host.tree, call) else {
            continue;
        };
        // An image lacks the file systems that its host mounts.
        let is_looked_at = stack.host.is_live() || file.starts_with("/etc/");
        let leads_past = matches!(
            handler.control.action(Code::SUCCESS),
            Action::Done | Action::Jump(_)
        );
        if is_looked_at && leads_past && handler.control.action(code) == Action::Ignore {
            let detail = format!("there is no {file}: {} lets nobody in", call.name);
            let spot = stack.spot(entry).mark(&file);
            notes.find(Finding::of(&NO_LIST, detail).at(spot));
        }
    }
}

/// The file that a call does not find, and the module's answer.
fn missing(tree: &Tree, call: &Call) -> Option<(String, Code)> {
    match call.name.as_str() {
        "pam_access.so" => {
            let access = Access::read(tree, &call.arguments);
            access.missing().map(|it| (it.to_owned(), Code::ABORT))
        }
        "pam_listfile.so" => {
            let list = ListFile::read(tree, &call.arguments);
            let is_missing = list.content == Content::Missing && !list.file.is_empty();
            is_missing.then_some((list.file, list.on_error))
        }
        _ => None,
    }
}
