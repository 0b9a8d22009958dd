//! The GPU's backend: CUDA.
//!
//! With `vulkan-tests` alone it is Vulkan, where the same code runs on burn's other GPU runtime and so can be tested by a software driver,
//! without an NVIDIA GPU. Not here: the kernels (the `cube` module of each part that has some).

#[cfg(feature = "cuda")]
mod runtime {
    use crate::device::Resolved;

    pub use burn::backend::Cuda as Gpu;
    pub use burn::backend::cuda::CudaDevice as GpuDevice;
    pub use cubecl::cuda::CudaRuntime as GpuRuntime;

    /// The device with this index.
    pub fn gpu(index: usize) -> GpuDevice {
        GpuDevice::new(index)
    }

    /// Bytes of the device's memory that nobody has taken, 0 where nobody tells.
    pub(crate) fn free_memory(device: &GpuDevice) -> u64 {
        Resolved::Cuda(device.index).memory().map_or(0, |memory| memory.free)
    }
}

#[cfg(not(feature = "cuda"))]
mod runtime {
    pub use burn::backend::Wgpu as Gpu;
    pub use burn::backend::wgpu::WgpuDevice as GpuDevice;
    pub use cubecl::wgpu::WgpuRuntime as GpuRuntime;

    /// Whichever device the driver shows first.
    pub fn gpu(_index: usize) -> GpuDevice {
        GpuDevice::DefaultDevice
    }

    /// As much as there can be: a driver does not tell, and tests are small.
    pub(crate) fn free_memory(_: &GpuDevice) -> u64 {
        u64::MAX
    }
}

pub use runtime::*;
