//! The NVIDIA driver's C interface, loaded at run time: what burn's CUDA runtime needs, and what it does not tell.

use std::path::PathBuf;

use libloading::Library;

use super::{DeviceError, Memory};

/// Without this header no kernel compiles.
const REQUIRED_HEADER: &str = "cuda_runtime.h";

/// Headers of faster kernels (tensor cores, asynchronous copies), each with the folders below `include` that may hold it.
const FAST_HEADERS: [(&str, &[&str]); 2] = [("crt/mma.h", &[""]), ("nv/target", &["", "cccl"])];

/// Longest name of a device that is read, in bytes.
const NAME_BYTES: usize = 256;

/// `cuInit`, then `ask`; both answer 0 for success. `None` from `ask`: the library lacks a function.
fn asked(ask: impl FnOnce(&Library) -> Option<i32>) -> Result<(), DeviceError> {
    let driver = library(&["libcuda.so.1", "libcuda.so"]).ok_or(DeviceError::NoDriver)?;
    #[expect(unsafe_code, reason = "signature as in NVIDIA's cuda.h")]
    let init =
        unsafe { driver.get::<unsafe extern "C" fn(u32) -> i32>(b"cuInit\0").map(|init| init(0)) };
    let answer = match init {
        Ok(0) => ask(&driver),
        Ok(failure) => Some(failure),
        Err(_) => None,
    };
    // The driver keeps threads of its own once it has started; its library must stay.
    std::mem::forget(driver);
    match answer {
        Some(0) => Ok(()),
        Some(failure) => Err(DeviceError::DriverFailed(failure)),
        None => Err(DeviceError::NoDriver),
    }
}

pub(super) fn device_count() -> Result<usize, DeviceError> {
    const NO_DEVICE: i32 = 100;
    let mut count = 0i32;
    #[expect(
        unsafe_code,
        reason = "signature as in NVIDIA's cuda.h; the pointer is of a living number"
    )]
    let answer = asked(|driver| unsafe {
        let count_of =
            driver.get::<unsafe extern "C" fn(*mut i32) -> i32>(b"cuDeviceGetCount\0").ok()?;
        Some(count_of(&raw mut count))
    });
    match answer {
        Ok(()) => Ok(usize::try_from(count).unwrap_or(0)),
        Err(DeviceError::DriverFailed(NO_DEVICE)) => Ok(0),
        Err(other) => Err(other),
    }
}

/// The device's model as the driver names it, and the driver's CUDA version as it counts (12.9 is 12090).
pub(super) fn model_and_driver(index: usize) -> Result<(String, i32), DeviceError> {
    let (mut name, mut version) = ([0u8; NAME_BYTES], 0i32);
    #[expect(
        unsafe_code,
        reason = "signatures as in NVIDIA's cuda.h; the buffer's length is told"
    )]
    asked(|driver| unsafe {
        let name_of = driver
            .get::<unsafe extern "C" fn(*mut u8, i32, i32) -> i32>(b"cuDeviceGetName\0")
            .ok()?;
        let version_of =
            driver.get::<unsafe extern "C" fn(*mut i32) -> i32>(b"cuDriverGetVersion\0").ok()?;
        Some(match name_of(name.as_mut_ptr(), NAME_BYTES as i32, index as i32) {
            0 => version_of(&raw mut version),
            failure => failure,
        })
    })?;
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(NAME_BYTES);
    Ok((String::from_utf8_lossy(&name[..end]).into_owned(), version))
}

/// Memory of the device, seen through the primary context, which burn's CUDA runtime uses too.
pub(super) fn memory(index: usize) -> Option<Memory> {
    let (mut free, mut total) = (0usize, 0usize);
    #[expect(
        unsafe_code,
        reason = "signatures as in NVIDIA's cuda.h; the context is taken off this thread and given back"
    )]
    let answer = asked(|driver| unsafe {
        type Context = *mut std::ffi::c_void;
        let retain = driver
            .get::<unsafe extern "C" fn(*mut Context, i32) -> i32>(b"cuDevicePrimaryCtxRetain\0")
            .ok()?;
        let release = driver
            .get::<unsafe extern "C" fn(i32) -> i32>(b"cuDevicePrimaryCtxRelease_v2\0")
            .ok()?;
        let push =
            driver.get::<unsafe extern "C" fn(Context) -> i32>(b"cuCtxPushCurrent_v2\0").ok()?;
        let pop = driver
            .get::<unsafe extern "C" fn(*mut Context) -> i32>(b"cuCtxPopCurrent_v2\0")
            .ok()?;
        let info = driver
            .get::<unsafe extern "C" fn(*mut usize, *mut usize) -> i32>(b"cuMemGetInfo_v2\0")
            .ok()?;
        let (device, mut context) = (index as i32, std::ptr::null_mut());
        let retained = retain(&raw mut context, device);
        if retained != 0 {
            return Some(retained);
        }
        let mut answer = push(context);
        if answer == 0 {
            answer = info(&raw mut free, &raw mut total);
            pop(&raw mut context);
        }
        release(device);
        Some(answer)
    });
    answer.ok().map(|()| Memory { free: free as u64, total: total as u64 })
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
