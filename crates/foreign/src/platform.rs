//! The platform of this machine, and which manifest of an index is for it.

use wiac_oci::manifest::{Descriptor, Platform, media_type};

/// This machine's platform, by Go's names.
pub(crate) fn host() -> Platform {
    let (architecture, variant) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", None),
        "aarch64" => ("arm64", Some("v8")),
        "arm" => ("arm", Some("v7")),
        "x86" => ("386", None),
        "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
        "loongarch64" => ("loong64", None),
        other => (other, None),
    };
    Platform {
        architecture: architecture.to_owned(),
        os: "linux".to_owned(),
        variant: variant.map(str::to_owned),
        ..Platform::default()
    }
}

/// `linux/amd64`.
pub(crate) fn words(platform: &Platform) -> String {
    format!("{}/{}", platform.os, platform.architecture)
}

/// The manifests of an index that fit this machine, the best first: the machine's own variant, then any.
pub(crate) fn fitting(manifests: &[Descriptor]) -> Vec<&Descriptor> {
    let host = host();
    let mut fitting: Vec<_> = manifests
        .iter()
        .filter(|descriptor| media_type::is_manifest(&descriptor.media_type))
        .filter(|descriptor| {
            descriptor
                .platform
                .as_ref()
                .is_none_or(|platform| platform.os == host.os && platform.architecture == host.architecture)
        })
        .collect();
    fitting.sort_by_key(|descriptor| match &descriptor.platform {
        Some(platform) if platform.variant == host.variant => 0,
        Some(platform) if platform.variant.is_none() => 1,
        Some(_) => 2,
        None => 3,
    });
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiac_oci::digest::Digest;

    #[test]
    fn attestations_and_others_are_left_out() {
        let descriptor = |architecture: &str, variant: Option<&str>| Descriptor {
            platform: Some(Platform {
                architecture: architecture.to_owned(),
                os: "linux".to_owned(),
                variant: variant.map(str::to_owned),
                ..Platform::default()
            }),
            ..Descriptor::new(media_type::MANIFEST, Digest::sha256(architecture), 1)
        };
        let own = host();
        let manifests = [
            descriptor("unknown", None),
            descriptor(&own.architecture, Some("other")),
            descriptor(&own.architecture, own.variant.as_deref()),
        ];
        let found = fitting(&manifests);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], &manifests[2]);
    }
}
