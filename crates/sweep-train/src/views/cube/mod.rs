//! [`ViewBackend`] for CUDA: the packed file's pictures in the device's memory, views by one kernel.

mod kernels;

use burn::tensor::{DType, Tensor, TensorPrimitive};
use burn_cubecl::tensor::CubeTensor;
use cubecl::Runtime as _;
use cubecl::client::ComputeClient;
use sweep_data::Packed;

use self::kernels::{PLAN, Pictures};
use super::{Shown, ViewBackend};
use crate::device;
use crate::device::gpu::{self, Gpu, GpuDevice, GpuRuntime};

/// The part of the device's free memory that pictures may take: 1/4.
const SHARE: u64 = 4;

/// Pictures on one GPU.
#[derive(Debug)]
pub struct OnDevice {
    device: GpuDevice,
    pictures: Pictures,
}

impl ViewBackend for Gpu {
    type Resident = OnDevice;

    fn resident(packed: &Packed, table: &[[f32; 256]], device: &GpuDevice) -> Option<OnDevice> {
        let bytes = packed.pictures();
        let free = gpu::free_memory(device);
        let fits = bytes.len() as u64 <= free / SHARE && u32::try_from(bytes.len()).is_ok();
        if !(device::own_kernels() && fits) {
            return None;
        }
        let mut words = bytes.to_vec();
        words.resize(bytes.len().next_multiple_of(4), 0);
        let table: Vec<u8> = table.iter().flatten().flat_map(|v| v.to_ne_bytes()).collect();
        let client = client(device);
        let pictures = Pictures {
            count: words.len() / 4,
            words: client.create_from_slice(&words),
            table: client.create_from_slice(&table),
            channels: packed.channels(),
            side: packed.image_size() as usize,
        };
        Some(OnDevice { device: device.clone(), pictures })
    }

    fn views(resident: &OnDevice, shown: &[Shown]) -> Tensor<Self, 4> {
        let OnDevice { device, pictures } = resident;
        let plan: Vec<u8> = shown.iter().flat_map(words).flat_map(u32::to_ne_bytes).collect();
        let client = client(device);
        let plan = client.create_from_slice(&plan);
        let views = kernels::views(&client, pictures, &plan, shown.len());
        let shape = [shown.len(), pictures.side, pictures.side, pictures.channels];
        let made =
            CubeTensor::new_contiguous(client, device.clone(), shape.into(), views, DType::F32);
        Tensor::from_primitive(TensorPrimitive::Float(made))
    }
}

fn client(device: &GpuDevice) -> ComputeClient<GpuRuntime> {
    GpuRuntime::client(device)
}

fn words(shown: &Shown) -> [u32; PLAN] {
    let Shown { offset, picture: [width, height], view } = shown;
    let offset = u32::try_from(*offset).expect("only pictures of less than 4 GiB are resident");
    let mirror = u32::from(view.mirror);
    [offset, *width, *height, view.left, view.top, view.width, view.height, mirror]
}
