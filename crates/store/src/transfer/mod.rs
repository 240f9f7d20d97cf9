//! Images on their way in and out: image layouts and archives of docker's kind, read and written.
//!
//! [`Archive`] finds the files; `layout` and `docker_archive` know what they mean and give [`Incoming`] images;
//! [`load`] takes one into the store. [`prepare`] makes one ready to go out, [`save_to`] writes it.

mod again;
mod archive;
mod artifact;
mod cache;
mod copy;
mod docker_archive;
mod hashing;
mod import;
mod incoming;
mod input;
mod intended;
mod kind;
mod late;
mod layout;
mod layout_directory;
mod load;
mod outgoing;
mod packing;
mod pending;
mod pipe;
mod record;
mod regain;
mod save;
mod sink;
mod skopeo_directory;
mod stream;
mod tar_split;

pub(crate) use again::{Again, NotAgain, unpack_again};
pub use archive::{Archive, Content};
pub use artifact::{Artifact, BlobSource};
pub use cache::{CacheLayer, CacheLayout, CachePacker, CachePlace, save_cache};
pub use copy::{Copied, copy_layer};
pub use import::{import, import_directory};
pub use incoming::{Incoming, IncomingLayer, LayerSource};
pub use load::{Loaded, load, load_layer};
pub use outgoing::{Outgoing, OutgoingLayer, Packing, diff_ids, prepare};
pub use pending::write_file;
pub(crate) use record::history as made_layers;
pub use regain::regain_blob;
pub use save::{Format, OutgoingIndex, Wanted, prepare_index, save_into, save_to};
pub use tar_split::TarSplit;
