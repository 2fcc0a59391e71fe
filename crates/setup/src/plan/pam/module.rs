//! The module's file: a line that libpam cannot follow keeps everybody out, root too.

use check::{Host, Maker};

/// Makes sure that libpam can load a module.
pub(super) fn verify(host: &Host, name: &str) -> Result<Maker, String> {
    let Some(file) = check::module_file(host, name) else {
        let paths = host.modules().paths(name);
        let paths: Vec<String> = paths.iter().map(|it| it.display().to_string()).collect();
        return Err(format!(
            "the module is not installed: there is no {}; a line that calls it would keep everybody out",
            paths.join(", ")
        ));
    };
    if let Some(fault) = file.faults.first() {
        return Err(format!(
            "sshd cannot load the module, and a line that calls it would keep everybody out: {} ({})",
            fault.detail, fault.check.id
        ));
    }
    Ok(file.maker)
}
