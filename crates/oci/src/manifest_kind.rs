//! OCI's manifests as docker's (schema 2) and the other way round: both say the same of an image, under other media types.

use crate::manifest::{Descriptor, Index, Manifest, media_type};

/// Whose manifests and indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestKind {
    /// OCI's.
    Oci,
    /// docker's, schema 2.
    Docker,
}

/// A blob that has no media type in the other kind of manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KindError {
    /// docker's layers are plain or gzip.
    #[error("docker's manifests know no layers compressed with zstd")]
    Zstd,
    /// Neither OCI's nor docker's.
    #[error("a blob has the media type {0:?}, which the other kind of manifest has no word for; leave --format out")]
    Unknown(String),
}

/// The media types of one thing: OCI's and docker's.
const WORDS: [(&str, &str); 7] = [
    (media_type::MANIFEST, media_type::DOCKER_MANIFEST),
    (media_type::INDEX, media_type::DOCKER_INDEX),
    (media_type::CONFIG, media_type::DOCKER_CONFIG),
    (media_type::LAYER, media_type::DOCKER_LAYER),
    (media_type::LAYER_GZIP, media_type::DOCKER_LAYER_GZIP),
    // Nobody's specification, but met: read, and never written.
    (
        media_type::LAYER_ZSTD,
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    ),
    (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ),
];

impl ManifestKind {
    /// Whose a manifest or index of this media type is.
    pub fn of(media_type: &str) -> Self {
        if matches!(media_type, media_type::DOCKER_MANIFEST | media_type::DOCKER_INDEX) {
            Self::Docker
        } else {
            Self::Oci
        }
    }

    /// The media type of a manifest.
    pub fn manifest_type(self) -> &'static str {
        match self {
            Self::Oci => media_type::MANIFEST,
            Self::Docker => media_type::DOCKER_MANIFEST,
        }
    }

    /// The media type of an index.
    pub fn index_type(self) -> &'static str {
        match self {
            Self::Oci => media_type::INDEX,
            Self::Docker => media_type::DOCKER_INDEX,
        }
    }

    /// What says the same of an image in this kind. Annotations are left out where docker's has no place for them.
    ///
    /// # Errors
    /// A layer that it has no word for.
    pub fn manifest(self, manifest: &Manifest) -> Result<Manifest, KindError> {
        let layers: Result<Vec<_>, _> = manifest.layers.iter().map(|layer| self.descriptor(layer)).collect();
        let mut made = Manifest::new(self.descriptor(&manifest.config)?, layers?);
        made.media_type = Some(self.manifest_type().to_owned());
        if self == Self::Oci {
            made.annotations.clone_from(&manifest.annotations);
        }
        Ok(made)
    }

    /// The same of an index of these manifests, which are of this kind already.
    pub fn index(self, index: &Index, manifests: Vec<Descriptor>) -> Index {
        let mut made = Index::new(manifests);
        made.media_type = Some(self.index_type().to_owned());
        match self {
            Self::Oci => made.annotations.clone_from(&index.annotations),
            Self::Docker => {
                for manifest in &mut made.manifests {
                    manifest.annotations.clear();
                }
            }
        }
        made
    }

    fn descriptor(self, descriptor: &Descriptor) -> Result<Descriptor, KindError> {
        let words = WORDS
            .iter()
            .find(|(oci, docker)| [*oci, *docker].contains(&descriptor.media_type.as_str()));
        let word = match (self, words) {
            (Self::Docker, Some((media_type::LAYER_ZSTD, _))) => return Err(KindError::Zstd),
            (Self::Oci, Some((oci, _))) => *oci,
            (Self::Docker, Some((_, docker))) => *docker,
            (_, None) => return Err(KindError::Unknown(descriptor.media_type.clone())),
        };
        let mut made = Descriptor::new(word, descriptor.digest.clone(), descriptor.size);
        made.urls.clone_from(&descriptor.urls);
        if self == Self::Oci {
            made.annotations.clone_from(&descriptor.annotations);
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn manifest(layer: &str) -> Manifest {
        let descriptor = |word: &str| Descriptor::new(word, Digest::sha256(word), 1);
        let mut manifest = Manifest::new(descriptor(media_type::CONFIG), vec![descriptor(layer)]);
        manifest.annotations.insert("a".to_owned(), "b".to_owned());
        manifest
    }

    #[test]
    fn an_image_is_the_same_in_both_words() {
        for layer in [media_type::LAYER, media_type::LAYER_GZIP] {
            let oci = manifest(layer);
            let docker = ManifestKind::Docker.manifest(&oci).expect("converted");
            assert_eq!(docker.media_type.as_deref(), Some(media_type::DOCKER_MANIFEST));
            assert_eq!(docker.config.media_type, media_type::DOCKER_CONFIG);
            assert!(docker.layers[0].media_type.starts_with(media_type::DOCKER_LAYER));
            assert!(docker.annotations.is_empty());
            assert_eq!(ManifestKind::Docker.manifest(&docker), Ok(docker.clone()));
            let mut back = ManifestKind::Oci.manifest(&docker).expect("converted");
            back.annotations.clone_from(&oci.annotations);
            assert_eq!(back, oci);
        }
    }

    #[test]
    fn annotations_stay_where_there_is_a_place_for_them() {
        let mut oci = manifest(media_type::LAYER);
        oci.layers[0].annotations.insert("c".to_owned(), "d".to_owned());
        assert_eq!(ManifestKind::Oci.manifest(&oci), Ok(oci.clone()));
        let docker = ManifestKind::Docker.manifest(&oci).expect("converted");
        assert!(docker.layers[0].annotations.is_empty());

        let mut index = Index::new(oci.layers.clone());
        index.annotations.clone_from(&oci.annotations);
        let same = ManifestKind::Oci.index(&index, oci.layers.clone());
        assert_eq!(
            (same.annotations, same.manifests),
            (oci.annotations, oci.layers.clone())
        );
        let docker = ManifestKind::Docker.index(&index, oci.layers);
        assert_eq!(docker.media_type.as_deref(), Some(media_type::DOCKER_INDEX));
        assert!(docker.annotations.is_empty() && docker.manifests[0].annotations.is_empty());
    }

    #[test]
    fn whose_a_document_is_shows_in_its_media_type() {
        for kind in [ManifestKind::Oci, ManifestKind::Docker] {
            assert_eq!(ManifestKind::of(kind.manifest_type()), kind);
            assert_eq!(ManifestKind::of(kind.index_type()), kind);
        }
    }

    #[test]
    fn what_docker_has_no_word_for_is_said() {
        let zstd = manifest(media_type::LAYER_ZSTD);
        assert_eq!(ManifestKind::Docker.manifest(&zstd), Err(KindError::Zstd));
        assert_eq!(ManifestKind::Oci.manifest(&zstd), Ok(zstd));
        let unknown = ManifestKind::Docker.manifest(&manifest("x/y"));
        assert_eq!(unknown, Err(KindError::Unknown("x/y".to_owned())));
    }
}
