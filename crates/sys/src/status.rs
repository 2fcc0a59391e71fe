//! Facts from /proc/PID/status, proc(5).

/// What a process's status file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessStatus {
    /// Its name, cut to 15 bytes by the kernel: any bytes that its user chose, those that are not UTF-8 replaced.
    pub name: String,
    /// The pid of its parent.
    pub parent: u32,
    /// Its real, effective and saved uid.
    pub uids: [u32; 3],
    /// Whether a signal or a tracer has stopped it.
    pub is_stopped: bool,
}

impl ProcessStatus {
    /// Parses the text; None if it lacks something.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // The kernel writes a line's end in the name as \n: it cannot pose as another line.
        let value = |name: &str| {
            let mut lines = text.lines();
            let value = lines.find_map(|it| it.strip_prefix(name)?.strip_prefix(':'));
            value.map(str::trim)
        };
        let uids = value("Uid")?.split_ascii_whitespace().take(3);
        let uids: Vec<u32> = uids.map_while(|it| it.parse().ok()).collect();
        Some(Self {
            name: value("Name")?.to_owned(),
            parent: value("PPid")?.parse().ok()?,
            uids: uids.try_into().ok()?,
            is_stopped: value("State")?.starts_with(['T', 't']),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_status_says() {
        let text = "Name:\tPPid: 9\nUmask:\t0022\nState:\tT (stopped)\nTgid:\t7\nPid:\t7\nPPid:\t3\n\
                    Uid:\t2001\t2002\t0\t2002\nGid:\t1\t1\t1\t1\n";
        let expected = ProcessStatus {
            name: "PPid: 9".to_owned(),
            parent: 3,
            uids: [2001, 2002, 0],
            is_stopped: true,
        };
        assert_eq!(ProcessStatus::parse(text), Some(expected));
        for text in ["", "Name:\tx\nState:\tS\nPPid:\t1\nUid:\t1\t1\n"] {
            assert_eq!(ProcessStatus::parse(text), None, "{text}");
        }
    }
}
