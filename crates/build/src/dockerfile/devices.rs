//! RUN `--device`: which devices of this machine a step gets.

use super::Entitlement;
use super::worker::Worker;
use crate::cdi::{Device, Registry};
use crate::error::{Error, Result};
use crate::progress::Event;
use wiac_dockerfile::Run;

impl Worker<'_, '_> {
    /// The devices that a RUN asks for, as far as this machine has them: the others are warned of, if they aren't required.
    pub(super) fn devices(&self, run: &Run) -> Result<Vec<Device>> {
        let mut devices = Vec::new();
        if run.devices.is_empty() {
            return Ok(devices);
        }
        let registry = Registry::read()?;
        let is_allowed = self.shared.request.allow.contains(&Entitlement::Device);
        for wanted in &run.devices {
            let found = registry.find(&wanted.name.text);
            if found.is_empty() && wanted.required {
                let problem = format!("the required device {} is not registered", wanted.name);
                return Err(Error::wrong_with_hint(problem, registry.hint()));
            }
            if found.is_empty() {
                let problem = format!("the device {} is not registered: the step does without it", wanted.name);
                self.shared.tell(Event::Warning(&problem));
            }
            if let Some(device) = found.iter().find(|device| !is_allowed && !device.is_free()) {
                return Err(Error::wrong_with_hint(
                    format!("RUN --device={} isn't allowed", device.name),
                    "grant it by --allow device",
                ));
            }
            devices.extend(found.into_iter().cloned());
        }
        Ok(devices)
    }
}
