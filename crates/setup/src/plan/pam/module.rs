//! The module's file: a line that libpam cannot follow keeps everybody out, root too.

use check::{Host, Maker};

use crate::plan::PamRefusal;

/// Makes sure that libpam can load a module.
pub(super) fn verify(host: &Host, name: &str) -> Result<Maker, PamRefusal> {
    let Some(file) = check::module_file(host, name) else {
        let paths = host.modules().paths(name);
        let paths: Vec<String> = paths.iter().map(|it| it.display().to_string()).collect();
        return Err(PamRefusal::NoModule(paths.join(", ")));
    };
    if let Some(fault) = file.faults.first() {
        return Err(PamRefusal::Unloadable {
            fault: fault.detail.clone(),
            id: fault.check.id,
        });
    }
    Ok(file.maker)
}
