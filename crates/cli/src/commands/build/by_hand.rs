//! `wiac build --dry-run=shell`.

use super::contexts::Contexts;
use super::input::Input;
use super::{Arguments, Stopped, pulling, request, stopped};
use crate::data::Data;
use crate::error::{Failure, exit_code};
use crate::exit::ExitCode;
use crate::images::AllImages;
use wiac_build::dockerfile::shell::{Means, by_hand};

/// Prints the script. What can't be put into it is told, and then it is no success.
pub(super) fn print(
    data: &Data,
    arguments: &Arguments,
    (input, contexts): (&Input, &Contexts),
) -> Result<ExitCode, Failure> {
    if input.is_fetched() || contexts.is_fetched() {
        return Err(Failure::usage(
            "--dry-run=shell: the script needs the context where it lies; fetch it into a directory first",
        ));
    }
    let platform = match arguments.platform.as_slice() {
        [] => None,
        [one] => Some(one),
        _ => return Err(Failure::usage("--dry-run: a script builds for one platform at a time")),
    };
    let request = request(arguments, (input, contexts), platform)?;
    let means = Means {
        store: &data.store,
        images: &mut AllImages::new(data, pulling(arguments, platform)),
        user_namespace: data.user_namespace.as_ref(),
    };
    let made = by_hand(&request, means);
    let made = match made.map_err(|error| stopped(error, &input.file_name, &request.text, false)) {
        Ok(made) => made,
        Err(Stopped::Failed(failure)) => return Err(failure),
        Err(Stopped::Interrupted(signal)) => return Ok(exit_code(128 + signal)),
    };
    print!("{}", made.script);
    if made.missing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::new(format!(
        "the script stops where it can't do what the build does: {}",
        made.missing.join("; ")
    )))
}
