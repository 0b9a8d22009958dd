//! Which device trains: the words a person writes, and a probe that says what is missing before CUDA is touched.
//!
//! burn's CUDA backend panics in a background thread when the driver, the kernel compiler or its headers are absent, so
//! [`Device::resolved`] looks for each of them first. Not here: anything that trains ([`crate::trainer`]).

use std::fmt;
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

#[cfg(not(feature = "cuda"))]
fn usable(_index: usize) -> Result<(), DeviceError> {
    Err(DeviceError::NotBuilt)
}

#[cfg(feature = "cuda")]
fn usable(index: usize) -> Result<(), DeviceError> {
    let count = cuda::device_count()?;
    if index >= count {
        return Err(DeviceError::NoSuchDevice { index, count });
    }
    cuda::compiler()
}

#[cfg(feature = "cuda")]
mod cuda {
    use std::path::PathBuf;

    use libloading::Library;

    use super::DeviceError;

    /// Without this header no kernel compiles.
    const REQUIRED_HEADER: &str = "cuda_runtime.h";

    /// Headers of faster kernels (tensor cores, asynchronous copies), each with the folders below `include` that may hold it.
    const FAST_HEADERS: [(&str, &[&str]); 2] = [("crt/mma.h", &[""]), ("nv/target", &["", "cccl"])];

    pub(super) fn device_count() -> Result<usize, DeviceError> {
        let driver = library(&["libcuda.so.1", "libcuda.so"]).ok_or(DeviceError::NoDriver)?;
        let mut count = 0i32;
        #[expect(
            unsafe_code,
            reason = "the driver's C interface; signatures as in NVIDIA's cuda.h"
        )]
        let answer = unsafe {
            let init = driver.get::<unsafe extern "C" fn(u32) -> i32>(b"cuInit\0");
            let get_count =
                driver.get::<unsafe extern "C" fn(*mut i32) -> i32>(b"cuDeviceGetCount\0");
            let (Ok(init), Ok(get_count)) = (init, get_count) else {
                return Err(DeviceError::NoDriver);
            };
            match init(0) {
                0 => get_count(&raw mut count),
                failure => failure,
            }
        };
        // The driver keeps threads of its own once it has started; its library must stay.
        std::mem::forget(driver);
        match answer {
            0 => Ok(usize::try_from(count).unwrap_or(0)),
            100 => Ok(0), // CUDA_ERROR_NO_DEVICE
            failure => Err(DeviceError::DriverFailed(failure)),
        }
    }

    pub(super) fn compiler() -> Result<(), DeviceError> {
        let names = ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11"];
        library(&names).ok_or(DeviceError::NoCompiler)?;
        let include = installation()
            .map(|path| path.join("include"))
            .filter(|path| path.join(REQUIRED_HEADER).exists());
        let include = include.ok_or(DeviceError::NoHeaders(REQUIRED_HEADER))?;
        for (header, folders) in FAST_HEADERS {
            if !folders.iter().any(|folder| include.join(folder).join(header).exists()) {
                tracing::warn!(
                    header,
                    "a CUDA header is missing: kernels that need it fall back to slower ones"
                );
            }
        }
        Ok(())
    }

    /// Where burn's CUDA runtime (cubecl 0.10) looks for headers, in its order.
    fn installation() -> Option<PathBuf> {
        if let Some(path) = std::env::var_os("CUDA_PATH") {
            return Some(PathBuf::from(path));
        }
        let folders = [
            ("/usr/local/cuda", "/usr/local/cuda"),
            ("/opt/cuda", "/opt/cuda"),
            ("/usr/bin/nvcc", "/usr"),
        ];
        folders
            .iter()
            .find(|(sign, _)| PathBuf::from(sign).exists())
            .map(|(_, path)| PathBuf::from(path))
    }

    fn library(names: &[&str]) -> Option<Library> {
        names.iter().find_map(|name| {
            #[expect(
                unsafe_code,
                reason = "loading NVIDIA's own libraries, as burn's CUDA backend does right after"
            )]
            unsafe {
                Library::new(*name).ok()
            }
        })
    }
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
