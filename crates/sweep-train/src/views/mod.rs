//! Views made where the network is: a backend with a memory of its own keeps the pictures there as bytes, and gets per batch which part
//! of which picture to show.
//!
//! Not here: which part ([`sweep_data::View`], keyed by seed, epoch and example), views made on the host ([`crate::feed`]).

#[cfg(feature = "gpu")]
mod cube;

use std::convert::Infallible;

use burn::backend::Flex;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use sweep_data::{Packed, View};

/// What a view shows of a resident picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Where its picture begins, in bytes of all pictures.
    pub offset: usize,
    /// Size of its picture in pixels: across, down.
    pub picture: [u32; 2],
    /// The part of it.
    pub view: View,
}

impl Shown {
    /// `view` of `example`.
    pub fn of(packed: &Packed, example: usize, view: View) -> Self {
        let picture = packed.picture(example);
        let offset = packed.offset_of(example);
        Self { offset, picture: [picture.width, picture.height], view }
    }
}

/// A backend that may keep pictures on its device.
pub trait ViewBackend: Backend {
    /// The pictures of a data set on the device.
    type Resident: Send + Sync + 'static;

    /// The pictures of `packed` on `device`, `table` being the normalised value of each byte by channel; `None` where views are made on
    /// the host.
    fn resident(
        packed: &Packed,
        table: &[[f32; 256]],
        device: &Self::Device,
    ) -> Option<Self::Resident>;

    /// Normalised views.
    ///
    /// # Shapes
    /// [N, S, S, C]
    fn views(resident: &Self::Resident, shown: &[Shown]) -> Tensor<Self, 4>;
}

/// On the CPU the packed file is in memory already.
impl ViewBackend for Flex {
    type Resident = Infallible;

    fn resident(_: &Packed, _: &[[f32; 256]], _: &Self::Device) -> Option<Infallible> {
        None
    }

    fn views(resident: &Infallible, _: &[Shown]) -> Tensor<Self, 4> {
        match *resident {}
    }
}
