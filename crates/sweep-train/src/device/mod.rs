//! Which device trains: the words a person writes, and a probe that says what is missing before CUDA is touched.
//!
//! burn's CUDA backend panics in a background thread when the driver, the kernel compiler or its headers are absent, so
//! [`Device::resolved`] looks for each of them first. What CUDA compiles and times is kept by `kernels`. Not here: anything that trains
//! ([`crate::trainer`]).

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "gpu")]
pub mod gpu;
mod kernels;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A device as asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// The first CUDA device where one can be used, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device with this index.
    Cuda(usize),
}

/// A device that was there when it was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resolved {
    /// The CPU.
    Cpu,
    /// The CUDA device with this index.
    Cuda(usize),
}

impl Resolved {
    /// The kind a result states.
    pub fn kind(self) -> sweep_core::result::DeviceKind {
        match self {
            Self::Cpu => sweep_core::result::DeviceKind::Cpu,
            Self::Cuda(_) => sweep_core::result::DeviceKind::Cuda,
        }
    }

    /// Keeps what CUDA compiles, and which of several kernels was the fastest, below `cache`: `cubecl/<GPU>-<driver>` in it, for
    /// neither serves another model or driver. Nothing on the CPU. To be called before the first training on the device; later
    /// calls of the same process change nothing.
    ///
    /// A place that cannot be written costs time at the next start and no result.
    pub fn keep_kernels(self, cache: &Path) {
        kernels::keep(self, cache);
    }

    /// Free and total bytes of the device's memory; `None` where nobody tells, as on the CPU.
    pub fn memory(self) -> Option<Memory> {
        match self {
            Self::Cpu => None,
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => cuda::memory(index),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda(_) => None,
        }
    }
}

/// Memory of a device in bytes, of all processes on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Not taken by anybody.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.pad("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// Why a device cannot be used. Retrying helps only after the machine has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Not a device's name.
    #[error("unknown device `{0}` (known: auto, cpu, cuda, cuda:N)")]
    Unknown(String),
    /// The program holds no CUDA code.
    #[error("this program was built without CUDA (build it with `--features cuda`)")]
    NotBuilt,
    /// No driver library.
    #[error("no NVIDIA driver: libcuda.so.1 cannot be loaded")]
    NoDriver,
    /// The driver is there and refuses to start.
    #[error("the NVIDIA driver does not start: cuInit answers {0}")]
    DriverFailed(i32),
    /// Fewer devices than asked for.
    #[error("no device cuda:{index}: the driver shows {count} of them")]
    NoSuchDevice {
        /// Asked for.
        index: usize,
        /// Present.
        count: usize,
    },
    /// No kernel compiler.
    #[error(
        "no CUDA kernel compiler: libnvrtc.so cannot be loaded (put its folder on LD_LIBRARY_PATH)"
    )]
    NoCompiler,
    /// The compiler's headers are missing.
    #[error(
        "no CUDA headers: `{0}` is in no include folder (set CUDA_PATH to a CUDA installation)"
    )]
    NoHeaders(&'static str),
}

impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => match other.strip_prefix("cuda:").map(str::parse) {
                Some(Ok(index)) => Ok(Self::Cuda(index)),
                _ => Err(DeviceError::Unknown(other.to_owned())),
            },
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Cpu => f.pad("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl Device {
    /// The device to train on. `Auto` takes the CPU when CUDA cannot be used, and logs why.
    ///
    /// # Errors
    /// [`DeviceError`] for a CUDA device that cannot be used.
    pub fn resolved(self) -> Result<Resolved, DeviceError> {
        match self {
            Self::Cpu => Ok(Resolved::Cpu),
            Self::Cuda(index) => usable(index).map(|()| Resolved::Cuda(index)),
            Self::Auto => Ok(match usable(0) {
                Ok(()) => Resolved::Cuda(0),
                Err(reason) => {
                    tracing::debug!(%reason, "training on the cpu");
                    Resolved::Cpu
                }
            }),
        }
    }
}

/// Whether CUDA uses the kernels of this crate (`SWEEP_CUDA_FUSED=1`) in place of burn's operations. Their arithmetic is tested without a
/// GPU (`bench/kernels`); until one has timed them they are not the default.
#[cfg(feature = "gpu")]
pub(crate) fn own_kernels() -> bool {
    static CHOSEN: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| std::env::var_os("SWEEP_CUDA_FUSED").is_some_and(|value| value == "1"))
}

#[cfg(not(feature = "gpu"))]
fn usable(_index: usize) -> Result<(), DeviceError> {
    Err(DeviceError::NotBuilt)
}

#[cfg(all(feature = "gpu", not(feature = "cuda")))]
fn usable(_index: usize) -> Result<(), DeviceError> {
    Ok(())
}

#[cfg(feature = "cuda")]
fn usable(index: usize) -> Result<(), DeviceError> {
    let count = cuda::device_count()?;
    if index >= count {
        return Err(DeviceError::NoSuchDevice { index, count });
    }
    cuda::compiler()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices_read_back() {
        for device in [Device::Auto, Device::Cpu, Device::Cuda(0), Device::Cuda(3)] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = "gpu0".parse::<Device>().unwrap_err();
        assert_eq!(error.to_string(), "unknown device `gpu0` (known: auto, cpu, cuda, cuda:N)");
    }

    #[test]
    fn a_device_that_is_not_there_is_refused_and_never_replaced() {
        assert!(Device::Cuda(4096).resolved().is_err());
        assert_eq!(Device::Cpu.resolved(), Ok(Resolved::Cpu));
    }
}
