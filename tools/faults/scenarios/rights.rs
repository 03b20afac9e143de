//! The child has no rights of root: what nobody may read, it cannot read either.

use super::Scenario;
use crate::jobs::write;
use crate::outcome::Outcome;
use crate::sandbox::{open_to_all, set_mode};

pub fn scenarios() -> Vec<Scenario> {
    let run = |sandbox: &crate::sandbox::Sandbox| {
        let path = sandbox.fresh()?.join("secret");
        write(&path, b"secret")?;
        let words = ["read".into(), path.clone().into()];
        open_to_all(&path)?;
        sandbox.run(&words)?.well().map_err(|e| format!("the child cannot read what everybody may: {e}"))?;
        set_mode(&path, 0)?;
        let control = "the same file with a mode that lets everybody read was read".to_owned();
        let failures = sandbox.run(&words)?.badly("Permission denied").err().into_iter().collect();
        Ok(Outcome::Done { tries: 1, control, failures })
    };
    vec![Scenario::new("a file that nobody may read", run)]
}
