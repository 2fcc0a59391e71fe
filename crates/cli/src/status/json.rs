//! The status as JSON; docs/status.schema.json describes it.

use std::io::{self, Write};

use serde::Serialize;
use status::{Account, End, Job, Login, Outsider, Refusal, Status};

use crate::output;

#[derive(Serialize)]
struct Object<'a> {
    host: &'a str,
    time: String,
    all_users: bool,
    jobs: Vec<JobRow<'a>>,
    outside: Vec<OutsideRow<'a>>,
    /// None: not known.
    refused: Option<Vec<RefusedRow<'a>>>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct JobRow<'a> {
    job: u32,
    user: Option<&'a str>,
    uid: Option<u32>,
    /// None: not known, or no limit.
    end: Option<String>,
    state: Option<String>,
    cpus: Option<u32>,
    memory_bytes: Option<u64>,
    extern_step: bool,
    trouble: Option<&'a str>,
    logins: Vec<LoginRow<'a>>,
}

#[derive(Serialize)]
struct LoginRow<'a> {
    user: &'a str,
    uid: u32,
    kind: &'static str,
    tty: Option<&'a str>,
    from: Option<String>,
    since: String,
    pid: i32,
    step: Option<&'a str>,
}

#[derive(Serialize)]
struct OutsideRow<'a> {
    user: &'a str,
    uid: u32,
    exempt: Option<&'a str>,
    logins: Vec<LoginRow<'a>>,
    user_manager: bool,
    programs: Vec<ProgramRow<'a>>,
    since: Option<String>,
}

#[derive(Serialize)]
struct ProgramRow<'a> {
    name: &'a str,
    processes: usize,
}

#[derive(Serialize)]
struct RefusedRow<'a> {
    time: String,
    user: &'a str,
    kind: &'a str,
    reason: &'a str,
}

impl<'a> JobRow<'a> {
    fn of(job: &'a Job) -> Self {
        Self {
            job: job.job,
            user: job.user.as_ref().map(name),
            uid: job.user.as_ref().map(|it| it.uid),
            end: match job.end {
                Some(End::At(time)) => Some(time.to_string()),
                Some(End::Never) | None => None,
            },
            state: job.state.map(|it| it.to_string()),
            cpus: job.cpus,
            memory_bytes: job.memory,
            extern_step: job.has_extern_step,
            trouble: job.trouble.as_deref(),
            logins: job.logins.iter().map(LoginRow::of).collect(),
        }
    }
}

impl<'a> LoginRow<'a> {
    fn of(login: &'a Login) -> Self {
        Self {
            user: name(&login.user),
            uid: login.user.uid,
            kind: login.kind.name(),
            tty: login.tty.as_deref(),
            from: login.from.map(|it| it.to_string()),
            since: login.since.to_string(),
            pid: login.pid,
            step: login.step.as_deref(),
        }
    }
}

impl<'a> OutsideRow<'a> {
    fn of(outsider: &'a Outsider) -> Self {
        let programs = outsider.programs.iter();
        let programs = programs.map(|(name, count)| ProgramRow {
            name,
            processes: *count,
        });
        Self {
            user: name(&outsider.user),
            uid: outsider.user.uid,
            exempt: outsider.exempt.as_deref(),
            logins: outsider.logins.iter().map(LoginRow::of).collect(),
            user_manager: outsider.has_manager,
            programs: programs.collect(),
            since: outsider.since.map(|it| it.to_string()),
        }
    }
}

impl<'a> RefusedRow<'a> {
    fn of(refusal: &'a Refusal) -> Self {
        Self {
            time: refusal.time.to_string(),
            user: &refusal.user,
            kind: &refusal.kind,
            reason: &refusal.reason,
        }
    }
}

fn name(user: &Account) -> &str {
    &user.name
}

/// Writes one object and a line's end.
pub(super) fn write(out: &mut dyn Write, status: &Status) -> io::Result<()> {
    let mut notes = status.notes.clone();
    if let Err(cause) = &status.refused {
        notes.push(format!("refused logins are not known: {cause}"));
    }
    let refused = status.refused.as_ref().ok();
    let object = Object {
        host: &status.host,
        time: status.taken.to_string(),
        all_users: status.is_all,
        jobs: status.jobs.iter().map(JobRow::of).collect(),
        outside: status.outside.iter().map(OutsideRow::of).collect(),
        refused: refused.map(|it| it.iter().map(RefusedRow::of).collect()),
        notes,
    };
    output::write_json(out, &object)
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use serde_json::{Map, Value};

    use super::*;
    use crate::status::samples::{nothing, unusual, usual};

    fn object(status: &Status) -> Value {
        let mut out = Vec::new();
        write(&mut out, status).expect("write");
        assert!(out.ends_with(b"}\n"));
        serde_json::from_slice(&out).expect("one object")
    }

    #[test]
    fn the_object_is_as_in_the_file() {
        let found = serde_json::to_string_pretty(&object(&usual())).expect("write");
        expect_file!["usual.json"].assert_eq(&format!("{found}\n"));
    }

    #[test]
    fn the_schema_describes_it() {
        let schema = include_str!("../../../../docs/status.schema.json");
        let schema: Value = serde_json::from_str(schema).expect("a schema");
        for status in [usual(), unusual(), nothing()] {
            conforms(&object(&status), &schema, &schema, "");
        }
    }

    /// Checks types, and that an object has the properties of its schema and no others.
    fn conforms(value: &Value, schema: &Value, root: &Value, at: &str) {
        let schema = match schema["$ref"].as_str().and_then(|it| it.strip_prefix('#')) {
            Some(place) => root.pointer(place).expect("a definition"),
            None => schema,
        };
        let types = match &schema["type"] {
            Value::Array(types) => types.clone(),
            one => vec![one.clone()],
        };
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        assert!(
            types.iter().any(|it| it == kind),
            "{at} is {kind}: {types:?}"
        );
        if let Some(allowed) = schema["enum"].as_array() {
            assert!(allowed.contains(value), "{at}: {value}");
        }
        match value {
            Value::Array(items) => {
                for item in items {
                    conforms(item, &schema["items"], root, &format!("{at}[]"));
                }
            }
            Value::Object(fields) => {
                let keys = |of: &Map<String, Value>| of.keys().cloned().collect::<Vec<_>>();
                let properties = schema["properties"].as_object().expect("properties");
                assert_eq!(keys(fields), keys(properties), "{at}");
                let mut required = schema["required"].as_array().expect("required").clone();
                required.sort_by_key(Value::to_string);
                assert_eq!(required, keys(properties), "{at}");
                for (name, field) in fields {
                    conforms(field, &properties[name], root, &format!("{at}.{name}"));
                }
            }
            _ => {}
        }
    }
}
